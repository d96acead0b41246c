//! The formats of the kernel's files, parsed from text alone. No input panics.

use crate::snapshot::{CgroupVersion, Limit, MemoryEvents, MemoryStat, NumaUsage, Reading};
use crate::units::{Bytes, NumaNode, PageSize, Pages, SignedPages};

/// How a file is understood, and what was expected where it is not.
pub(super) type Format<T> = (fn(&str) -> Option<T>, &'static str);

pub(super) const NUMBER: Format<u64> = (number, "a number");
pub(super) const PAGES: Format<Pages> = (pages, "a number of pages");
pub(super) const SIGNED_PAGES: Format<SignedPages> = (signed_pages, "a number of pages");
pub(super) const BYTES: Format<Bytes> = (usage, "bytes below 2^62");
pub(super) const LIMIT: Format<Limit> = (limit, "`max` or bytes");
pub(super) const EVENTS: Format<u64> = (events, "`max <number>`");
pub(super) const NUMA_STAT: Format<Vec<NumaUsage>> = (numa_stat, "`total=<bytes> N0=<bytes> ...`");
pub(super) const NODE_LIST: Format<Vec<NumaNode>> =
    (node_list, "a list of NUMA nodes such as 0-1,3");
pub(super) const POPULATED: Format<bool> = (populated, "`populated <0 or 1>`");
pub(super) const MEMORY_EVENTS: Format<MemoryEvents> = (memory_events, "`max <number>` and others");
pub(super) const MEMORY_STAT: Format<MemoryStat> = (memory_stat, "`anon <bytes>` and others");
/// meminfo's; nothing where it has no such line.
pub(super) const SWAP_FREE: Format<Option<Bytes>> =
    (|text| meminfo_kilobytes(text, "SwapFree"), "`SwapFree: <number> kB`");
/// Whether cgroup.procs lists any.
pub(super) const PROCESSES: Format<bool> =
    (|text| Some(!text.trim().is_empty()), "numbers of processes");

/// `134217728\n`
pub fn number(text: &str) -> Option<u64> {
    let digits = text.trim_end();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// `500\n` in sysfs.
pub(super) fn pages(text: &str) -> Option<Pages> {
    number(text).map(Pages)
}

/// The same of a count that some kernels take below zero, `18446744073709551615\n` (reserved pages that are uncharged
/// twice: a hugetlbfs file's pages dropped, poisoned or write-protected). sysfs writes it without a sign.
pub(super) fn signed_pages(text: &str) -> Option<SignedPages> {
    number(text).map(u64::cast_signed).map(SignedPages)
}

/// A usage or reservation in bytes. From 2^62 on it is a counter that went below zero (reservations were
/// uncharged twice in some kernels of 5.8 to 5.15), not a figure.
pub fn usage(text: &str) -> Option<Bytes> {
    number(text).filter(|bytes| *bytes < Limit::UNLIMITED_FROM).map(Bytes)
}

/// `max\n`, `9223372036854771712\n` or `134217728\n`
pub fn limit(text: &str) -> Option<Limit> {
    match text.trim_end() {
        "max" => Some(Limit::Unlimited),
        _ => number(text).map(Limit::from_bytes),
    }
}

/// `max 7\n`: one key a line, and there may be more keys some day.
pub fn events(text: &str) -> Option<u64> {
    let max = text.lines().find_map(|line| line.strip_prefix("max "))?;
    number(max)
}

/// memory.events: `low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n`
pub(super) fn memory_events(text: &str) -> Option<MemoryEvents> {
    let count = |key: &str| keyed(text, key).and_then(number);
    Some(MemoryEvents { max: count("max")?, oom: count("oom")?, oom_kill: count("oom_kill")? })
}

/// memory.stat: `anon 4096\nfile 8192\n...`, bytes by key, in no order that is promised; older kernels lack some keys.
pub(super) fn memory_stat(text: &str) -> Option<MemoryStat> {
    let bytes = |key: &str| keyed(text, key).and_then(number).map(Bytes);
    let newer = |key: &str| bytes(key).map_or(Reading::Absent, Reading::Present);
    Some(MemoryStat {
        anon: bytes("anon")?,
        file: bytes("file")?,
        shmem: bytes("shmem")?,
        unevictable: bytes("unevictable")?,
        kernel: newer("kernel"),
        hugetlb: newer("hugetlb"),
        inactive_file: bytes("inactive_file")?,
        active_file: bytes("active_file")?,
        slab_reclaimable: bytes("slab_reclaimable")?,
    })
}

/// What stands after a key, `max 7`.
fn keyed<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

/// cgroup.events: `populated 1\nfrozen 0\n`
pub(super) fn populated(text: &str) -> Option<bool> {
    match text.lines().find_map(|line| line.strip_prefix("populated "))? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// v2 `total=4194304 N0=4194304\n`; on v1 that line is the cgroup's own, and a second one counts those
/// below, `hierarchical_total=4194304 N0=4194304`.
///
/// When a cgroup with pages left is removed its parent inherits the total and not the nodes' parts; freeing
/// the pages then takes a node's part below zero, for ever. Such a part is left out.
pub fn numa_stat(text: &str) -> Option<Vec<NumaUsage>> {
    let hierarchical = text.lines().find_map(|line| line.strip_prefix("hierarchical_total="));
    let line = hierarchical.or_else(|| text.lines().next()?.strip_prefix("total="))?;
    let mut fields = line.split_ascii_whitespace();
    let total = number(fields.next()?)?;
    let mut nodes = Vec::new();
    for field in fields {
        let (name, bytes) = field.split_once('=')?;
        let (node, bytes) = (NumaNode::from_name(name, "N")?, number(bytes)?);
        if bytes <= total {
            nodes.push(NumaUsage { node, usage: Bytes(bytes) });
        }
    }
    Some(nodes)
}

/// cpuset.mems.effective: `0-1,3\n`, or an empty line where nothing is bound. The kernel lists each node once, in order.
pub fn node_list(text: &str) -> Option<Vec<NumaNode>> {
    // No machine has more; a range beyond is not one of nodes.
    const MOST: u32 = 4096;
    let mut nodes: Vec<NumaNode> = Vec::new();
    for range in text.trim_end().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (NumaNode::from_name(first, "")?, NumaNode::from_name(last, "")?);
        if last < first || last.0 >= MOST || nodes.last().is_some_and(|before| first <= *before) {
            return None;
        }
        nodes.extend((first.0..=last.0).map(NumaNode));
    }
    Some(nodes)
}

/// A field of meminfo in kB, `Hugetlb:         1024000 kB`.
pub fn meminfo_kilobytes(text: &str, field: &str) -> Option<Option<Bytes>> {
    match text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')) {
        None => Some(None),
        Some(rest) => number(rest.trim_start().strip_suffix("kB")?)?
            .checked_mul(1024)
            .map(|bytes| Some(Bytes(bytes))),
    }
}

/// A field of vmstat, `htlb_buddy_alloc_success 500`.
pub fn vmstat(text: &str, field: &str) -> Option<Option<u64>> {
    match text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' ')) {
        None => Some(None),
        Some(rest) => number(rest).map(Some),
    }
}

