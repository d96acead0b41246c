//! Pages that outlived their pod.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "pages-orphaned",
    severity: Severity::Info,
    summary: "Huge pages are charged to kubepods and to no pod that is there.",
    foretells: "The pool is smaller than it looks: these pages are in nobody's figures and nobody gives them back.",
    evidence: "Usage of kubepods above the sum of its pods' (`hugetlb_pool_orphaned_bytes`). When a cgroup is removed the kernel charges what its files still hold to the parent.",
    false_alarms: "While a pod is being removed its pages are charged to kubepods for a moment.",
    remedy: "Look for files on hugetlbfs mounts that no process maps (`find /dev/hugepages /var/lib/kubelet/pods -xdev -type f` on those mounts), and delete them.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.assessment.pools {
        let orphaned = pool.orphaned.present().unwrap_or_default();
        if orphaned > Bytes::ZERO {
            findings.push(RULE.finding(
                Subject::Node,
                pool.page_size,
                format!(
                    "{orphaned} in {} pages are charged to kubepods and to no pod that is there.",
                    pool.page_size
                ),
                "Look for files on hugetlbfs that outlived their pod, and delete them.".to_owned(),
                &[("orphaned_bytes", orphaned.0)],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, PG};
    use crate::snapshot::Reading;
    use crate::units::Bytes;

    #[test]
    fn what_kubepods_has_and_no_pod() {
        let node = Node::new().pod(Some(64)).container("c", None, (9, 3));
        assert!(node.findings("pages-orphaned").is_empty());
        let left = node.but(|snapshot| {
            snapshot.cgroups_mut()[0].hugetlb_mut()[0].usage = Reading::Present(Bytes(5 * PG));
        });
        assert_eq!(left.findings("pages-orphaned")[0].figures[0].value, 2 * PG);
    }
}
