//! Which containers are shown, under which name, with whose figures.

use std::time::Duration;

use super::*;
use crate::assessment::{Assessment, assess};
use crate::history::Retention;
use crate::snapshot::example::{hugetlb, id, node};
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

const NAMES: [&str; 3] = ["ns", "db", "c"];

fn limited(bytes: u64, limit: u64) -> Hugetlb {
    Hugetlb { limit: Reading::Present(Limit::At(Bytes(limit))), ..hugetlb(bytes, 0) }
}

/// One look, with nothing held back.
fn look(snapshot: &Snapshot) -> Assessment {
    let mut history = History::new(Retention { hold_back: Duration::ZERO, ..Retention::default() });
    history.update(snapshot);
    assess(snapshot, &history, &Thresholds::default())
}

fn names(assessment: &Assessment) -> Vec<&str> {
    assessment.containers.iter().map(|container| &*container.identity.container).collect()
}

#[test]
fn the_newest_instance_gives_the_limit_and_all_give_their_usage() {
    // The younger by restarts comes first in the tree, so the order there decides nothing.
    let both = node(Duration::ZERO)
        .with_container("u", 1, limited(30, 300))
        .with_container("u", 2, limited(20, 200))
        .named("u", 1, NAMES, 5)
        .named("u", 2, NAMES, 4);
    let assessment = look(&both);
    assert_eq!(names(&assessment), ["c"]);
    let size = &assessment.containers[0].sizes[0];
    assert_eq!((size.usage, size.limit.finite()), (Reading::Present(Bytes(50)), Some(Bytes(300))));
    let newest = assessment.containers[0].newest.as_ref().expect("it lives");
    assert_eq!(newest.container_id(), id(1));
}

#[test]
fn an_instance_that_could_not_be_read_makes_the_sum_unknown() {
    let broken = Hugetlb { usage: Reading::Failed, ..hugetlb(0, 0) };
    let both = node(Duration::ZERO)
        .with_container("u", 1, limited(30, 300))
        .with_container("u", 2, broken)
        .named("u", 1, NAMES, 0)
        .named("u", 2, NAMES, 1);
    let size = look(&both).containers[0].sizes[0].clone();
    assert_eq!((size.usage, size.reserved), (Reading::Failed, Reading::Present(Bytes(30))));
}

#[test]
fn an_instance_of_which_nothing_is_known_makes_the_shortfall_unknown() {
    let touches_anothers = Hugetlb { reserved: Reading::Present(Bytes(0)), ..limited(10, 300) };
    for attempts in [[0, 1], [1, 0]] {
        let both = node(Duration::ZERO)
            .with_container("u", 1, limited(30, 300))
            .with_container("u", 2, touches_anothers.clone())
            .named("u", 1, NAMES, attempts[0])
            .named("u", 2, NAMES, attempts[1]);
        let outlook = look(&both).containers[0].sizes[0].outlook;
        assert!(outlook.uncertainty.is_some());
        assert_eq!((outlook.shortfall, outlook.margin), (Reading::Absent, Reading::Absent));
    }
}

#[test]
fn a_sandbox_is_not_shown_and_an_unnamed_user_is() {
    let pod = node(Duration::ZERO).with("/kubepods/podu", limited(30, 300));
    let assessment =
        look(&pod.with_container("u", 1, hugetlb(0, 0)).with_container("u", 2, hugetlb(30, 0)));
    assert_eq!(names(&assessment), [&id(2)[..12]]);
}

#[test]
fn a_named_container_of_a_granted_pod_is_shown_even_idle() {
    let pod = node(Duration::ZERO).with("/kubepods/podu", limited(0, 300));
    let assessment = look(&pod.with_container("u", 1, hugetlb(0, 0)).named("u", 1, NAMES, 0));
    assert_eq!(names(&assessment), ["c"]);
    let idle = node(Duration::ZERO).with("/kubepods/podu", limited(0, 0)).with_container(
        "u",
        1,
        limited(0, 0),
    );
    assert!(look(&idle.named("u", 1, NAMES, 0)).containers.is_empty(), "nothing was granted");
}

#[test]
fn crun_limits_the_container_inside() {
    let scope = format!("/kubepods/podu/crio-{}", id(1));
    let snapshot = node(Duration::ZERO)
        .with(&scope, hugetlb(10, 0))
        .with(&format!("{scope}/container"), limited(10, 64))
        .with(&format!("{scope}/container/deeper"), limited(10, 1));
    assert_eq!(look(&snapshot).containers[0].sizes[0].limit.finite(), Some(Bytes(64)));
}

#[test]
fn an_overcommitted_container_does_not_wait_for_its_name() {
    let mut history = History::new(Retention::default());
    let committed = Hugetlb { reserved: Reading::Present(Bytes(400)), ..limited(10, 300) };
    let snapshot = node(Duration::ZERO)
        .with_container("u", 1, limited(10, 300))
        .with_container("u", 2, committed);
    history.update(&snapshot);
    assert_eq!(names(&assess(&snapshot, &history, &Thresholds::default())), [&id(2)[..12]]);
}

#[test]
fn a_pod_hears_of_what_its_containers_were_refused() {
    // As on v1 with a limit on the container: the pod's own counter stands still.
    let at = |second, failures| {
        let pod = node(Duration::from_secs(second)).with("/kubepods/podu", limited(0, 300));
        pod.with_container("u", 1, hugetlb(0, failures)).named("u", 1, NAMES, 0)
    };
    let mut history = History::new(Retention::default());
    history.update(&at(0, 0));
    let later = at(2, 1);
    history.update(&later);
    let assessment = assess(&later, &history, &Thresholds::default());
    let size = &assessment.pods[0].sizes[0];
    assert_eq!((size.failures, size.last_failure), (Reading::Present(0), Some(later.taken.wall)));
}
