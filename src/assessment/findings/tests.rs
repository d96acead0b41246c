//! What holds for all rules.

use std::time::Duration;

use super::example::Node;
use super::*;
use crate::assessment::assess;
use crate::history::Retention;

#[test]
fn rules_have_names_that_are_labels_and_words_that_are_sentences() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    assert!(RULES.is_sorted_by_key(|rule| rule.severity), "the worst first");
    for rule in RULES {
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(rule.name.chars().all(plain), "{}", rule.name);
        for text in [rule.summary, rule.foretells, rule.evidence, rule.false_alarms, rule.remedy] {
            assert!(text.ends_with('.') && !text.contains('\n'), "{}: {text}", rule.name);
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}

/// PostgreSQL with all of a rightly sized limit in use, for an hour of polls.
#[test]
fn the_healthy_steady_state_raises_nothing() {
    let mut history = History::new(Retention::default());
    for poll in 0..1_800_u64 {
        // It fills up, then stays full, and now and then a backend comes and goes.
        let used = (poll * 2).min(140);
        let node = Node::new().pod(Some(140)).container("postgres", Some(140), (140, used));
        let node = node.container("metrics", Some(0), (0, 0));
        let mut snapshot = node.snapshot();
        snapshot.taken.since_start = Duration::from_secs(2 * poll);
        history.update(&snapshot);
        let found = assess(&snapshot, &history, &Thresholds::default()).findings;
        assert!(found.is_empty(), "poll {poll}: {found:?}");
    }
}

#[test]
fn amounts_are_rounded_up_to_whole_pages() {
    let page_size = PageSize::from_bytes(2 << 20).expect("a power of two");
    for (bytes, rounded) in [(0, 0), (1, 2 << 20), (2 << 20, 2 << 20), ((2 << 20) + 1, 4 << 20)] {
        assert_eq!(whole_pages(Bytes(bytes), page_size), Bytes(rounded));
    }
}
