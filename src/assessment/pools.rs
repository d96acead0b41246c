//! What each pool has promised, can give, and has given to whom.

use crate::identity::Owner;
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
    /// What nobody holds and nobody was promised: not missed by any pod that maps all it was granted. It does not
    /// vary with what pods map at the moment.
    pub spare: Reading<Bytes>,
}

/// The pools' states, smallest page size first.
pub(super) fn states(snapshot: &Snapshot) -> Vec<PoolState> {
    snapshot.pools.iter().map(|pool| state(snapshot, pool)).collect()
}

fn state(snapshot: &Snapshot, pool: &Pool) -> PoolState {
    let sums = Sums::of(snapshot, pool.page_size);
    let available = pool.bytes(pool.available());
    let used = match (pool.bytes(pool.size), pool.bytes(pool.free)) {
        (Reading::Present(size), Reading::Present(free)) => Reading::Present(size.less(free)),
        (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
        _ => Reading::Absent,
    };
    let none = snapshot.hierarchy.is_none();
    let known = |reading| if none { Reading::Absent } else { reading };
    let orphaned = less(sums.kubepods, sums.pods);
    let unattributed = less(used, sums.all);
    let spoken_for = sums.spoken_for.plus(orphaned).plus(unattributed);
    PoolState {
        page_size: pool.page_size,
        promised: known(sums.promised),
        unfilled: known(sums.unfilled),
        shortfall: known(less(sums.unfilled, available)),
        orphaned,
        unattributed: known(unattributed),
        spare: less(pool.bytes(pool.size), spoken_for),
    }
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
}

impl Sums {
    fn of(snapshot: &Snapshot, page_size: PageSize) -> Self {
        let zero = Reading::Present(Bytes::ZERO);
        let mut sums = Self {
            promised: zero,
            unfilled: zero,
            spoken_for: zero,
            pods: zero,
            kubepods: Reading::Absent,
            all: zero,
        };
        let of = |index: Option<usize>| index.and_then(|index| snapshot.cgroups.get(index));
        let is_tier = |index| of(index).is_some_and(|cgroup| *cgroup.owner == Owner::Tier);
        // v1's root has files too, and holds what all hold.
        let is_top = |index| of(index).is_none_or(|parent| &*parent.path == "/");
        for cgroup in snapshot.cgroups.iter() {
            let Some(hugetlb) = cgroup.of_size(page_size) else { continue };
            if cgroup.parent.is_none() {
                sums.all = sums.all.plus(hugetlb.usage);
            }
            match &*cgroup.owner {
                Owner::Pod(_) => {
                    sums.promise(hugetlb);
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

    fn promise(&mut self, hugetlb: &Hugetlb) {
        let held = held(hugetlb);
        let limit = match hugetlb.limit {
            Reading::Present(Limit::At(limit)) => Reading::Present(limit),
            Reading::Failed => Reading::Failed,
            Reading::Present(Limit::Unlimited) | Reading::Absent => Reading::Absent,
        };
        let more = limit.combine(held, |limit, held| Some(limit.max(held)));
        self.spoken_for = self.spoken_for.plus(more);
        if limit != Reading::Absent {
            self.promised = self.promised.plus(limit);
            self.unfilled = self.unfilled.plus(less(limit, held));
        }
    }
}

fn held(hugetlb: &Hugetlb) -> Reading<Bytes> {
    hugetlb.usage.combine(hugetlb.reserved, |usage, reserved| Some(usage.max(reserved)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::{hugetlb, node, page_size};
    use crate::snapshot::{CgroupVersion, Hierarchy, Hugetlb};
    use crate::units::Pages;
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
            reserved: pages(10),
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
        assert_eq!(pages(state.spare), Some(0), "60, 40 and 5, and then some");
    }

    #[test]
    fn what_is_to_spare_does_not_vary_with_what_pods_map() {
        let spare = |reserved, usage| {
            let mut snapshot = node(Duration::ZERO);
            snapshot.pools = self::snapshot().pools;
            snapshot.pools[0].free = Reading::Present(Pages(100 - usage - 7));
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
