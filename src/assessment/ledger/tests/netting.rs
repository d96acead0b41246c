//! What others touch, and what of it may be set against what is reserved.

use super::*;

#[test]
fn what_a_container_touches_may_be_another_pods_and_not_its_siblings() {
    let (c1, c2, q1) = (c(1), c(2), format!("/kubepods/podq/{}", id(3)));
    let of_limits = |p, q| {
        tree(&[
            ("/kubepods", None, (30, 5)),
            (POD, Some(p), (20, 5)),
            (&c1, None, (20, 0)),
            (&c2, None, (0, 5)),
            ("/kubepods/podq", Some(q), (10, 0)),
            (&q1, None, (10, 0)),
        ])
    };
    let snapshot = of_limits(22, 8);
    assert_eq!(outlook(&snapshot, POD).uncertainty, Some(Uncertainty::WithinItself));
    assert_eq!(
        outlook(&snapshot, "/kubepods/podq").uncertainty,
        Some(Uncertainty::ReservedPagesTouchedElsewhere)
    );
    let ample = of_limits(25, 10);
    assert_eq!((short(&ample, POD), short(&ample, "/kubepods/podq")), (Some(0), Some(0)));
    // No more than 15 are still to come to anyone.
    let snapshot = to_come(of_limits(20, 10), 15);
    assert_eq!((short(&snapshot, POD), outlook(&snapshot, POD).uncertainty), (Some(0), None));
}

#[test]
fn what_another_pod_touches_may_be_reserved_in_no_pod_at_all() {
    let cgroups: [Cgroup<'_>; 3] = [
        ("/kubepods", None, (100, 100)),
        (POD, Some(50), (100, 0)),
        ("/kubepods/podr", Some(200), (0, 100)),
    ];
    let snapshot = to_come(tree(&cgroups), 100);
    assert_eq!(
        outlook(&snapshot, POD).uncertainty,
        Some(Uncertainty::ReservedPagesTouchedElsewhere)
    );
    // Its touches stay with kubepods when that pod is gone.
    let snapshot = to_come(tree(&cgroups[..2]), 100);
    assert_eq!(
        outlook(&snapshot, POD).uncertainty,
        Some(Uncertainty::ReservedPagesTouchedElsewhere)
    );
    let snapshot = to_come(tree(&cgroups), 50);
    assert_eq!((short(&snapshot, POD), outlook(&snapshot, POD).uncertainty), (Some(0), None));
}

#[test]
fn no_more_is_to_come_than_the_pool_keeps() {
    let pod = tree(&[(POD, Some(10), (20, 0))]);
    assert_eq!(short(&to_come(pod.clone(), 5), POD), Some(0), "a host's process touched 15");
    assert_eq!(short(&to_come(pod.clone(), 13), POD), Some(3));
    assert_eq!(short(&to_come(pod.clone(), 90), POD), Some(10));
    let mut unknown = pod;
    unknown.pools[0].reserved = Reading::Failed;
    assert_eq!(short(&unknown, POD), Some(10));
}

#[test]
fn a_pool_that_has_lost_count_says_nothing_of_what_is_to_come() {
    let pod = tree(&[(POD, Some(10), (20, 4))]);
    let counted = |pages| {
        let mut snapshot = pod.clone();
        snapshot.pools[0].reserved = Reading::Present(SignedPages(pages));
        short(&snapshot, POD)
    };
    assert_eq!(counted(16), Some(10));
    assert_eq!(counted(3), Some(10), "4 are used, and 20 were reserved: 16 there must be");
    assert_eq!(counted(-1), Some(10));
}

#[test]
fn where_no_verdict_is_given_no_margin_is_either() {
    let (a, b, full) = (c(1), c(2), c(3));
    // a has mapped 20 and may touch 10, b touches what others mapped, the third has all it needs.
    let snapshot = tree(&[
        ("/kubepods", Some(100), (23, 8)),
        (POD, Some(21), (23, 8)),
        (&a, Some(10), (20, 0)),
        (&b, None, (0, 5)),
        (&full, Some(4), (3, 3)),
    ]);
    assert_eq!(outlook(&snapshot, POD).uncertainty, Some(Uncertainty::WithinItself));
    let margin = |path| outlook(&snapshot, path).margin.present().map(|margin| margin.0 >> 21);
    assert_eq!(margin("/kubepods"), Some(82));
    assert_eq!((margin(POD), margin(&a)), (None, None));
    assert_eq!((outlook(&snapshot, &b).uncertainty, margin(&b)), (None, None), "it is the pod's");
    assert_eq!(margin(&full), Some(1), "its own leaves less than the pod's would");
}
