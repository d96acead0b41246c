//! One cgroup's hugetlb state.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{CgroupMemory, Limit, Reading};
use crate::identity::Owner;
use crate::units::{Bytes, NumaNode, PageSize};

/// Where the hugetlb controller lives. It is bound to one hierarchy at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which files to expect.
    pub version: CgroupVersion,
    /// The directory of its root, as we see it.
    pub root: PathBuf,
}

/// The cgroup that the exporter itself is in: its huge pages would be charged there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCgroup {
    /// Which files it has, or would have.
    pub version: CgroupVersion,
    /// Its directory, as we see it: in a container through its own mount.
    pub directory: PathBuf,
    /// Whose it is by its path, as far as our namespace shows that.
    pub owner: Owner,
    /// Whether it has hugetlb files: without, nothing of ours is limited.
    pub has_controller: bool,
    /// Its index in the snapshot, where the same directory is seen there.
    pub index: Option<usize>,
}

/// The version of a cgroup hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// `hugetlb.2MB.usage_in_bytes` and its like.
    V1,
    /// `hugetlb.2MB.current` and its like.
    V2,
}

impl fmt::Display for CgroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// A cgroup that has hugetlb files.
#[derive(Debug, Clone)]
pub struct Cgroup {
    /// Its path below the hierarchy's root, `/kubepods.slice/kubepods-pod….slice`. Bytes that are no
    /// UTF-8 are written `%FF`, control characters `%1B`.
    pub path: Arc<str>,
    /// The inode number of its directory; kernfs counts it up, so a younger cgroup has a greater one.
    pub inode: u64,
    /// The index of its parent in the snapshot, if that has hugetlb files too.
    pub parent: Option<usize>,
    /// Whose it is, by its path.
    pub owner: Arc<Owner>,
    /// Whether there is a process in it or below it, `populated 1` in `cgroup.events` (v1: anything in the `cgroup.procs`
    /// there). Read for pods.
    pub populated: Reading<bool>,
    /// The NUMA nodes its memory may come from, `cpuset.mems.effective` (v1 `cpuset.effective_mems`): `0-1,3`.
    /// Read for containers with reserved pages to come, on machines with several nodes.
    pub memory_nodes: Reading<Vec<NumaNode>>,
    /// What the memory controller says, where huge pages count as memory and any are held or granted here or below.
    pub memory: Option<Arc<CgroupMemory>>,
    /// Its state, smallest page size first.
    pub hugetlb: Arc<[Hugetlb]>,
}

/// A cgroup's figures for one page size. Usage and reservation are hierarchical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hugetlb {
    /// The size.
    pub page_size: PageSize,
    /// Touched pages: v2 `hugetlb.2MB.current`, v1 `hugetlb.2MB.usage_in_bytes`; `134217728`.
    pub usage: Reading<Bytes>,
    /// The fault limit: v2 `hugetlb.2MB.max`, v1 `hugetlb.2MB.limit_in_bytes`. Over it a touch is SIGBUS.
    pub limit: Reading<Limit>,
    /// Mapped pages, touched or not: v2 `hugetlb.2MB.rsvd.current`, v1 `hugetlb.2MB.rsvd.usage_in_bytes`
    /// (Linux 5.7 and newer).
    pub reserved: Reading<Bytes>,
    /// The reservation limit: v2 `hugetlb.2MB.rsvd.max`, v1 `hugetlb.2MB.rsvd.limit_in_bytes`.
    /// Over it mmap answers ENOMEM.
    pub reservation_limit: Reading<Limit>,
    /// Refused charges.
    pub failures: Failures,
    /// The most ever touched, v1 only: `hugetlb.2MB.max_usage_in_bytes`.
    pub max_usage: Reading<Bytes>,
    /// Touched pages by NUMA node, `hugetlb.2MB.numa_stat`: `total=4194304 N0=4194304` (Linux 5.17 and newer). Read
    /// on machines with several nodes.
    pub numa_usage: Reading<Vec<NumaUsage>>,
}

/// What a cgroup held when the reader heard that it, or one below it, was refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtRefusal {
    /// Its index in the snapshot.
    pub cgroup: usize,
    /// Of which page size.
    pub page_size: PageSize,
    /// Touched: the most, where it heard more than once.
    pub usage: Reading<Bytes>,
    /// Mapped, the same.
    pub reserved: Reading<Bytes>,
}

/// What a cgroup has touched on one NUMA node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumaUsage {
    /// The node.
    pub node: NumaNode,
    /// Touched pages there, in bytes.
    pub usage: Bytes,
}

/// Refused charges, as the two versions count them (mm/hugetlb_cgroup.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// v2 counts refused faults (lethal) and refused reservations (harmless) in one number, `max 7`,
    /// at the cgroup of the task that was refused.
    V2 {
        /// `hugetlb.2MB.events`: in this cgroup and below.
        hierarchical: Reading<u64>,
        /// `hugetlb.2MB.events.local`: tasks of this cgroup alone.
        local: Reading<u64>,
    },
    /// v1 counts at the cgroup whose limit was hit, and only there.
    V1 {
        /// `hugetlb.2MB.failcnt`: refused faults.
        faults: Reading<u64>,
        /// `hugetlb.2MB.rsvd.failcnt`: refused reservations, and faults without one that the reservation
        /// limit refused.
        reservations: Reading<u64>,
    },
}

impl Failures {
    /// All refusals this cgroup's files tell of.
    pub fn total(self) -> Reading<u64> {
        match self {
            Self::V2 { hierarchical, .. } => hierarchical,
            Self::V1 { faults, reservations } => faults.plus(reservations),
        }
    }
}

impl Hugetlb {
    /// Whether pages are mapped or touched, or that is not known.
    pub fn is_in_use(&self) -> bool {
        let none = [Reading::Present(Bytes::ZERO), Reading::Absent];
        !(none.contains(&self.usage) && none.contains(&self.reserved))
    }

    /// Whether a figure is there and could not be read.
    pub fn has_failed(&self) -> bool {
        let (Failures::V2 { hierarchical: first, local: second }
        | Failures::V1 { faults: first, reservations: second }) = self.failures;
        [self.usage, self.reserved, self.max_usage].contains(&Reading::Failed)
            || [self.limit, self.reservation_limit].contains(&Reading::Failed)
            || [first, second].contains(&Reading::Failed)
            || self.numa_usage == Reading::Failed
    }
}

impl Cgroup {
    /// Its figures for one page size.
    pub fn of_size(&self, page_size: PageSize) -> Option<&Hugetlb> {
        self.hugetlb.iter().find(|hugetlb| hugetlb.page_size == page_size)
    }
}
