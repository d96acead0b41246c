//! Huge pages count as memory on this node.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::snapshot::{ACCOUNTING_OPTION, MemoryAccounting};

pub(super) const RULE: Rule = Rule {
    name: "memory-accounting",
    severity: Severity::Info,
    summary: "Huge pages count as memory on this node, so limits of memory must contain them.",
    foretells: "Nothing by itself. Kubernetes counts `memory` and `hugepages-*` apart, and who sizes `memory` without the huge pages gets a pod that hangs at `memory.max` while it touches them: no signal, no error, no OOM kill (`memory-short` says so beforehand).",
    evidence: "cgroup2 is mounted with the option `memory_hugetlb_accounting` (Linux 6.7 and newer; mountinfo, looked at every 20 s), the memory controller is in that hierarchy, and the node has a pool of huge pages. systemd 259 and newer mount it so.",
    false_alarms: "A node whose pods' limits of memory contain their huge pages already. Not seen where mountinfo does not show the mount, and where huge pages are limited by cgroup v1 and memory by v2.",
    remedy: "Give every container that uses huge pages a `memory` limit that contains them, or mount cgroup2 without the option. A remount takes effect at once and lasts until the next boot.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let MemoryAccounting::On(mount) = &facts.snapshot.accounting else { return };
    if facts.snapshot.pools.iter().all(crate::snapshot::Pool::is_empty) {
        return;
    }
    findings.push(RULE.finding(
        Subject::Node,
        None,
        format!(
            "Huge pages count as memory on this node (cgroup2 is mounted with {ACCOUNTING_OPTION}): what a pod touches of them is held against its memory limit too."
        ),
        format!(
            "Have the memory limits of pods contain their huge pages. To count them apart until the next boot, on the node: {}",
            mount.remount_without_accounting(),
        ),
        &[],
    ));
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;
    use crate::snapshot::Reading;
    use crate::units::Pages;

    #[test]
    fn it_is_said_once_where_there_are_huge_pages() {
        let node = Node::new().pod(Some(64));
        assert!(node.findings("memory-accounting").is_empty(), "it is off");
        let node = node.accounting().container("a", None, (4, 1)).container("b", None, (4, 1));
        let [found] = &node.findings("memory-accounting")[..] else { panic!("one") };
        assert!(found.remedy.ends_with(
            "mount -t cgroup2 -o remount,rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup"
        ));
        let without = node.but(|snapshot| snapshot.pools[0].size = Reading::Present(Pages(0)));
        assert!(without.findings("memory-accounting").is_empty(), "no pool");
    }
}
