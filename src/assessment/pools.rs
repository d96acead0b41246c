//! What each pool has promised, can give, and has given to whom.

use std::collections::HashMap;

use super::gone::is_gone;
use crate::history::History;
use crate::identity::{Owner, PodUid};
use crate::snapshot::{Hugetlb, Limit, Pool, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

/// A pool and its tenants. Grants belong to pods: a container's limit is a part of its pod's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// The size of its pages.
    pub page_size: PageSize,
    /// All that pods may touch: the sum of their limits.
    pub promised: Reading<Bytes>,
    /// What of it they have not yet mapped.
    pub unfilled: Reading<Bytes>,
    /// What of that the pool could not give now. Overcommitted pages are not counted on.
    pub shortfall: Reading<Bytes>,
    /// Charged to kubepods and to no pod that is there: files that outlived their pod.
    pub orphaned: Reading<Bytes>,
    /// In use, and charged to no cgroup that we see: host processes, and files nobody maps.
    pub unattributed: Reading<Bytes>,
    /// Reserved and not yet touched, and charged to no cgroup that we see: hugetlbfs mounts with a min_size, and host
    /// processes.
    pub unattributed_reserved: Reading<Bytes>,
    /// How many reserved pages at least the kernel's count lacks; nothing where it may be right.
    pub lost_reservations: Option<Bytes>,
    /// What nobody holds and nobody was promised: not missed by any pod that maps all it was granted. It does not
    /// vary with what pods map at the moment.
    pub spare: Reading<Bytes>,
}

/// The pools' states, smallest page size first.
pub(super) fn states(snapshot: &Snapshot, history: &History) -> Vec<PoolState> {
    snapshot.pools.iter().map(|pool| state(snapshot, history, pool)).collect()
}

fn state(snapshot: &Snapshot, history: &History, pool: &Pool) -> PoolState {
    let sums = Sums::of(snapshot, history, pool.page_size);
    let available = pool.bytes(pool.available());
    let none = snapshot.hierarchy.is_none();
    let known = |reading| if none { Reading::Absent } else { reading };
    // Where only a part of the hierarchy is seen, the rest may have cgroups of its own.
    let of_node = |reading| if snapshot.is_part { Reading::Absent } else { reading };
    let orphaned = less(sums.kubepods, sums.pods);
    let unattributed = of_node(less(used(pool), sums.all));
    let reserved = pool.reserved_bytes();
    let unattributed_reserved = of_node(less(reserved, less(sums.all_reserved, sums.all)));
    let spoken_for = sums.spoken_for.plus(orphaned).plus(unattributed).plus(unattributed_reserved);
    PoolState {
        page_size: pool.page_size,
        promised: known(sums.promised),
        unfilled: known(sums.unfilled),
        shortfall: known(less(sums.unfilled, available)),
        orphaned,
        unattributed: known(unattributed),
        unattributed_reserved: known(unattributed_reserved),
        lost_reservations: lost_reservations(snapshot, pool),
        spare: less(pool.bytes(pool.size), spoken_for),
    }
}

/// How many reserved pages at least the kernel's count of them lacks, `resv_hugepages`. What cgroups are charged for as
/// reserved is either touched, and then not free any more, or still reserved in the pool.
pub(super) fn lost_reservations(snapshot: &Snapshot, pool: &Pool) -> Option<Bytes> {
    let (used, counted) = (used(pool).present()?, pool.counted_reserved_bytes().present()?);
    let top = snapshot.cgroups.iter().filter(|cgroup| cgroup.parent.is_none());
    let charged = top.filter_map(|top| top.of_size(pool.page_size)?.reserved.present());
    let charged = charged.fold(Bytes::ZERO, |sum, bytes| Bytes(sum.0.saturating_add(bytes.0)));
    let least = i128::from(charged.less(used).0) - i128::from(counted.0);
    u64::try_from(least).ok().map(Bytes).filter(|lost| *lost > Bytes::ZERO)
}

/// The pages that are not free.
fn used(pool: &Pool) -> Reading<Bytes> {
    less(pool.bytes(pool.size), pool.bytes(pool.free))
}

