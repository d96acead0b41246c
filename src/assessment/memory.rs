//! What becomes of a cgroup's memory where huge pages count as memory (`memory_hugetlb_accounting`).
//!
//! ```text
//! to come   = huge pages mapped and still to be touched, as far as the limits of huge pages, the pool and the memory of those
//!             below let
//! fixed     = memory.current less what can be reclaimed: caches, and what could be swapped out
//! shortfall = fixed and to come, less memory.max; no more than what is to come
//! ```
//!
//! A touch that can't be charged is tried again for ever. The kernel reclaims what it can at every try, but kills nobody for
//! it (mm/memcontrol.c: `__GFP_RETRY_MAYFAIL`; mm/memory.c turns VM_FAULT_OOM into one more try).

use super::ledger::Ledger;
use super::{Assessment, Instance};
use crate::identity::Owner;
use crate::snapshot::{CgroupMemory, MemoryStat, Reading, Snapshot};
use crate::units::Bytes;

/// What is to be expected of a cgroup that has a limit of memory and holds huge pages or was granted some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOutlook {
    /// `memory.max`.
    pub limit: Bytes,
    /// What its huge pages need above the limit; above zero the process that touches the rest hangs.
    pub shortfall: Reading<Bytes>,
    /// `memory.current`, caches included; not read where all is touched.
    pub usage: Reading<Bytes>,
    /// Huge pages mapped and still to be touched.
    pub to_come: Bytes,
    /// Where that is more than the limit leaves: what is charged and can't be reclaimed.
    pub held: Option<Held>,
}

/// What is charged to a cgroup and stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Huge pages. Before Linux 6.14 the kernel does not tell them, and they are what is left over.
    pub huge: Bytes,
    /// All else: anonymous memory, tmpfs, what is locked, the kernel's own.
    pub other: Bytes,
}

impl MemoryOutlook {
    /// Whether the huge pages alone are too many: then no shrinking of other memory helps.
    pub fn is_certain(&self) -> bool {
        self.held.is_some_and(|held| self.huge(held) > self.limit)
    }

    /// What its huge pages come to, touched or not.
    fn huge(&self, held: Held) -> Bytes {
        Bytes(held.huge.0.saturating_add(self.to_come.0))
    }

    /// Whether not one page of that size can be charged any more, whatever is reclaimed.
    pub fn is_full_for(&self, page: Bytes) -> bool {
        self.held.is_some_and(|Held { huge, other }| {
            self.limit.less(Bytes(huge.0.saturating_add(other.0))) < page
        })
    }

    /// What it needs at least, huge pages included: whole MiB, and one for what the kernel needs to map them.
    pub fn needed(&self) -> Option<Bytes> {
        let Held { huge, other } = self.held?;
        let all = huge.0.saturating_add(other.0).saturating_add(self.to_come.0);
        Some(mebibytes(Bytes(all.saturating_add(1 << 20))))
    }

    /// Its limit with its huge pages on top: as much is left for everything else as was meant to be.
    pub fn with_huge_pages(&self) -> Option<Bytes> {
        let huge = self.huge(self.held?);
        Some(mebibytes(Bytes(self.limit.0.saturating_add(huge.0))))
    }
}

fn mebibytes(bytes: Bytes) -> Bytes {
    Bytes(bytes.0.div_ceil(1 << 20).saturating_mul(1 << 20))
}

/// What is to be expected of every cgroup, in the snapshot's order; nothing where huge pages do not count as memory, or where
/// no limit is known.
pub(super) fn outlooks(snapshot: &Snapshot, ledger: &Ledger) -> Vec<Option<MemoryOutlook>> {
    if !snapshot.accounting.is_on() {
        return Vec::new();
    }
    let mut outlooks = vec![None; snapshot.cgroups.len()];
    // What is to come below a cgroup and never gets to it, since a limit below is met before.
    let mut kept_back = vec![0_u64; snapshot.cgroups.len()];
    for (index, cgroup) in snapshot.cgroups.iter().enumerate().rev() {
        let below = kept_back.get(index).copied().unwrap_or_default();
        let to_come = to_come(snapshot, ledger, index);
        let to_come = to_come.map(|to_come| to_come.less(Bytes(below)));
        let outlook =
            cgroup.memory.as_deref().and_then(|memory| outlook(snapshot, index, memory, to_come));
        let short = outlook.and_then(|outlook| outlook.shortfall.present()).unwrap_or_default();
        if let Some(place) = cgroup.parent.and_then(|parent| kept_back.get_mut(parent)) {
            *place = place.saturating_add(below).saturating_add(short.0);
        }
        if let Some(place) = outlooks.get_mut(index) {
            *place = outlook;
        }
    }
    outlooks
}

