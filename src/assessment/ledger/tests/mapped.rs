//! What is known of mappings: what several share counts once.

use super::*;

/// Inode, from which page on, how many, how many of them touched, with a reservation or without.
type Part = (u64, u64, u64, u64, bool);

fn with_mappings(mut snapshot: Snapshot, containers: &[(u64, &[Part])]) -> Snapshot {
    let mapping = |(inode, offset, size, touched, reserved): &Part| Mapping {
        object: MappedObject { device: (0, 1), inode: *inode, offset: offset * PG },
        page_size: page_size(),
        size: Bytes(size * PG),
        touched: Bytes(touched * PG),
        shared: true,
        reserved: *reserved,
    };
    let containers = containers.iter().map(|(number, parts)| {
        let id = ContainerId::parse(&id(*number)).expect("an id");
        (id, parts.iter().map(mapping).collect())
    });
    snapshot.mappings = Some(Arc::new(Mappings { containers: containers.collect(), looks: 1 }));
    snapshot
}

#[test]
fn an_object_that_two_map_without_a_reservation_counts_once() {
    let (a, b) = (c(1), c(2));
    let both: [(u64, &[Part]); 2] = [(1, &[(7, 0, 100, 0, false)]), (2, &[(7, 0, 100, 0, false)])];
    let of_limits = |pod, own, touched| {
        let held = (touched, touched);
        with_mappings(tree(&[(POD, Some(pod), held), (&a, own, held), (&b, own, (0, 0))]), &both)
    };
    let ample = of_limits(150, None, 0);
    assert_eq!((short(&ample, POD), outlook(&ample, POD).uncertainty), (Some(0), None));
    assert_eq!(outlook(&ample, POD).unreserved, Bytes(100 * PG));
    assert_eq!(
        short(&of_limits(90, None, 0), POD),
        Some(10),
        "whoever touches it, it is the pod's"
    );
    assert_eq!(outlook(&of_limits(90, None, 30), POD).unreserved, Bytes(70 * PG));
    let apart = of_limits(100, Some(60), 0);
    for container in [&a, &b] {
        let uncertainty = outlook(&apart, container).uncertainty;
        assert_eq!(uncertainty, Some(Uncertainty::ContestedPages), "the other may pay for it");
    }
    assert_eq!(short(&of_limits(100, Some(100), 0), &a), Some(0));
}

#[test]
fn of_one_object_the_pool_gives_each_page_once() {
    let (a, b) = (c(1), c(2));
    let verdict = |size| {
        let held = (0, 0);
        let mut snapshot = tree(&[(POD, None, held), (&a, Some(4), held), (&b, Some(4), held)]);
        snapshot.pools[0].free = Reading::Present(Pages(5));
        let part: [Part; 1] = [(7, 0, size, 0, false)];
        let snapshot = with_mappings(snapshot, &[(1, &part), (2, &part)]);
        (short(&snapshot, &a), outlook(&snapshot, &a).uncertainty)
    };
    assert_eq!(verdict(4), (Some(0), None), "4 for both, whoever touches them");
    // Either is short of its own limit only if the other does not touch them first.
    assert_eq!(verdict(5), (None, Some(Uncertainty::ContestedPages)));
    let without = |size| {
        let held = (0, 0);
        let mut snapshot = tree(&[(POD, None, held), (&a, Some(9), held), (&b, Some(9), held)]);
        snapshot.pools[0].free = Reading::Present(Pages(12));
        let parts: [[Part; 2]; 2] =
            [1, 2].map(|own| [(7, 0, size, 0, false), (own, 0, 9 - size, 0, false)]);
        let snapshot = with_mappings(snapshot, &[(1, &parts[0]), (2, &parts[1])]);
        (short(&snapshot, &a), outlook(&snapshot, &a).uncertainty)
    };
    assert_eq!(without(6), (Some(0), None), "6 and 3 and 3");
    assert_eq!(without(5), (None, Some(Uncertainty::PoolContested)), "5 and 4 and 4");
}

