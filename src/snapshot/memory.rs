//! Huge pages that count as memory: whether they do, and what the memory controller says of a cgroup.

use super::{Limit, Reading};
use crate::units::Bytes;

/// cgroup2's mount option that makes huge pages count as memory.
pub const ACCOUNTING_OPTION: &str = "memory_hugetlb_accounting";

/// Whether huge pages are charged to `memory.current`, and so held against `memory.max`: cgroup2's mount option
/// `memory_hugetlb_accounting` (Linux 6.7 and newer; kernel/cgroup/cgroup.c, mm/memcontrol.c). It holds for the whole
/// machine, and a remount sets or clears it at any time. What was touched while it was off stays uncharged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MemoryAccounting {
    /// They are.
    On(CgroupMount),
    /// They are not: the option is not set, the hierarchy is v1's, or the memory controller is in another one.
    Off,
    /// mountinfo does not say how the hierarchy is mounted, or can't be read.
    #[default]
    Unknown,
}

/// How a cgroup2 hierarchy is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMount {
    /// Where, as we see it: in a container perhaps `/host/sys/fs/cgroup`.
    pub point: String,
    /// The mount's options, `rw,nosuid,nodev,noexec,relatime`, and the file system's,
    /// `rw,nsdelegate,memory_hugetlb_accounting`, in mountinfo's order.
    pub options: Vec<String>,
}

/// What the memory controller says of a cgroup that holds huge pages or was granted some, or of one above such a one.
/// Read while [`MemoryAccounting::On`], on v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupMemory {
    /// `memory.max`.
    pub limit: Reading<Limit>,
    /// `memory.current`, hierarchical: all that is charged here and below, caches included. Read where pages are still
    /// to be touched.
    pub usage: Reading<Bytes>,
    /// `memory.events`, read like the usage.
    pub events: Reading<MemoryEvents>,
    /// `memory.stat`, read where the limit leaves less than is still to be touched.
    pub stat: Reading<MemoryStat>,
    /// What of its anonymous memory could be swapped out: `memory.swap.max`, but no more than the machine's free swap (meminfo
    /// `SwapFree`). Read like that.
    pub swap_room: Reading<Bytes>,
}

/// How often a cgroup met its limit of memory, here or below: `max 7\noom 1\noom_kill 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEvents {
    /// A charge met `memory.max`, and something had to be reclaimed, or the charge failed. A touch of a huge page that can't be
    /// charged counts here some thousand times a second.
    pub max: u64,
    /// Nothing could be reclaimed, and a process was looked for to be killed.
    pub oom: u64,
    /// Processes that were killed.
    pub oom_kill: u64,
}

/// What a cgroup's memory is, in bytes, hierarchical (Documentation/admin-guide/cgroup-v2.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStat {
    /// Anonymous memory of processes.
    pub anon: Bytes,
    /// Files, tmpfs included.
    pub file: Bytes,
    /// tmpfs, and memory shared by processes.
    pub shmem: Bytes,
    /// What is locked (mlock, ramfs), of whatever kind.
    pub unevictable: Bytes,
    /// The kernel's own: stacks, page tables, caches of inodes (Linux 5.18 and newer).
    pub kernel: Reading<Bytes>,
    /// Huge pages that were charged (Linux 6.14 and newer).
    pub hugetlb: Reading<Bytes>,
    /// What of the files can be reclaimed.
    pub inactive_file: Bytes,
    /// The same, used more recently.
    pub active_file: Bytes,
    /// What of the kernel's own can be reclaimed.
    pub slab_reclaimable: Bytes,
}

impl MemoryAccounting {
    /// Whether huge pages are known to count as memory.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

impl CgroupMount {
    /// The command that has huge pages count no longer, all other options kept. With source and directory mount(8) takes the
    /// options from the command alone; without, it would add those that are in force.
    pub fn remount_without_accounting(&self) -> String {
        let mut kept: Vec<&str> = Vec::new();
        for option in &self.options {
            let is_kept = !["rw", "ro", ACCOUNTING_OPTION].contains(&option.as_str());
            if is_kept && !kept.contains(&option.as_str()) {
                kept.push(option);
            }
        }
        let options = kept.iter().fold("remount,rw".to_owned(), |all, one| format!("{all},{one}"));
        format!("mount -t cgroup2 -o {options} cgroup2 {}", self.on_the_host())
    }

    /// Where the host has it: a container's mount of it is named after that, `/host/sys/fs/cgroup`.
    pub fn on_the_host(&self) -> &str {
        const USUAL: &str = "/sys/fs/cgroup";
        self.point.rfind(USUAL).and_then(|at| self.point.get(at..)).unwrap_or(USUAL)
    }
}

impl MemoryStat {
    /// What can be given back without swapping.
    pub fn reclaimable(&self) -> Bytes {
        let parts = [self.inactive_file, self.active_file, self.slab_reclaimable];
        parts.iter().fold(Bytes::ZERO, |sum, part| Bytes(sum.0.saturating_add(part.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(point: &str, options: &str) -> CgroupMount {
        let options = options.split(',').map(str::to_owned).collect();
        CgroupMount { point: point.to_owned(), options }
    }

    #[test]
    fn the_command_keeps_all_other_options() {
        let on = "rw,nosuid,nodev,noexec,relatime,rw,nsdelegate,memory_recursiveprot,memory_hugetlb_accounting";
        assert_eq!(
            mount("/sys/fs/cgroup", on).remount_without_accounting(),
            "mount -t cgroup2 -o remount,rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup"
        );
        let in_a_pod = "ro,nosuid,relatime,rw,memory_hugetlb_accounting";
        assert_eq!(
            mount("/host/sys/fs/cgroup", in_a_pod).remount_without_accounting(),
            "mount -t cgroup2 -o remount,rw,nosuid,relatime cgroup2 /sys/fs/cgroup"
        );
        let hybrid = mount("/sys/fs/cgroup/unified", "rw,memory_hugetlb_accounting");
        assert!(hybrid.remount_without_accounting().ends_with(" /sys/fs/cgroup/unified"));
        let odd = mount("/mnt/c", "rw,memory_hugetlb_accounting").remount_without_accounting();
        assert_eq!(odd, "mount -t cgroup2 -o remount,rw cgroup2 /sys/fs/cgroup");
    }
}
