//! Something was refused, and what it was can't be told.

use super::{Facts, Finding, Rule, Severity, Subject, capital};

pub(super) const RULE: Rule = Rule {
    name: "refusals-ambiguous",
    severity: Severity::Warning,
    summary: "Huge pages were refused, and the kernel's figures do not tell whether a process was killed.",
    foretells: "Either a mapping was refused, which most programs survive (PostgreSQL with `huge_pages=try` falls back to ordinary pages), or a touch, which killed a process.",
    evidence: "v2 counts both in one number (`hugetlb.*.events`, max), v1 counts touches refused by a reservation limit with the mappings (rsvd.failcnt). A reservation limit is finite, a limit left less than a page, and usage did not fall. Held for 15 minutes.",
    false_alarms: "A pod without a grant whose program tries huge pages and falls back is the common case: limit and reservation limit are both 0.",
    remedy: "Look into the container's log: `Bus error` or signal 7 means a touch; `could not map anonymous shared memory`, or nothing, a mapping. Then grant it pages, or tell it not to try (`huge_pages=off`).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    // On v2 the pod's count holds its containers'; on v1 the pod's limit is what refuses. So pods tell, and
    // containers outside their pod's cgroup tell of themselves.
    let pods = facts.pods().map(|(pod, size)| (&pod.identity, size));
    let strays = facts.containers().filter(|(container, _)| {
        container.newest.as_ref().is_some_and(|newest| !newest.in_pod_cgroup)
    });
    for (who, size) in pods.chain(strays.map(|(container, size)| (&container.identity, size))) {
        let Some(refusals) = size.refusals.present() else { continue };
        let recent = refusals.last_ambiguous.is_some_and(|at| {
            facts.history.now().saturating_sub(at) <= facts.thresholds.refused_for
        });
        if !recent {
            continue;
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
        findings.push(RULE.finding(subject, size.page_size, sentence, remedy.to_owned(), &figures));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through, limit};

    fn fallback(refused: u64) -> Node {
        let node = Node::new().pod(Some(0)).container("postgres", None, (0, 0));
        node.but(|snapshot| snapshot.cgroups[1].hugetlb[0].reservation_limit = limit(Some(0)))
            .refused(refused)
    }

    #[test]
    fn a_pod_without_a_grant_that_tries_is_told_after_two_more_polls() {
        let polls: Vec<Node> = [0, 1, 1, 1].map(fallback).to_vec();
        let apart = Duration::from_secs(2);
        assert!(findings_through(&polls[..3], apart, "refusals-ambiguous").is_empty());
        assert_eq!(findings_through(&polls, apart, "refusals-ambiguous").len(), 1);
        assert!(findings_through(&polls, apart, "faults-refused").is_empty());
    }
}
