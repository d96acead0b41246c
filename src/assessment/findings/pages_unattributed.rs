//! Pages in use that no cgroup answers for.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "pages-unattributed",
    severity: Severity::Info,
    summary: "Huge pages are in use or reserved that are charged to no cgroup this exporter sees.",
    foretells: "What was promised to pods may be missing from the pool (`pool-short`): host processes use it, or files that nobody maps hold it.",
    evidence: "The pool's used pages (size less free) above what all cgroups at the top are charged for (`hugetlb_pool_unattributed_bytes`), and its reserved pages above what they have reserved and not touched (`hugetlb_pool_unattributed_reserved_bytes`): a hugetlbfs mount with a `min_size` reserves that much for those who will use it. On v2 the root cgroup has no hugetlb files and systemd does not pass the controller to services, so host processes (OVS-DPDK, SPDK, libvirt) show here. Not said in a cgroup namespace of its own (without the host's /sys/fs/cgroup), where the rest has cgroups that are not seen.",
    false_alarms: "Host processes that were given their share on purpose, and mounts that were given a min_size.",
    remedy: "`grep -l HugetlbPages /proc/*/status` with a figure above 0 finds the processes; `find <hugetlbfs mount> -type f` the files, `grep min_size /proc/mounts` the mounts.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.assessment.pools {
        let used = pool.unattributed.present().unwrap_or_default();
        let reserved = pool.unattributed_reserved.present().unwrap_or_default();
        let size = pool.page_size;
        let what = match (used, reserved) {
            (Bytes::ZERO, Bytes::ZERO) => continue,
            (used, Bytes::ZERO) => format!("{used} in {size} pages are in use"),
            (Bytes::ZERO, reserved) => format!("{reserved} in {size} pages are reserved"),
            (used, reserved) => {
                format!("{used} in {size} pages are in use and {reserved} are reserved")
            }
        };
        let (by, mounts) = match reserved {
            Bytes::ZERO => ("", ""),
            _ => (", or hugetlbfs mounts with a min_size", ", and mounts with a min_size"),
        };
        let mut figures =
            vec![("unattributed_bytes", used.0), ("unattributed_reserved_bytes", reserved.0)];
        figures.retain(|(_, bytes)| *bytes > 0);
        findings.push(RULE.finding(
            Subject::Node,
            size,
            format!(
                "{what} outside every cgroup that is seen: host processes, or files that nobody maps{by}."
            ),
            format!(
                "Find the processes with `grep HugetlbPages /proc/*/status`, and files on hugetlbfs mounts{mounts}."
            ),
            &figures,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, PG};
    use crate::snapshot::Reading;
    use crate::units::{Pages, SignedPages};

    #[test]
    fn what_the_pool_has_given_and_no_cgroup_got() {
        let node = Node::new().pod(Some(64)).container("c", None, (9, 3));
        assert!(node.findings("pages-unattributed").is_empty());
        let used = node.but(|snapshot| snapshot.pools[0].free = Reading::Present(Pages(490)));
        assert_eq!(used.findings("pages-unattributed")[0].figures[0].value, 7 * PG);
        let part = used.but(|snapshot| snapshot.is_part = true);
        assert!(part.findings("pages-unattributed").is_empty(), "others' cgroups are not seen");
    }

    #[test]
    fn what_a_mount_keeps_for_whoever_comes() {
        let node = Node::new().pod(Some(64)).container("c", None, (9, 3));
        let kept = node.but(|snapshot| {
            snapshot.pools[0].reserved = Reading::Present(SignedPages(6 + 10));
        });
        let found = kept.findings("pages-unattributed");
        assert_eq!(
            found[0].sentence,
            "20Mi in 2Mi pages are reserved outside every cgroup that is seen: host processes, or files that nobody maps, or hugetlbfs mounts with a min_size."
        );
        assert_eq!(found[0].figures[0].value, 10 * PG);
    }
}