/// The one less the other, where both are known.
fn less(a: Reading<Bytes>, b: Reading<Bytes>) -> Reading<Bytes> {
    match (a, b) {
        (Reading::Present(a), Reading::Present(b)) => Reading::Present(a.less(b)),
        (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
        _ => Reading::Absent,
    }
}

/// Sums over cgroups.
struct Sums {
    promised: Reading<Bytes>,
    unfilled: Reading<Bytes>,
    /// What pods were granted or hold, whichever is more, and what others hold.
    spoken_for: Reading<Bytes>,
    /// What pods below a kubepods use.
    pods: Reading<Bytes>,
    /// What the kubepods use; a node of kind's has several. Absent without any.
    kubepods: Reading<Bytes>,
    /// What the cgroups that have no parent use.
    all: Reading<Bytes>,
    /// What they have reserved; absent on kernels that do not count it.
    all_reserved: Reading<Bytes>,
}

impl Sums {
    fn of(snapshot: &Snapshot, history: &History, page_size: PageSize) -> Self {
        let zero = Reading::Present(Bytes::ZERO);
        let mut sums = Self {
            promised: zero,
            unfilled: zero,
            spoken_for: zero,
            pods: zero,
            kubepods: Reading::Absent,
            all: zero,
            all_reserved: zero,
        };
        let of = |index: Option<usize>| index.and_then(|index| snapshot.cgroups.get(index));
        let is_tier = |index| of(index).is_some_and(|cgroup| *cgroup.owner == Owner::Tier);
        // v1's root has files too, and holds what all hold.
        let is_top = |index| of(index).is_none_or(|parent| &*parent.path == "/");
        let outside = held_outside(snapshot, page_size);
        for cgroup in snapshot.cgroups.iter() {
            let Some(hugetlb) = cgroup.of_size(page_size) else { continue };
            if cgroup.parent.is_none() {
                sums.all = sums.all.plus(hugetlb.usage);
                sums.all_reserved = match hugetlb.reserved {
                    Reading::Absent => Reading::Absent,
                    reserved => sums.all_reserved.plus(reserved),
                };
            }
            match &*cgroup.owner {
                Owner::Pod(pod) => {
                    if is_gone(snapshot, history, cgroup, &pod.uid) {
                        sums.spoken_for = sums.spoken_for.plus(held(hugetlb));
                    } else {
                        let granted = snapshot.guarding(cgroup, hugetlb).granted(hugetlb.limit);
                        sums.promise(
                            hugetlb,
                            granted,
                            outside.get(&pod.uid).copied().unwrap_or_default(),
                        );
                    }
                    if is_tier(cgroup.parent) {
                        sums.pods = sums.pods.plus(hugetlb.usage);
                    }
                }
                Owner::Tier if !is_tier(cgroup.parent) => {
                    sums.kubepods = sums.kubepods.plus(hugetlb.usage);
                }
                Owner::Service if &*cgroup.path != "/" && is_top(cgroup.parent) => {
                    sums.spoken_for = sums.spoken_for.plus(held(hugetlb));
                }
                _ => {}
            }
        }
        sums
    }

    /// Adds what a pod was granted and holds; `outside` its cgroup its containers hold some of it.
    fn promise(&mut self, hugetlb: &Hugetlb, granted: Reading<Limit>, outside: Bytes) {
        let held = held(hugetlb);
        let limit = match granted {
            Reading::Present(Limit::At(limit)) => Reading::Present(limit),
            Reading::Failed => Reading::Failed,
            Reading::Present(Limit::Unlimited) | Reading::Absent => Reading::Absent,
        };
        let more = limit.combine(held, |limit, held| Some(limit.max(held)));
        self.spoken_for = self.spoken_for.plus(more);
        if limit != Reading::Absent {
            self.promised = self.promised.plus(limit);
            let all = held.plus(Reading::Present(outside));
            self.unfilled = self.unfilled.plus(less(limit, all));
        }
    }
}

/// What containers hold that lie outside of their pods' cgroups.
fn held_outside(snapshot: &Snapshot, page_size: PageSize) -> HashMap<&PodUid, Bytes> {
    let mut outside: HashMap<&PodUid, Bytes> = HashMap::new();
    for cgroup in snapshot.cgroups.iter() {
        let Owner::Container(container) = &*cgroup.owner else { continue };
        if let Some(hugetlb) = cgroup.of_size(page_size).filter(|_| !container.in_pod_cgroup) {
            let sum = outside.entry(&container.pod.uid).or_default();
            *sum = Bytes(sum.0.saturating_add(held(hugetlb).present().unwrap_or_default().0));
        }
    }
    outside
}

fn held(hugetlb: &Hugetlb) -> Reading<Bytes> {
    hugetlb.usage.combine(hugetlb.reserved, |usage, reserved| Some(usage.max(reserved)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Retention;
    use crate::snapshot::example::{hugetlb, node, page_size};
    use crate::snapshot::{CgroupVersion, Hierarchy, Hugetlb};
    use crate::units::{Pages, SignedPages};
    use std::time::Duration;

    const PAGE: u64 = 2 << 20;

    fn figures(limit: u64, reserved: u64, usage: u64) -> Hugetlb {
        Hugetlb {
            limit: Reading::Present(Limit::from_bytes(limit.saturating_mul(PAGE))),
            reserved: Reading::Present(Bytes(reserved * PAGE)),
            ..hugetlb(usage * PAGE, 0)
        }
    }

    /// 100 pages, 40 of them free, 10 of those reserved.
    fn snapshot() -> Snapshot {
        let mut snapshot = node(Duration::ZERO);
        let pages = |pages| Reading::Present(Pages(pages));
        snapshot.pools = vec![Pool {
            page_size: page_size(),
            size: pages(100),
            free: pages(40),
            reserved: Reading::Present(SignedPages(10)),
            surplus: pages(0),
            overcommit_limit: pages(50),
            nodes: Vec::new(),
        }];
        snapshot.hierarchy =
            Some(Hierarchy { version: CgroupVersion::V2, root: "/sys/fs/cgroup".into() });
        snapshot
            .with("/kubepods", figures(u64::MAX, 60, 52))
            .with("/kubepods/burstable", figures(u64::MAX, 30, 25))
            .with("/kubepods/burstable/poda", figures(60, 20, 15))
            .with("/kubepods/poda-b", figures(u64::MAX, 0, 0))
            .with("/kubepods/pod00000000-0000-0000-0000-000000000001", figures(40, 30, 27))
            .with("/system.slice/vm", figures(u64::MAX, 5, 5))
    }

    fn states(snapshot: &Snapshot) -> Vec<PoolState> {
        super::states(snapshot, &History::new(Retention::default()))
    }

    fn pages(reading: Reading<Bytes>) -> Option<u64> {
        reading.present().map(|bytes| bytes.0 / PAGE)
    }

    #[test]
    fn a_pools_sums() {
        let state = states(&snapshot()).remove(0);
        assert_eq!(pages(state.promised), Some(100));
        assert_eq!(pages(state.unfilled), Some(40 + 10));
        assert_eq!(pages(state.shortfall), Some(50 - 30), "overcommit is a hope");
        assert_eq!(pages(state.orphaned), Some(52 - 42));
        assert_eq!(pages(state.unattributed), Some(60 - 57));
        assert_eq!(pages(state.unattributed_reserved), Some(10 - (65 - 57)));
        assert_eq!(state.lost_reservations, None);
        assert_eq!(pages(state.spare), Some(0), "60, 40 and 5, and then some");
    }

    #[test]
    fn what_is_to_spare_does_not_vary_with_what_pods_map() {
        let spare = |reserved: u64, usage: u64| {
            let mut snapshot = node(Duration::ZERO);
            snapshot.pools = self::snapshot().pools;
            snapshot.pools[0].free = Reading::Present(Pages(100 - usage - 7));
            let to_come = reserved.saturating_sub(usage).cast_signed();
            snapshot.pools[0].reserved = Reading::Present(SignedPages(to_come));
            let mut snapshot = snapshot
                .with("/", figures(u64::MAX, reserved + 5, usage + 5))
                .with("/kubepods", figures(u64::MAX, reserved, usage))
                .with("/kubepods/poda", figures(60, reserved, usage))
                .with("/vm", figures(u64::MAX, 5, 5));
            // v1's root is everyone's parent.
            (snapshot.cgroups_mut()[1].parent, snapshot.cgroups_mut()[3].parent) =
                (Some(0), Some(0));
            pages(states(&snapshot).remove(0).spare)
        };
        // 5 are the machine's, and 2 are used by nobody who is seen.
        for (reserved, usage) in [(0, 0), (60, 0), (60, 60), (30, 10)] {
            assert_eq!(spare(reserved, usage), Some(100 - 60 - 5 - 2), "{reserved} {usage}");
        }
        assert_eq!(spare(70, 10), Some(100 - 70 - 5 - 2), "it has mapped more than it may touch");
    }

    #[test]
    fn the_kernel_has_lost_count_where_more_is_charged_than_there_is() {
        let lost = |reserved| {
            let mut snapshot = snapshot();
            snapshot.pools[0].reserved = Reading::Present(SignedPages(reserved));
            states(&snapshot).remove(0).lost_reservations.map(|bytes| bytes.0 / PAGE)
        };
        // 65 are charged as reserved, and 60 are not free.
        for (reserved, expected) in [(5, None), (4, Some(1)), (0, Some(5)), (-2, Some(7))] {
            assert_eq!(lost(reserved), expected, "{reserved}");
        }
    }

    #[test]
    fn what_lies_outside_of_a_pods_cgroup_fills_its_grant() {
        let outside = format!("/kubepods-poda.slice:cri-containerd:{:0>64}", 1);
        let state = states(&snapshot().with(&outside, figures(u64::MAX, 7, 7))).remove(0);
        assert_eq!(pages(state.unfilled), Some(40 + 10 - 7));
    }

    #[test]
    fn what_is_left_of_a_pod_promises_nothing() {
        let mut snapshot = snapshot();
        snapshot.cgroups_mut()[2].populated = Reading::Present(false);
        let mut history = History::new(Retention::default());
        history.update(&snapshot);
        let state = super::states(&snapshot, &history).remove(0);
        assert_eq!((pages(state.promised), pages(state.unfilled)), (Some(40), Some(10)));
    }

    #[test]
    fn one_unreadable_limit_costs_the_sums_it_belongs_to_and_no_other() {
        let mut snapshot = snapshot();
        snapshot.cgroups_mut()[2].hugetlb_mut()[0].limit = Reading::Failed;
        let state = states(&snapshot).remove(0);
        assert_eq!((state.promised, state.shortfall), (Reading::Failed, Reading::Failed));
        assert_eq!(pages(state.orphaned), Some(10));
    }

    #[test]
    fn without_cgroups_nothing_is_promised_and_nothing_is_known() {
        let mut snapshot = snapshot();
        (snapshot.hierarchy, snapshot.cgroups) = (None, std::sync::Arc::default());
        let state = states(&snapshot).remove(0);
        assert_eq!((state.promised, state.unattributed), (Reading::Absent, Reading::Absent));
    }
}
