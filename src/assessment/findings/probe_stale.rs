//! The probe has not come to an end for long.

use super::{Facts, Finding, Rule, Severity, Subject};

/// So many intervals without a probe are too many.
const MISSED: u32 = 3;

pub(super) const RULE: Rule = Rule {
    name: "probe-stale",
    severity: Severity::Warning,
    summary: "The touch-probe has not run for three of its intervals.",
    foretells: "Nothing by itself; but `hugetlb_probe_enforced` tells of the past, and limits that are no longer enforced would not be seen.",
    evidence: "No probe of a page size has ended, well or not, for three intervals (`hugetlb_probe_last_run_timestamp_seconds`).",
    false_alarms: "A node that was suspended.",
    remedy: "Restart the exporter, and look into its log before: a probe that can't be tried says why there.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let Some(probes) = &facts.snapshot.probes else { return };
    let now = facts.snapshot.taken.since_start;
    for pool in &facts.snapshot.pools {
        let last = probes.last.get(&pool.page_size).map(|last| last.ended.since_start);
        let age = now.saturating_sub(last.unwrap_or_default());
        if age <= probes.interval.saturating_mul(MISSED) {
            continue;
        }
        let seconds = age.as_secs();
        findings.push(RULE.finding(
            Subject::Node,
            pool.page_size,
            format!(
                "The touch-probe of {} pages has not ended for {seconds}s, though it runs every {}s.",
                pool.page_size,
                probes.interval.as_secs(),
            ),
            RULE.remedy.to_owned(),
            &[("age_seconds", seconds)],
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, probed};
    use crate::snapshot::{Check, EnforcedBy, Verdict};

    #[test]
    fn three_intervals_without_one() {
        // Probed every 300 s, the last time at the start.
        let enforced = [(Check::Fault, Verdict::Enforced(EnforcedBy::Limit))];
        for verdicts in [&enforced[..], &[]] {
            let node = Node::new().but(|snapshot| snapshot.probes = probed(verdicts));
            let after = |seconds| node.findings_after(Duration::from_secs(seconds), "probe-stale");
            assert!(after(900).is_empty());
            assert_eq!(after(901).len(), 1);
        }
        assert!(Node::new().findings_after(Duration::from_secs(9_999), "probe-stale").is_empty());
    }
}
