//! The next one who tries will die.

use super::{Facts, Finding, Rule, Severity, Subject, count};
use crate::assessment::FailureMode;
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "trap-armed",
    severity: Severity::Warning,
    summary: "Pods without huge pages may map them, and die when they touch the first.",
    foretells: "Any program that tries huge pages by default (PostgreSQL's `initdb` and `huge_pages=try`, some JVMs and caches) in a pod that was granted none is killed by SIGBUS as it starts: kubernetes/kubernetes#71233. Its first victim can't be foretold; the trap can.",
    evidence: "A pod's limit leaves nothing to touch (`hugetlb.*.max` is 0), no reservation limit refuses the mapping (`hugetlb.*.rsvd.max` is unlimited on every level), and the node's pool has pages to map. Kubelets before 1.29 and kernels before 5.7 set no reservation limit.",
    false_alarms: "None of the pods here may ever try. It is one finding for the node, not one for each pod.",
    remedy: "Run kubelet 1.29 or newer (it sets reservation limits for pods), or keep huge pages off where they are not granted (`huge_pages=off`, also for initdb), or take the pages away from nodes that need none.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.snapshot.pools {
        let page_size = pool.page_size;
        let room = pool.bytes(pool.available()).plus(pool.bytes(pool.overcommit_room()));
        if room.present().is_none_or(|room| room < page_size.bytes()) {
            continue;
        }
        // Pods that hold and were granted nothing are not shown, so the ledger is asked, not the states.
        let trapped = facts.ledger.outlooks().filter(|(size, index, outlook)| {
            let cgroup = facts.snapshot.cgroups.get(*index);
            *size == page_size
                && outlook.failure_mode.present() == Some(FailureMode::Sigbus)
                && cgroup.is_some_and(|cgroup| {
                    matches!(&*cgroup.owner, crate::identity::Owner::Pod(_))
                        && cgroup
                            .of_size(page_size)
                            .is_some_and(|hugetlb| hugetlb.limit.finite() == Some(Bytes::ZERO))
                })
        });
        let pods = trapped.count();
        if pods > 0 {
            findings.push(RULE.finding(
                Subject::Node,
                page_size,
                format!(
                    "{} of this node {} granted no {page_size} pages and can map them all the same: whatever tries to use one is killed by SIGBUS.",
                    count(pods, "pod"),
                    if pods == 1 { "was" } else { "were" },
                ),
                "Run kubelet 1.29 or newer, which lets such mappings fail instead; until then turn huge pages off where none are granted (PostgreSQL: huge_pages=off).".to_owned(),
                &[("pods", u64::try_from(pods).unwrap_or(u64::MAX))],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, limit};
    use crate::snapshot::Reading;
    use crate::units::Pages;

    #[test]
    fn a_pod_that_may_map_and_not_touch() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let found = node.findings("trap-armed");
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("1 pod of this node was granted no 2Mi pages"));
    }

    #[test]
    fn not_where_the_mapping_fails() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let node =
            node.but(|snapshot| snapshot.cgroups[1].hugetlb[0].reservation_limit = limit(Some(0)));
        assert!(node.findings("trap-armed").is_empty());
    }

    #[test]
    fn not_where_there_are_no_pages_to_map() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let node = node.but(|snapshot| snapshot.pools[0].free = Reading::Present(Pages(0)));
        assert!(node.findings("trap-armed").is_empty());
    }

    #[test]
    fn not_for_a_pod_with_a_grant() {
        let node = Node::new().pod(Some(10)).container("c", None, (0, 0));
        assert!(node.findings("trap-armed").is_empty());
    }
}
