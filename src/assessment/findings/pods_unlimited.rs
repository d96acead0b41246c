//! A pod that nothing limits.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Facts, Finding, Rule, Severity, Subject, count};
use crate::assessment::FailureMode;
use crate::history::Presence;
use crate::identity::{Owner, PodUid};
use crate::snapshot::Cgroup;
use crate::units::Bytes;

/// On a slow node a pod's limits come seconds after its cgroup.
const SETTLED: Duration = Duration::from_secs(60);

pub(super) const RULE: Rule = Rule {
    name: "pods-unlimited",
    severity: Severity::Warning,
    summary: "Pods have no limit of huge pages at all.",
    foretells: "Any of them can take the whole pool, and pods that were granted pages are refused theirs, or die at a touch.",
    evidence: "A pod's cgroup and every cgroup above are unlimited (`hugetlb.*.max`), though a kubelet sets a limit for every pod, 0 where none was asked for; and the pool has pages. The kubelet found no hugetlb controller, or does not enforce (nested and trimmed-down distributions).",
    false_alarms: "A pod that is being made while this exporter starts; of others it waits for a minute, since a pod's limits come seconds after its cgroup on a slow node.",
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
        let unlimited: BTreeSet<_> = unlimited
            .filter_map(|(_, index, _)| unlimited_pod(facts, facts.snapshot.cgroups.get(index)?))
            .map(PodUid::shared)
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

/// The pod whose cgroup that is, or whose container where pods have none; not one that is being made, and none that is
/// gone.
fn unlimited_pod<'a>(facts: &Facts<'_>, cgroup: &'a Cgroup) -> Option<&'a PodUid> {
    let pod = match &*cgroup.owner {
        Owner::Pod(pod) => pod,
        Owner::Container(container) if container.pod.qos.is_none() => {
            return Some(&container.pod.uid);
        }
        _ => return None,
    };
    let now = facts.history.now();
    let is_settled = |presence: &Presence| presence.is_older_than(SETTLED, now);
    let settled = facts.history.presence(&cgroup.path).is_none_or(is_settled);
    (settled && !facts.is_gone(pod.uid.as_str())).then_some(&pod.uid)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through};

    #[test]
    fn a_pod_that_is_being_made_has_a_minute() {
        let found = |seconds| {
            let (before, made) = (Node::new(), Node::new().pod(None));
            let polls = [before, made.clone(), made];
            findings_through(&polls, Duration::from_secs(seconds), "pods-unlimited").len()
        };
        assert_eq!((found(59), found(60)), (0, 1));
    }

    #[test]
    fn a_pod_without_any_limit() {
        let found = Node::new().pod(None).findings("pods-unlimited");
        assert_eq!((found.len(), found[0].concerns("u")), (1, true));
        assert!(Node::new().pod(Some(0)).findings("pods-unlimited").is_empty());
        assert!(Node::new().pod(Some(9)).findings("pods-unlimited").is_empty());
    }
}
