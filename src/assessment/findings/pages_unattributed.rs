//! Pages in use that no cgroup answers for.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "pages-unattributed",
    severity: Severity::Info,
    summary: "Huge pages are in use that are charged to no cgroup this exporter sees.",
    foretells: "What was promised to pods may be missing from the pool (`pool-short`): host processes use it, or files that nobody maps hold it.",
    evidence: "The pool's used pages (size less free) above what all cgroups at the top are charged for (`hugetlb_pool_unattributed_bytes`). On v2 the root cgroup has no hugetlb files and systemd does not pass the controller to services, so host processes (OVS-DPDK, SPDK, libvirt) show here.",
    false_alarms: "Host processes that were given their share on purpose.",
    remedy: "`grep -l HugetlbPages /proc/*/status` with a figure above 0 finds the processes; `find <hugetlbfs mount> -type f` the files.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.assessment.pools {
        let unattributed = pool.unattributed.present().unwrap_or_default();
        if unattributed > Bytes::ZERO {
            findings.push(RULE.finding(
                Subject::Node,
                pool.page_size,
                format!(
                    "{unattributed} in {} pages are in use outside every cgroup that is seen: host processes, or files that nobody maps.",
                    pool.page_size,
                ),
                "Find the processes with `grep HugetlbPages /proc/*/status`, and files on hugetlbfs mounts.".to_owned(),
                &[("unattributed_bytes", unattributed.0)],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, PG};
    use crate::snapshot::Reading;
    use crate::units::Pages;

    #[test]
    fn what_the_pool_has_given_and_no_cgroup_got() {
        let node = Node::new().pod(Some(64)).container("c", None, (9, 3));
        assert!(node.findings("pages-unattributed").is_empty());
        let used = node.but(|snapshot| snapshot.pools[0].free = Reading::Present(Pages(490)));
        assert_eq!(used.findings("pages-unattributed")[0].figures[0].value, 7 * PG);
    }
}
