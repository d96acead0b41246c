//! Something was refused, and what it was can't be told.

use super::{Facts, Finding, Rule, Severity, Subject, capital, mapping_refused, name_once};
use crate::assessment::{Identity, TenantSize};

pub(super) const RULE: Rule = Rule {
    name: "refusals-ambiguous",
    severity: Severity::Warning,
    summary: "Huge pages were refused, and the kernel's figures do not tell whether a process was killed.",
    foretells: "Either a mapping was refused, which most programs survive (PostgreSQL with `huge_pages=try` falls back to ordinary pages), or a touch, which killed a process.",
    evidence: "v2 counts both in one number (`hugetlb.*.events`, max), v1 counts touches refused by a reservation limit with the mappings (rsvd.failcnt). A reservation limit is finite, the cgroup or its pod held pages, usage did not fall, and nothing shows that it was a mapping: that no limit was reached (v1 keeps the peak), or that less was in use than the limits left, so that no child that writes to its parent's pages (fork) can have taken the rest. Or a touch was refused for certain, and all that was in use at the limit still is: the answer may have been an error (MADV_POPULATE_WRITE, fallocate, read into refused pages), or a process that held none was killed. Held for 15 minutes.",
    false_alarms: "A program that tries more huge pages beside one that holds at least as many as are left, and falls back (PHP's opcache in a container that holds some). Programs that take refused pages for an answer (DPDK) and go on with less.",
    remedy: "Look into the container's log: `Bus error` or signal 7 means a touch; `could not map anonymous shared memory`, or nothing, a mapping. Then grant it pages, or tell it not to try (`huge_pages=off`).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, finding, findings);
}

fn finding(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let refusals = size.refusals.present()?;
    let age = facts.history.now().saturating_sub(refusals.last_ambiguous?);
    // Of what ends over it again and again the end tells what it was.
    if age > facts.thresholds.refused_for || mapping_refused::loops(facts, who, size).is_some() {
        return None;
    }
    let sentence = format!(
        "{} was refused {} pages ({} refusals): a mapping, which is harmless, or a touch, which kills.",
        capital(&who.described()),
        size.page_size,
        refusals.ambiguous,
    );
    let remedy = "Look into its log for `Bus error` or signal 7; then grant it pages, or turn huge pages off in it.";
    let subject = Subject::Tenant(who.clone());
    let figures = [("refusals", refusals.ambiguous)];
    Some(RULE.finding(subject, size.page_size, sentence, remedy.to_owned(), &figures))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through, limit};

    /// Six of ten pages are in use: somebody wanted more than four, or a child copied four and was killed at the fifth.
    fn fallback(refused: u64) -> Node {
        let node = Node::new().pod(Some(10)).container("postgres", None, (6, 6));
        node.but(|snapshot| {
            snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(10));
        })
        .refused(refused)
    }

    #[test]
    fn what_may_have_killed_a_child_is_told_after_two_more_polls() {
        let polls: Vec<Node> = [0, 1, 1, 1].map(fallback).to_vec();
        let apart = Duration::from_secs(2);
        assert!(findings_through(&polls[..3], apart, "refusals-ambiguous").is_empty());
        let found = findings_through(&polls, apart, "refusals-ambiguous");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].sentence.starts_with("Container postgres of pod db/pg-0 was refused"),
            "{}",
            found[0].sentence
        );
        assert!(findings_through(&polls, apart, "faults-refused").is_empty());
    }

    #[test]
    fn of_a_container_that_lived_too_shortly_its_pod_tells() {
        let gone = |refused| {
            fallback(refused).but(|snapshot| {
                snapshot.cgroups_mut().truncate(2);
                snapshot.names = std::sync::Arc::default();
            })
        };
        let polls: Vec<Node> = [0, 1, 1, 1].map(gone).to_vec();
        let found = findings_through(&polls, Duration::from_secs(2), "refusals-ambiguous");
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("Pod u was refused"), "{}", found[0].sentence);
    }
}
