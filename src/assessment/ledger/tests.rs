//! The sums, on trees made up for them.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::assessment::containers::inner;
use crate::assessment::findings::example::{PG, figures, limit};
use crate::identity::ContainerId;
use crate::snapshot::example::{id, node, page_size};
use crate::snapshot::{MappedObject, Mapping, Mappings};
use crate::units::{Pages, SignedPages};
use proptest::prelude::*;

mod mapped;
mod netting;

const POD: &str = "/kubepods/podu";

/// Limit in pages (none: unlimited), then reserved and used.
type Cgroup<'a> = (&'a str, Option<u64>, (u64, u64));

/// A node with a pool of 500 pages, of which what is reserved in these cgroups at the top is reserved.
fn tree(cgroups: &[Cgroup<'_>]) -> Snapshot {
    let pages = |pages| Reading::Present(Pages(pages));
    let mut snapshot = node(Duration::ZERO);
    let (_, _, (reserved, used)) = cgroups[0];
    snapshot.pools = vec![Pool {
        page_size: page_size(),
        size: pages(500),
        free: pages(500 - used),
        reserved: Reading::Present(SignedPages(reserved.saturating_sub(used).cast_signed())),
        surplus: pages(0),
        overcommit_limit: pages(0),
        nodes: Vec::new(),
    }];
    for (path, limit, held) in cgroups {
        snapshot = snapshot.with(path, figures(*limit, *held));
    }
    snapshot
}

fn outlook(snapshot: &Snapshot, path: &str) -> Outlook {
    let index = snapshot.cgroups.iter().position(|cgroup| &*cgroup.path == path).expect("there");
    Ledger::of(snapshot, &inner(snapshot)).outlook(index, page_size())
}

/// Pages short; nothing where it can't be told.
fn short(snapshot: &Snapshot, path: &str) -> Option<u64> {
    outlook(snapshot, path).shortfall.present().map(|bytes| bytes.0 / PG)
}

fn c(number: u64) -> String {
    format!("{POD}/{}", id(number))
}

#[test]
fn more_reserved_than_the_limit_is_short_by_the_rest() {
    for (limit, held, expected) in [
        (64, (140, 12), 76),
        (64, (140, 64), 76),
        (140, (140, 140), 0),
        (140, (0, 0), 0),
        (0, (1, 0), 1),
    ] {
        let snapshot = tree(&[(POD, Some(limit), held)]);
        assert_eq!(short(&snapshot, POD), Some(expected), "{limit} {held:?}");
    }
    assert_eq!(short(&tree(&[(POD, None, (140, 12))]), POD), None, "no limit to be short of");
}

#[test]
fn a_child_over_its_own_limit_leaves_its_parent_and_its_sibling_alone() {
    let (a, b) = (c(1), c(2));
    let snapshot =
        tree(&[(POD, Some(100), (130, 75)), (&a, Some(20), (60, 5)), (&b, Some(70), (70, 70))]);
    assert_eq!(
        (short(&snapshot, &a), short(&snapshot, &b), short(&snapshot, POD)),
        (Some(40), Some(0), Some(0))
    );
    // 20 and 70 is what they can have; with 89 there is one page too few for both.
    let snapshot =
        tree(&[(POD, Some(89), (130, 75)), (&a, Some(20), (60, 5)), (&b, Some(70), (70, 70))]);
    assert_eq!(short(&snapshot, POD), Some(1));
}

#[test]
fn what_a_dead_containers_file_holds_is_its_pods_own() {
    // 30 of 50 are nobody's any more.
    let a = c(1);
    let snapshot = tree(&[(POD, Some(40), (50, 30)), (&a, None, (20, 0))]);
    assert_eq!(short(&snapshot, POD), Some(10));
}

#[test]
fn what_one_mapped_and_another_touched_is_paid_for() {
    let (a, b) = (c(1), c(2));
    let snapshot =
        tree(&[(POD, Some(100), (20, 20)), (&a, Some(10), (20, 0)), (&b, Some(50), (0, 20))]);
    assert_eq!((short(&snapshot, &a), outlook(&snapshot, &a).uncertainty), (Some(0), None));
}

#[test]
fn pages_that_the_pool_may_still_make_are_room() {
    let mut snapshot = tree(&[(POD, Some(100), (10, 10))]);
    let pool = &mut snapshot.pools[0];
    pool.free = Reading::Present(Pages(3));
    pool.overcommit_limit = Reading::Present(Pages(9));
    pool.surplus = Reading::Present(Pages(2));
    assert_eq!(outlook(&snapshot, POD).headroom, Reading::Present(Bytes((3 + 7) * PG)));
}

#[test]
fn one_unreadable_container_costs_no_other_its_figures() {
    let (a, b) = (c(1), c(2));
    let mut snapshot =
        tree(&[(POD, Some(100), (90, 10)), (&a, Some(20), (60, 5)), (&b, Some(30), (30, 5))]);
    snapshot.cgroups_mut()[1].hugetlb_mut()[0].reserved = Reading::Failed;
    assert_eq!(outlook(&snapshot, &a).shortfall, Reading::Failed);
    assert_eq!(short(&snapshot, &b), Some(0));
    assert_eq!(short(&snapshot, POD), Some(0), "all of it together is within the limit");
    snapshot.cgroups_mut()[0].hugetlb_mut()[0].limit = limit(Some(80));
    assert_eq!(outlook(&snapshot, POD).shortfall, Reading::Failed, "it depends on the unknown one");
}

#[test]
fn margin_headroom_and_what_binds() {
    let a = c(1);
    let look = |container, pod, held| {
        let snapshot = tree(&[(POD, pod, held), (&a, container, held)]);
        let outlook = outlook(&snapshot, &a);
        (
            outlook.margin.present().map(|margin| margin.0 / i64::try_from(PG).expect("small")),
            outlook.headroom.present().map(|bytes| bytes.0 / PG),
            outlook.bound_by.map(|level| level.to_string()).unwrap_or_default(),
        )
    };
    let text = str::to_owned;
    assert_eq!(look(Some(30), Some(50), (20, 5)), (Some(10), Some(25), text("container")));
    assert_eq!(look(Some(50), Some(30), (20, 5)), (Some(10), Some(25), text("pod")));
    assert_eq!(look(Some(30), Some(30), (20, 5)), (Some(10), Some(25), text("container")), "a tie");
    assert_eq!(look(None, Some(10), (20, 5)), (Some(-10), Some(5), text("pod")));
    assert_eq!(
        look(None, None, (20, 5)),
        (None, Some(495), text("pool")),
        "its own and what is left"
    );
    assert_eq!(look(Some(600), None, (20, 5)), (Some(580), Some(495), text("pool")));
}

#[test]
fn the_failure_mode_is_that_of_the_next_mapping() {
    use FailureMode::{Enomem, Sigbus, Unenforced};
    let a = c(1);
    for (container, pod, reservations, mode) in [
        (None, None, [None, None], Unenforced),
        (None, Some(64), [None, None], Sigbus),
        (None, Some(64), [None, Some(64)], Enomem),
        (Some(32), Some(64), [None, Some(64)], Sigbus),
        (Some(32), Some(64), [Some(32), Some(64)], Enomem),
        (Some(64), Some(64), [Some(80), None], Sigbus),
        (None, None, [Some(9), None], Enomem),
        (Some(0), Some(0), [Some(0), Some(0)], Enomem),
    ] {
        let mut snapshot = tree(&[(POD, pod, (0, 0)), (&a, container, (0, 0))]);
        for (cgroup, reservation) in [1, 0].into_iter().zip(reservations) {
            snapshot.cgroups_mut()[cgroup].hugetlb_mut()[0].reservation_limit = limit(reservation);
        }
        let got = outlook(&snapshot, &a).failure_mode;
        assert_eq!(got, Reading::Present(mode), "{container:?} {pod:?} {reservations:?}");
    }
}

/// One container with a mapping without a reservation.
fn mapped(mut snapshot: Snapshot, size: u64, touched: u64, reserved: bool) -> Snapshot {
    let mapping = Mapping {
        object: MappedObject { device: (0, 1), inode: 7, offset: 0 },
        page_size: page_size(),
        size: Bytes(size * PG),
        touched: Bytes(touched * PG),
        shared: true,
        reserved,
    };
    let containers = [(ContainerId::parse(&id(1)).expect("an id"), vec![mapping])].into();
    snapshot.mappings = Some(Arc::new(Mappings { containers, looks: 1 }));
    snapshot
}

#[test]
fn what_is_mapped_without_a_reservation_counts_once_it_is_looked_for() {
    let a = c(1);
    let plain = tree(&[(POD, Some(50), (10, 10)), (&a, None, (10, 10))]);
    assert_eq!(short(&plain, POD), Some(0), "it can't be seen");
    assert_eq!(short(&mapped(plain.clone(), 60, 10, false), POD), Some(10));
    assert_eq!(short(&mapped(plain.clone(), 50, 10, false), POD), Some(0));
    let mut limited = mapped(plain, 50, 10, false);
    limited.cgroups_mut()[0].hugetlb_mut()[0].reservation_limit = limit(Some(45));
    let outlook = outlook(&limited, POD);
    assert_eq!(outlook.shortfall.present(), Some(Bytes(5 * PG)));
    assert_eq!(outlook.short_of, Some(ShortOf::ReservationLimit));
}

#[test]
fn what_no_pool_can_give_is_short_even_without_a_limit() {
    let a = c(1);
    let snapshot = tree(&[(POD, None, (0, 0)), (&a, None, (0, 0))]);
    assert_eq!(short(&mapped(snapshot.clone(), 500, 0, false), &a), None);
    let snapshot = mapped(snapshot, 501, 0, false);
    assert_eq!((short(&snapshot, &a), short(&snapshot, POD)), (Some(1), None));
    assert_eq!(outlook(&snapshot, &a).short_of, Some(ShortOf::Pool));
    // The pod's limit refuses before the pool is asked.
    let mut limited = snapshot;
    limited.cgroups_mut()[0].hugetlb_mut()[0].limit = limit(Some(500));
    assert_eq!((short(&limited, &a), short(&limited, POD)), (None, Some(1)));
}

#[test]
fn a_mapping_reserved_elsewhere_is_uncertain_before_it_is_touched() {
    let (a, b) = (c(1), c(2));
    let cgroups: [Cgroup<'_>; 3] =
        [(POD, Some(100), (20, 0)), (&a, Some(5), (0, 0)), (&b, Some(50), (20, 0))];
    let snapshot = mapped(tree(&cgroups), 20, 0, true);
    assert_eq!(outlook(&snapshot, &a).uncertainty, Some(Uncertainty::TouchesReservedElsewhere));
    assert_eq!(outlook(&snapshot, &b).uncertainty, None);
    assert_eq!(outlook(&snapshot, POD).uncertainty, None, "all of it is the pod's");
}

#[test]
fn where_pages_are_charged_elsewhere_no_verdict_is_given() {
    use Uncertainty::{ReservedPagesTouchedElsewhere, WithinItself};
    let (a, b) = (c(1), c(2));
    // a has mapped 20 and may touch 10; b touches a's.
    let snapshot =
        tree(&[(POD, Some(100), (20, 5)), (&a, Some(10), (20, 0)), (&b, Some(60), (0, 5))]);
    assert_eq!(outlook(&snapshot, &a).uncertainty, Some(ReservedPagesTouchedElsewhere));
    assert_eq!((short(&snapshot, POD), outlook(&snapshot, POD).uncertainty), (Some(0), None));
    let snapshot =
        tree(&[(POD, Some(18), (20, 5)), (&a, Some(10), (20, 0)), (&b, Some(60), (0, 5))]);
    assert_eq!(outlook(&snapshot, POD).uncertainty, Some(WithinItself));
    // A pod needs no more than it has committed, though its containers' needs add up to more; so above it 22
    // pages may be enough, or not.
    let snapshot = tree(&[
        ("/kubepods", Some(24), (60, 5)),
        (POD, None, (20, 5)),
        (&a, None, (20, 0)),
        (&b, None, (0, 5)),
        ("/kubepods/podv", Some(2), (40, 0)),
    ]);
    assert_eq!(outlook(&snapshot, "/kubepods").uncertainty, Some(WithinItself));
    // The same in two pods.
    let other = "/kubepods/podv";
    let snapshot = tree(&[
        ("/kubepods", None, (20, 15)),
        (POD, Some(10), (20, 0)),
        (other, Some(60), (0, 15)),
    ]);
    assert_eq!(
        (short(&snapshot, POD), outlook(&snapshot, POD).uncertainty),
        (Some(0), None),
        "5 are still to come, 10 may be touched"
    );
    let snapshot =
        tree(&[("/kubepods", None, (20, 5)), (POD, Some(10), (20, 0)), (other, Some(60), (0, 5))]);
    assert_eq!(outlook(&snapshot, POD).uncertainty, Some(ReservedPagesTouchedElsewhere));
    let snapshot =
        tree(&[("/kubepods", None, (90, 5)), (POD, Some(10), (90, 0)), (other, Some(60), (0, 5))]);
    assert_eq!(short(&snapshot, POD), Some(75), "the 5 that others touched do not make up for it");
}

/// So many pages are reserved in the pool and not yet touched; what is missing a host's process has touched.
fn to_come(mut snapshot: Snapshot, pages: u64) -> Snapshot {
    let reserved = outermost(&snapshot, |figures| figures.reserved);
    let pool = &mut snapshot.pools[0];
    pool.reserved = Reading::Present(SignedPages(pages.cast_signed()));
    let used = (reserved / PG).saturating_sub(pages);
    pool.free = pool.free.map(|free| free.min(Pages(500 - used.min(500))));
    snapshot
}

fn outermost(snapshot: &Snapshot, figure: fn(&Hugetlb) -> Reading<Bytes>) -> u64 {
    let top = snapshot.cgroups.iter().filter(|cgroup| cgroup.parent.is_none());
    top.filter_map(|cgroup| figure(&cgroup.hugetlb[0]).present()).map(|bytes| bytes.0).sum()
}

prop_compose! {
    fn any_held()(reserved in 0_u64..400, used in 0_u64..400) -> (u64, u64) { (reserved, used) }
}

prop_compose! {
    fn any_limit()(pages in prop::option::of(0_u64..400)) -> Option<u64> { pages }
}

proptest! {
    #[test]
    fn what_always_holds(
        limits in prop::array::uniform4(any_limit()),
        a in any_held(),
        b in any_held(),
        more in any_held(),
    ) {
        let pod = (a.0 + b.0 + more.0, a.1 + b.1 + more.1);
        let (first, second) = (c(1), c(2));
        let cgroups: [Cgroup<'_>; 4] = [
            ("/kubepods", limits[0], pod),
            (POD, limits[1], pod),
            (&first, limits[2], a),
            (&second, limits[3], b),
        ];
        let to_touch = |(reserved, used): (u64, u64)| reserved.saturating_sub(used);
        let all = to_touch(a) + to_touch(b) + to_touch(more);
        let mut snapshot = to_come(tree(&[("/kubepods", None, (0, 0))]), all);
        snapshot.cgroups_mut().clear();
        for (path, limit, held) in cgroups {
            snapshot = snapshot.with(path, figures(limit, held));
        }
        for (path, limit, (reserved, used)) in cgroups {
            let outlook = outlook(&snapshot, path);
            if let Some(short) = outlook.shortfall.present() {
                prop_assert!(outlook.uncertainty.is_none());
                prop_assert!(short.0 / PG <= reserved.saturating_sub(used), "no more than is to come");
                prop_assert!(limit.is_some());
                if reserved.max(used) <= limit.unwrap_or_default() {
                    prop_assert_eq!(short, Bytes::ZERO);
                }
                prop_assert_eq!(short > Bytes::ZERO, outlook.short_of.is_some());
            } else {
                prop_assert!(limit.is_none() || outlook.uncertainty.is_some());
            }
        }
    }
}