/// Gives pods and containers theirs; of several cgroups of one that which is shortest.
pub(super) fn hand_out(
    outlooks: &[Option<MemoryOutlook>],
    snapshot: &Snapshot,
    assessment: &mut Assessment,
) {
    for (cgroup, outlook) in snapshot.cgroups.iter().zip(outlooks) {
        let Some(outlook) = outlook else { continue };
        let around = cgroup.parent.and_then(|parent| snapshot.cgroups.get(parent));
        let owner = match (&*cgroup.owner, around) {
            (Owner::InsideContainer, Some(around)) => &*around.owner,
            (owner, _) => owner,
        };
        let place = match owner {
            Owner::Pod(pod) => {
                let pods = &mut assessment.pods;
                pods.iter_mut()
                    .find(|it| *it.identity.uid == *pod.uid.as_str())
                    .map(|it| &mut it.memory)
            }
            Owner::Container(container) => {
                let is_it = |it: &Instance| it.id == container.id;
                let mut containers = assessment.containers.iter_mut();
                let found = containers.find(|it| it.newest.as_ref().is_some_and(is_it));
                found.map(|it| &mut it.memory)
            }
            _ => None,
        };
        if let Some(place) = place
            && place.is_none_or(|other| other.shortfall.present() < outlook.shortfall.present())
        {
            *place = Some(*outlook);
        }
    }
}

/// What is still to be touched, of all sizes. Absent where the kernel's figures can't tell.
fn to_come(snapshot: &Snapshot, ledger: &Ledger, index: usize) -> Reading<Bytes> {
    let Some(cgroup) = snapshot.cgroups.get(index) else { return Reading::Absent };
    let mut sum = Reading::Present(Bytes::ZERO);
    for hugetlb in cgroup.hugetlb.iter() {
        let outlook = ledger.outlook(index, hugetlb.page_size);
        if outlook.uncertainty.is_some() {
            return Reading::Absent;
        }
        sum = sum.plus(outlook.to_come);
    }
    sum
}

fn outlook(
    snapshot: &Snapshot,
    index: usize,
    memory: &CgroupMemory,
    to_come: Reading<Bytes>,
) -> Option<MemoryOutlook> {
    let limit = memory.limit.finite()?;
    let mut outlook = MemoryOutlook {
        limit,
        shortfall: Reading::Absent,
        usage: memory.usage,
        to_come: Bytes::ZERO,
        held: None,
    };
    let to_come = match to_come {
        Reading::Present(to_come) => to_come,
        unknown => return Some(MemoryOutlook { shortfall: unknown, ..outlook }),
    };
    outlook.to_come = to_come;
    let usage = match memory.usage {
        Reading::Present(usage) => usage,
        Reading::Failed => return Some(MemoryOutlook { shortfall: Reading::Failed, ..outlook }),
        // It is read wherever any are still to be touched that were mapped with a reservation.
        Reading::Absent => {
            let shortfall = match to_come {
                Bytes::ZERO => Reading::Present(Bytes::ZERO),
                _ => Reading::Absent,
            };
            return Some(MemoryOutlook { shortfall, ..outlook });
        }
    };
    outlook.shortfall = match memory.stat {
        Reading::Present(stat) => {
            let held = held(snapshot, index, memory, &stat, usage);
            outlook.held = Some(held);
            let all = held.huge.0.saturating_add(held.other.0).saturating_add(to_come.0);
            Reading::Present(Bytes(all).less(limit).min(to_come))
        }
        Reading::Failed => Reading::Failed,
        // Without it all of the usage may be there to stay.
        Reading::Absent if limit.less(usage) >= to_come => Reading::Present(Bytes::ZERO),
        Reading::Absent => Reading::Absent,
    };
    Some(outlook)
}

/// What is charged and stays.
fn held(
    snapshot: &Snapshot,
    index: usize,
    memory: &CgroupMemory,
    stat: &MemoryStat,
    usage: Bytes,
) -> Held {
    let fixed = usage.less(stat.reclaimable());
    let kernel = stat.kernel.present().unwrap_or_default();
    let others = stat.anon.0.saturating_add(stat.file.0).saturating_add(kernel.0);
    let sizes = snapshot.cgroups.get(index).into_iter().flat_map(|cgroup| cgroup.hugetlb.iter());
    let touched = sizes.filter_map(|size| size.usage.present());
    let touched = touched.fold(0_u64, |sum, usage| sum.saturating_add(usage.0));
    let left_over = usage.less(Bytes(others)).min(Bytes(touched));
    let huge = stat.hugetlb.present().unwrap_or(left_over).min(fixed);
    let swappable = memory.swap_room.present().unwrap_or_default();
    let swappable = swappable.min(Bytes(stat.anon.0.saturating_add(stat.shmem.0)));
    Held { huge, other: fixed.less(huge).less(swappable) }
}
