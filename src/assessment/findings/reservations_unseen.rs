//! A kernel that does not count reservations.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::identity::Owner;
use crate::snapshot::Reading;

pub(super) const RULE: Rule = Rule {
    name: "reservations-unseen",
    severity: Severity::Info,
    summary: "This kernel does not count reservations, so nothing can be foretold.",
    foretells: "Processes that mapped more than they may touch are killed without any warning from here; `faults-refused` tells afterwards.",
    evidence: "Pods' cgroups have no `hugetlb.*.rsvd.current` (v1: rsvd.usage_in_bytes): the kernel is older than 5.7.",
    false_alarms: "None known.",
    remedy: "Use Linux 5.7 or newer.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let pods =
        facts.snapshot.cgroups.iter().filter(|cgroup| matches!(&*cgroup.owner, Owner::Pod(_)));
    let unseen = pods
        .flat_map(|pod| pod.hugetlb.iter())
        .any(|hugetlb| hugetlb.reserved == Reading::Absent && hugetlb.usage.present().is_some());
    if unseen {
        findings.push(RULE.finding(
            Subject::Node,
            None,
            "This kernel counts no reservations of huge pages: who will be killed can't be foretold.".to_owned(),
            RULE.remedy.to_owned(),
            &[],
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;
    use crate::snapshot::Reading;

    #[test]
    fn a_kernel_without_the_files() {
        let node = Node::new().pod(Some(64)).container("c", None, (9, 3));
        assert!(node.findings("reservations-unseen").is_empty());
        let old = node.but(|snapshot| {
            for cgroup in snapshot.cgroups_mut() {
                cgroup.hugetlb_mut()[0].reserved = Reading::Absent;
            }
        });
        assert_eq!(old.findings("reservations-unseen").len(), 1);
        assert!(old.findings("will-crash").is_empty());
    }
}
