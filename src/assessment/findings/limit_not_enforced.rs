//! A page that had to be refused was not.

use std::sync::Arc;

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::snapshot::{Check, VerdictKind};

/// One probe may have met a kubelet that was just setting limits.
const IN_A_ROW: u32 = 2;

pub(super) const RULE: Rule = Rule {
    name: "limit-not-enforced",
    severity: Severity::Critical,
    summary: "The touch-probe got a huge page that a limit should have refused.",
    foretells: "No pod of this node is limited, whatever its spec says: one of them can take the whole pool, and those that were granted pages are refused theirs, or die at a touch.",
    evidence: "The exporter asks for no huge pages, so the kubelet must have limited it, or its pod, to none. Twice in a row its probe touched a page without being killed (`hugetlb_probe_enforced{check=\"fault\"}` is 0). With `--probe.target=scratch`: a cgroup made for it, with a limit set by the exporter, let one page more be touched.",
    false_alarms: "A container that was given huge pages by other means than its pod's limits. In a pod that was granted pages, and outside pods, the probe claims nothing.",
    remedy: "Boot a kernel with CONFIG_CGROUP_HUGETLB and without `cgroup_disable=hugetlb`; on v2 pass the controller down (`+hugetlb` in `cgroup.subtree_control`, down to kubepods), and restart the kubelet, which looks for it when it starts.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let Some(probes) = &facts.snapshot.probes else { return };
    for ((page_size, check), probed) in &probes.results {
        let alarming = probed.verdict.kind() == VerdictKind::NotEnforced
            && *check == Check::Fault
            && probed.in_a_row >= IN_A_ROW;
        if !alarming {
            continue;
        }
        let pods = facts.assessment.pods.iter().map(|pod| Arc::clone(&pod.identity.uid));
        let finding = RULE.finding(
            Subject::Node,
            *page_size,
            format!(
                "The probe touched a {page_size} page that this node should have refused it, {} times in a row: limits of huge pages are not enforced.",
                probed.in_a_row,
            ),
            "Give the kubelet the hugetlb controller down to kubepods, and restart it; until then nothing keeps a pod within its grant.".to_owned(),
            &[("probes", u64::from(probed.in_a_row))],
        );
        findings.push(finding.concerning(pods));
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, probed};
    use crate::snapshot::{Check, Verdict};

    #[test]
    fn a_page_that_was_got_twice_in_a_row() {
        let found = |check, times: usize| {
            let verdicts = vec![(check, Verdict::NotEnforced); times];
            Node::new()
                .pod(Some(9))
                .but(|snapshot| snapshot.probes = probed(&verdicts))
                .findings("limit-not-enforced")
        };
        assert!(found(Check::Fault, 1).is_empty(), "once may be a limit that is just being set");
        let twice = found(Check::Fault, 2);
        assert_eq!((twice.len(), twice[0].concerns("u")), (1, true), "no pod is limited");
        assert!(found(Check::Reserve, 2).is_empty(), "that is how kubelets before 1.29 are");
    }
}