#[test]
fn what_two_share_is_no_room_for_a_third() {
    // Their limits let the two touch 4 pages each, not the 100 that they map.
    let other = "/kubepods/podv";
    let third = format!("{other}/{}", id(3));
    let verdict = |available| {
        let held = (0, 0);
        let mut snapshot = tree(&[
            (POD, None, held),
            (&c(1), Some(4), held),
            (&c(2), Some(4), held),
            (other, None, held),
            (&third, Some(9), held),
        ]);
        snapshot.pools[0].free = Reading::Present(Pages(available));
        let shared: [Part; 1] = [(7, 0, 100, 0, false)];
        let own: [Part; 1] = [(8, 0, 4, 0, false)];
        let snapshot = with_mappings(snapshot, &[(1, &shared), (2, &shared), (3, &own)]);
        (short(&snapshot, &third), outlook(&snapshot, &third).uncertainty)
    };
    assert_eq!(verdict(12), (Some(0), None));
    assert_eq!(verdict(11), (None, Some(Uncertainty::PoolContested)));
}

#[test]
fn what_is_a_containers_alone_is_beyond_doubt() {
    let (a, b) = (c(1), c(2));
    let snapshot = tree(&[(POD, None, (0, 0)), (&a, Some(60), (0, 0)), (&b, None, (0, 0))]);
    let snapshot = with_mappings(
        snapshot,
        &[(1, &[(7, 0, 50, 0, false), (8, 0, 70, 0, false)]), (2, &[(7, 40, 10, 0, false)])],
    );
    assert_eq!(short(&snapshot, &a), Some(60), "10 of the 120 may be b's");
}

#[test]
fn what_somebody_reserved_is_not_to_come_once_more() {
    let (a, b) = (c(1), c(2));
    let filled = (100, 100);
    let snapshot = tree(&[(POD, Some(100), filled), (&a, Some(100), filled), (&b, None, (0, 0))]);
    for helper in [1, 2] {
        let parts = [(7, 0, 100, 0, true), (7, 0, 100, 0, false)];
        let mappings: [(u64, &[Part]); 2] = match helper {
            1 => [(1, &parts), (2, &[])],
            _ => [(1, &parts[..1]), (2, &parts[1..])],
        };
        let snapshot = with_mappings(snapshot.clone(), &mappings);
        for path in [POD, &a] {
            let outlook = outlook(&snapshot, path);
            assert_eq!(
                (outlook.shortfall, outlook.uncertainty),
                (Reading::Present(Bytes::ZERO), None)
            );
        }
    }
    // It is reserved in another pod, and the helper may have to pay for it.
    let other = "/kubepods/podv";
    let helper = format!("{other}/{}", id(2));
    let snapshot = tree(&[
        ("/kubepods", None, (100, 0)),
        (POD, None, (100, 0)),
        (&a, None, (100, 0)),
        (other, Some(5), (0, 0)),
        (&helper, None, (0, 0)),
    ]);
    let snapshot =
        with_mappings(snapshot, &[(1, &[(7, 0, 100, 0, true)]), (2, &[(7, 0, 100, 0, false)])]);
    assert_eq!(outlook(&snapshot, other).uncertainty, Some(Uncertainty::TouchesReservedElsewhere));
}

#[test]
fn two_views_of_one_reserved_file_are_one_file() {
    let (a, b) = (c(1), c(2));
    let snapshot = tree(&[
        ("/kubepods", None, (60, 0)),
        (POD, Some(15), (20, 0)),
        (&a, None, (20, 0)),
        (&b, None, (0, 0)),
        ("/kubepods/podv", Some(35), (40, 0)),
    ]);
    let snapshot =
        with_mappings(snapshot, &[(1, &[(7, 0, 20, 0, true)]), (2, &[(7, 0, 10, 0, true)])]);
    assert_eq!(short(&snapshot, POD), Some(5));
    assert_eq!(short(&snapshot, "/kubepods/podv"), Some(5), "it is no other pod's business");
}

#[test]
fn without_reservation_figures_usage_has_to_do() {
    let a = c(1);
    let parts: [(u64, &[Part]); 1] = [(1, &[(7, 0, 60, 10, false)])];
    let mut snapshot =
        with_mappings(tree(&[(POD, Some(50), (40, 40)), (&a, None, (40, 40))]), &parts);
    for cgroup in snapshot.cgroups_mut() {
        cgroup.hugetlb_mut()[0].reserved = Reading::Absent;
    }
    assert_eq!(outlook(&snapshot, &a).unreserved, Bytes(20 * PG));
    snapshot.pools[0].free = Reading::Present(Pages(1));
    assert_eq!(outlook(&snapshot, &a).shortfall, Reading::Absent, "what is committed is not known");
    snapshot.cgroups_mut()[1].hugetlb_mut()[0].usage = Reading::Failed;
    assert_eq!(outlook(&snapshot, &a).unreserved, Bytes::ZERO);
}