/// What a cgroup's file tells, from the part of its name after the page size. In the order in which they are read: the
/// two that are compared with each other right after one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileKind {
    Usage,
    Reserved,
    MaxUsage,
    NumaStat,
    Limit,
    ReservationLimit,
    Events,
    EventsLocal,
    Failcnt,
    ReservedFailcnt,
}

impl FileKind {
    /// Whether that version of the hierarchy has it.
    pub(super) fn is_of(self, version: CgroupVersion) -> bool {
        match self {
            Self::Events | Self::EventsLocal => version == CgroupVersion::V2,
            Self::Failcnt | Self::ReservedFailcnt => version == CgroupVersion::V1,
            _ => true,
        }
    }
}

/// `hugetlb.2MB.rsvd.current`; nothing for files that tell nothing we need.
pub(super) fn file_name(name: &str) -> Option<(PageSize, FileKind)> {
    let (size, kind) = name.strip_prefix("hugetlb.")?.split_once('.')?;
    let kind = match kind {
        "current" | "usage_in_bytes" => FileKind::Usage,
        "max" | "limit_in_bytes" => FileKind::Limit,
        "rsvd.current" | "rsvd.usage_in_bytes" => FileKind::Reserved,
        "rsvd.max" | "rsvd.limit_in_bytes" => FileKind::ReservationLimit,
        "events" => FileKind::Events,
        "events.local" => FileKind::EventsLocal,
        "failcnt" => FileKind::Failcnt,
        "rsvd.failcnt" => FileKind::ReservedFailcnt,
        "max_usage_in_bytes" => FileKind::MaxUsage,
        "numa_stat" => FileKind::NumaStat,
        _ => return None,
    };
    Some((size.parse().ok()?, kind))
}

#[cfg(test)]
mod tests;
