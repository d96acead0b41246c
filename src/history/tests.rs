//! What is remembered, for how long, and how much of it.

use super::*;
use crate::snapshot::example::{hugetlb, id, node, page_size};

const NAMES: [&str; 3] = ["ns", "db", "c"];

fn uid(text: &str) -> PodUid {
    PodUid::from_path(text).expect("a uid")
}

fn container(number: u64) -> ContainerId {
    ContainerId::parse(&id(number)).expect("an id")
}

fn key(container: &str) -> ContainerKey {
    ContainerKey { uid: uid("u"), container: container.to_owned() }
}

fn past(history: &History, key: &ContainerKey) -> Option<u64> {
    let (_, mut sizes) = history.all_past().find(|(found, _)| *found == key)?;
    sizes.next().map(|(_, tally)| tally.failures)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn failures_are_handed_on_from_instance_to_instance() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 2)).named("u", 1, NAMES, 0));
    history.update(&node(seconds(2)).with_container("u", 2, hugetlb(0, 1)).named("u", 2, NAMES, 1));
    assert_eq!(past(&history, &key("c")), Some(2));
    assert_eq!(history.instance(&container(2), page_size()).map(|tally| tally.failures), Some(1));
    history.update(&node(seconds(4)));
    assert_eq!(past(&history, &key("c")), Some(3), "both");
}

#[test]
fn the_dead_are_forgotten_after_a_quarter_of_an_hour() {
    let mut history = History::new(Retention::default());
    let pod = node(seconds(0)).with("/kubepods/podu", hugetlb(0, 1));
    history.update(&pod.with_container("u", 1, hugetlb(0, 1)).named("u", 1, NAMES, 0));
    history.update(&node(seconds(2)));
    history.update(&node(seconds(900)));
    assert_eq!((past(&history, &key("c")), history.dead_pods().count()), (Some(1), 1));
    history.update(&node(seconds(903)));
    assert_eq!((past(&history, &key("c")), history.dead_pods().count()), (None, 0));
}

#[test]
fn a_pod_that_was_refused_nothing_is_forgotten_at_once() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with("/kubepods/podu", hugetlb(5, 0)));
    history.update(&node(seconds(2)));
    assert_eq!(history.dead_pods().count(), 0);
}

#[test]
fn however_many_come_and_go_the_memory_is_bounded() {
    let mut history = History::new(Retention { most_dead: 16, ..Retention::default() });
    for number in 0..1000 {
        let pod = format!("/kubepods/podu{number}");
        let snapshot = node(Duration::from_millis(number)).with(&pod, hugetlb(0, 1));
        history.update(&snapshot.with_container("u", number, hugetlb(0, number % 2)));
        assert!(
            history.past.len() <= 17 && history.pods.len() <= 17 && history.instances.len() <= 1
        );
    }
    let refused = history.past.values().filter(|past| past.was_refused()).count();
    assert_eq!((history.past.len(), refused), (16, 16), "those that were refused nothing go first");
}

#[test]
fn a_name_once_known_stays_while_the_container_lives() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 0)));
    assert!(history.may_be_named_soon(&container(1)) && history.awaits_names());
    history.update(&node(seconds(2)).with_container("u", 1, hugetlb(0, 0)).named("u", 1, NAMES, 3));
    history.update(&node(seconds(4)).with_container("u", 1, hugetlb(0, 0)));
    assert_eq!(history.container_name(&container(1)), Some(("c", 3)));
    assert!(!history.awaits_names());
}

#[test]
fn a_name_is_not_awaited_for_ever() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 0)));
    history.update(&node(seconds(10)).with_container("u", 1, hugetlb(0, 0)));
    assert!(!history.may_be_named_soon(&container(1)) && !history.awaits_names());
}

#[test]
fn dead_pods_are_bounded_without_any_container() {
    let mut history = History::new(Retention { most_dead: 16, ..Retention::default() });
    for number in 0..100 {
        let pod = format!("/kubepods/podu{number}");
        history.update(&node(Duration::from_millis(number)).with(&pod, hugetlb(0, 1)));
        assert!(history.pods.len() <= 17 && history.names.len() <= 17);
    }
}

#[test]
fn a_peak_is_the_most_that_was_seen() {
    let mut history = History::new(Retention::default());
    for (second, bytes) in [(0, 5), (2, 9), (4, 1)] {
        history.update(&node(seconds(second)).with("/kubepods/podu", hugetlb(bytes, 0)));
    }
    assert_eq!(history.pod(&uid("u"), page_size()).map(|tally| tally.peak), Some(Bytes(9)));
}

#[test]
fn an_unreadable_counter_is_no_reset() {
    let mut history = History::new(Retention::default());
    let with = |second, failures| {
        let mut figures = hugetlb(0, 0);
        figures.failures =
            crate::snapshot::Failures::V2 { hierarchical: failures, local: Reading::Absent };
        node(seconds(second)).with("/kubepods/podu", figures)
    };
    for (second, failures) in
        [(0, Reading::Present(4)), (2, Reading::Failed), (4, Reading::Present(5))]
    {
        history.update(&with(second, failures));
    }
    assert_eq!(history.pod(&uid("u"), page_size()).map(|tally| tally.failures), Some(5));
}
