//! What processes have mapped of huge pages.

use std::collections::BTreeMap;

use crate::identity::ContainerId;
use crate::units::{Bytes, PageSize};

/// The hugetlb mappings of the containers' processes, `/proc/PID/smaps`. Two kinds of pages are in none of them: the
/// copies that a child makes of what it shares with its parent when it writes (`fork`), and those of whoever maps
/// nothing (a file left on hugetlbfs).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mappings {
    /// By container; one that has mapped none is not here. Of each container those that differ in `object`,
    /// `page_size`, `shared` or `reserved`, by object.
    pub containers: BTreeMap<ContainerId, Vec<Mapping>>,
    /// How many looks were over when this was found, this one included.
    pub looks: u64,
}

/// A part of one object that a container has mapped, however many of its processes map it and in how many pieces;
/// `PROT_NONE` left out.
///
/// Private mappings of one object are taken for one too: a forked child's is its parent's until it writes. Two
/// processes that privately map one file of hugetlbfs by themselves have pages of their own, and are shown once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// What is mapped: the same for all who share it.
    pub object: MappedObject,
    /// `KernelPageSize:     2048 kB`.
    pub page_size: PageSize,
    /// From the first byte mapped to the last, `7f81a3e00000-7f81b0600000` if there is one process.
    pub size: Bytes,
    /// At least so much of it is touched: the most that any one process has,
    /// `Shared_Hugetlb:` and `Private_Hugetlb:` together.
    pub touched: Bytes,
    /// `rw-s`: what one writes the others see.
    pub shared: bool,
    /// Whether the kernel holds pages ready for it; not with `VmFlags: … nr …` (MAP_NORESERVE). A System V segment
    /// made with SHM_NORESERVE has none ready either, and nothing tells.
    pub reserved: bool,
}

/// A file or a nameless segment, and where in it a mapping begins: `00000000 00:11 226884`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedObject {
    /// Its device, major and minor number.
    pub device: (i32, i32),
    /// Its inode number on that device. Of a System V segment it is the segment's id, which two IPC namespaces may
    /// use for two.
    pub inode: u64,
    /// In bytes.
    pub offset: u64,
}
