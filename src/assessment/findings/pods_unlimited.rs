//! A pod that nothing limits.

use super::{Facts, Finding, Rule, Severity, Subject, count};
use crate::assessment::FailureMode;
use crate::identity::Owner;
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "pods-unlimited",
    severity: Severity::Warning,
    summary: "Pods have no limit of huge pages at all.",
    foretells: "Any of them can take the whole pool, and pods that were granted pages are refused theirs, or die at a touch.",
    evidence: "A pod's cgroup and every cgroup above are unlimited (`hugetlb.*.max`), though a kubelet sets a limit for every pod, 0 where none was asked for; and the pool has pages. The kubelet found no hugetlb controller, or does not enforce (nested and trimmed-down distributions).",
    false_alarms: "A pod that is just being made has no limit for an instant.",
    remedy: "Give the kubelet the hugetlb controller: CONFIG_CGROUP_HUGETLB, no `cgroup_disable=hugetlb`, `+hugetlb` in `cgroup.subtree_control` down to kubepods; then restart it.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.snapshot.pools {
        if pool.bytes(pool.size).present().is_none_or(|size| size <= Bytes::ZERO) {
            continue;
        }
        let unlimited = facts.ledger.outlooks().filter(|(page_size, _, outlook)| {
            *page_size == pool.page_size
                && outlook.failure_mode.present() == Some(FailureMode::Unenforced)
        });
        let unlimited: Vec<_> = unlimited
            .filter_map(|(_, index, _)| match &*facts.snapshot.cgroups.get(index)?.owner {
                Owner::Pod(pod) => Some(pod.uid.shared()),
                _ => None,
            })
            .collect();
        let pods = unlimited.len();
        if pods > 0 {
            findings.push(
                RULE.finding(
                    Subject::Node,
                    pool.page_size,
                    format!(
                        "{} of this node {} no limit of {} pages: each can take the whole pool.",
                        count(pods, "pod"),
                        if pods == 1 { "has" } else { "have" },
                        pool.page_size,
                    ),
                    "Give the kubelet the hugetlb controller down to kubepods, and restart it."
                        .to_owned(),
                    &[("pods", u64::try_from(pods).unwrap_or(u64::MAX))],
                )
                .concerning(unlimited),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;

    #[test]
    fn a_pod_without_any_limit() {
        let found = Node::new().pod(None).findings("pods-unlimited");
        assert_eq!((found.len(), found[0].concerns("u")), (1, true));
        assert!(Node::new().pod(Some(0)).findings("pods-unlimited").is_empty());
        assert!(Node::new().pod(Some(9)).findings("pods-unlimited").is_empty());
    }
}
