//! What is remembered, for how long, and how much of it.

use std::sync::Arc;

use super::*;
use crate::identity::{Runtime, ToldNames};
use crate::snapshot::example::{hugetlb, id, node, page_size};
use crate::snapshot::{Limit, Reading};

const NAMES: [&str; 3] = ["ns", "db", "c"];

fn uid(text: &str) -> PodUid {
    PodUid::from_path(text).expect("a uid")
}

fn container(number: u64) -> ContainerId {
    ContainerId::parse(&id(number)).expect("an id")
}

fn key(container: &str) -> ContainerKey {
    ContainerKey { uid: uid("u"), container: container.into() }
}

fn name_of(history: &History, number: u64) -> Option<(&str, u32)> {
    history.living(&container(number))?.name().map(|(name, attempt)| (&**name, attempt))
}

fn past(history: &History, key: &ContainerKey) -> Option<u64> {
    let (_, mut sizes) = history.all_past().find(|(found, _)| *found == key)?;
    sizes.next().map(|(_, tally)| tally.failures)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn failures_are_handed_on_from_instance_to_instance() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 2)).named("u", 1, NAMES, 0));
    history.update(&node(seconds(2)).with_container("u", 2, hugetlb(0, 1)).named("u", 2, NAMES, 1));
    assert_eq!(past(&history, &key("c")), Some(2));
    assert_eq!(
        history
            .living(&container(2))
            .and_then(|living| living.size(page_size()))
            .map(|(tally, _)| tally.failures),
        Some(1)
    );
    history.update(&node(seconds(4)));
    assert_eq!(past(&history, &key("c")), Some(3), "both");
}

#[test]
fn a_name_from_the_logs_gives_way_to_the_kubelets_own_and_that_one_stays() {
    let mut history = History::new(Retention::default());
    let look = |at| node(seconds(at)).with_container("u", 1, hugetlb(0, 0)).named("u", 1, NAMES, 0);
    history.update(&look(0));
    assert_eq!(name_of(&history, 1), Some(("c", 0)));
    let mut told = ToldNames::default();
    told.add_pod(uid("u"), PodName::new("right", "pod").expect("a name"));
    told.add_container(uid("u"), container(1), "told", 2, Runtime::Containerd);
    let mut snapshot = look(2);
    snapshot.names = Arc::new(snapshot.names.with_told(Arc::new(told)));
    history.update(&snapshot);
    history.update(&look(4));
    assert_eq!(name_of(&history, 1), Some(("told", 2)));
    assert_eq!(history.pod_name(&uid("u")).map(|pod| &*pod.name), Some("pod"));
}

#[test]
fn the_dead_are_forgotten_after_a_quarter_of_an_hour() {
    let mut history = History::new(Retention::default());
    let pod = node(seconds(0)).with("/kubepods/podu", hugetlb(0, 1));
    history.update(&pod.with_container("u", 1, hugetlb(0, 1)).named("u", 1, NAMES, 0));
    history.update(&node(seconds(2)));
    history.update(&node(seconds(900)));
    assert_eq!((past(&history, &key("c")), history.dead_pods().count()), (Some(1), 1));
    history.update(&node(seconds(903)));
    assert_eq!((past(&history, &key("c")), history.dead_pods().count()), (None, 0));
}

#[test]
fn what_a_predecessor_was_refused_stays_while_its_successor_lives() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 2)).named("u", 1, NAMES, 0));
    let later =
        |at| node(seconds(at)).with_container("u", 2, hugetlb(0, 0)).named("u", 2, NAMES, 1);
    for at in [2, 2_000] {
        history.update(&later(at));
        assert_eq!(past(&history, &key("c")), Some(2), "{at} s");
    }
}

#[test]
fn two_instances_of_a_container_may_come_back() {
    let mut history = History::new(Retention::default());
    let both = |at| {
        let snapshot = node(seconds(at)).with_container("u", 1, hugetlb(0, 2));
        let snapshot = snapshot.with_container("u", 2, hugetlb(0, 1));
        snapshot.named("u", 1, NAMES, 0).named("u", 2, NAMES, 1)
    };
    for snapshot in [both(0), node(seconds(2)), both(4)] {
        history.update(&snapshot);
    }
    assert_eq!(history.all_past().count(), 0, "neither had ended");
}

#[test]
fn a_pod_that_was_refused_nothing_is_forgotten_at_once() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with("/kubepods/podu", hugetlb(5, 0)));
    history.update(&node(seconds(2)));
    assert_eq!(history.dead_pods().count(), 0);
}

#[test]
fn however_many_come_and_go_the_memory_is_bounded() {
    let mut history = History::new(Retention { most_dead: 16, ..Retention::default() });
    for number in 0..1000 {
        let pod = format!("/kubepods/podu{number}");
        let snapshot = node(Duration::from_millis(number)).with(&pod, hugetlb(0, 1));
        let uid = format!("u{number}");
        history.update(&snapshot.with_container(&uid, number, hugetlb(0, number % 2)));
        assert!(
            history.past.len() <= 17 && history.pods.len() <= 17 && history.instances.len() <= 1
        );
    }
    let refused = history.past.values().filter(|past| past.was_refused()).count();
    assert_eq!((history.past.len(), refused), (16, 16), "those that were refused nothing go first");
}

#[test]
fn a_name_once_known_stays_while_the_container_lives() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 0)));
    assert!(history.may_be_named_soon(&container(1)) && history.awaits_names());
    history.update(&node(seconds(2)).with_container("u", 1, hugetlb(0, 0)).named("u", 1, NAMES, 3));
    history.update(&node(seconds(4)).with_container("u", 1, hugetlb(0, 0)));
    assert_eq!(name_of(&history, 1), Some(("c", 3)));
    assert!(!history.awaits_names());
}

#[test]
fn a_name_is_not_awaited_for_ever() {
    let mut history = History::new(Retention::default());
    history.update(&node(seconds(0)).with_container("u", 1, hugetlb(0, 0)));
    history.update(&node(seconds(10)).with_container("u", 1, hugetlb(0, 0)));
    assert!(!history.may_be_named_soon(&container(1)) && !history.awaits_names());
}

#[test]
fn dead_pods_are_bounded_without_any_container() {
    let mut history = History::new(Retention { most_dead: 16, ..Retention::default() });
    for number in 0..100 {
        let pod = format!("/kubepods/podu{number}");
        history.update(&node(Duration::from_millis(number)).with(&pod, hugetlb(0, 1)));
        assert!(history.pods.len() <= 17 && history.names.len() <= 17);
    }
}

#[test]
fn a_peak_is_the_most_that_was_seen() {
    let mut history = History::new(Retention::default());
    for (second, bytes) in [(0, 5), (2, 9), (4, 1)] {
        history.update(&node(seconds(second)).with("/kubepods/podu", hugetlb(bytes, 0)));
    }
    assert_eq!(
        history.pod("/kubepods/podu", page_size()).map(|(tally, _)| tally.peak),
        Some(Bytes(9))
    );
}

#[test]
fn a_directory_that_could_not_be_listed_once_is_no_death() {
    for name in [Some(NAMES), None] {
        let mut history = History::new(Retention::default());
        let poll = |second, failures| {
            let mut limited = hugetlb(9, failures);
            limited.reservation_limit = Reading::Present(Limit::At(Bytes(9)));
            let snapshot = node(seconds(second)).with("/kubepods/podu", limited.clone());
            let snapshot = snapshot.with_container("u", 1, limited);
            name.map_or(snapshot.clone(), |names| snapshot.named("u", 1, names, 0))
        };
        let of_pod = |history: &History| history.pod("/kubepods/podu", page_size());
        let of_container = |history: &History| history.living(&container(1))?.size(page_size());
        for snapshot in [poll(0, 7), poll(2, 8), node(seconds(4)), poll(6, 8)] {
            history.update(&snapshot);
        }
        assert_eq!(history.all_past().count(), 0, "nobody died");
        for (tally, _) in
            [of_pod(&history), of_container(&history)].map(|tally| tally.expect("it lives"))
        {
            assert_eq!(tally.failures, 8);
            assert_eq!(tally.refusals.faults, 0, "its pages did not come back");
            assert_eq!(tally.last_failure, Some(poll(2, 8).taken.wall));
        }
        history.update(&node(seconds(8)));
        assert_eq!(history.all_past().count() + history.nameless().count(), 1);
    }
}

#[test]
fn two_cgroups_of_one_pod_are_counted_apart() {
    let old = "/kubepods/burstable/podu";
    let new = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu.slice";
    let mut history = History::new(Retention::default());
    for second in [0, 2, 4] {
        history.update(&node(seconds(second)).with(old, hugetlb(0, 5)).with(new, hugetlb(0, 1)));
    }
    let failures = |path| history.pod(path, page_size()).map(|(tally, _)| tally.failures);
    assert_eq!((failures(old), failures(new)), (Some(5), Some(1)));
}

#[test]
fn an_unreadable_counter_is_no_reset() {
    let mut history = History::new(Retention::default());
    let with = |second, failures| {
        let mut figures = hugetlb(0, 0);
        figures.failures =
            crate::snapshot::Failures::V2 { hierarchical: failures, local: Reading::Absent };
        node(seconds(second)).with("/kubepods/podu", figures)
    };
    for (second, failures) in
        [(0, Reading::Present(4)), (2, Reading::Failed), (4, Reading::Present(5))]
    {
        history.update(&with(second, failures));
    }
    assert_eq!(
        history.pod("/kubepods/podu", page_size()).map(|(tally, _)| tally.failures),
        Some(5)
    );
}

/// Crash loops for longer than anything is remembered, with more instances than are.
#[test]
fn every_instance_of_a_crash_loop_is_not_remembered() {
    let mut history = History::new(Retention::default());
    let poll = |history: &mut History, round: u64| {
        let mut snapshot = node(seconds(round * 2));
        for number in 0..20 {
            let number = round * 20 + number;
            let container = format!("c{round}");
            snapshot = snapshot.with_container("u", number, hugetlb(1, 1));
            if number.is_multiple_of(20) {
                snapshot = snapshot.named("u", number, ["ns", "db", &container], 0);
            }
        }
        history.update(&snapshot);
    };
    let rounds = history.retention.dead_for.as_secs(); // twice as long, at 2 s a poll
    for round in 0..rounds {
        poll(&mut history, round);
    }
    assert!(history.instances.len() <= 20, "{}", history.instances.len());
    let most = super::retention::MOST_OF_A_POD + 20;
    assert!(rounds > 2 * most as u64, "more containers came than are remembered");
    assert!(history.past.len() <= most, "{}", history.past.len());
    assert!(history.pods.len() + history.names.len() <= 2);
}

/// On v2 a pod counts what its containers were refused, by whichever limit.
#[test]
fn a_containers_reservation_limit_makes_its_pods_refusals_perhaps_harmless() {
    let mut history = History::new(Retention::default());
    let poll = |failures, limited: bool| {
        let mut container = hugetlb(5, 0);
        if limited {
            container.reservation_limit = Reading::Present(Limit::At(Bytes(9)));
        }
        node(seconds(failures))
            .with("/kubepods/podu", hugetlb(5, failures))
            .with_container("u", 1, container)
    };
    let faults = |history: &History| {
        history.pod("/kubepods/podu", page_size()).map(|(tally, _)| tally.refusals.faults)
    };
    history.update(&poll(0, true));
    history.update(&poll(1, true));
    assert_eq!(faults(&history), Some(0));
    history.update(&poll(2, false));
    assert_eq!(faults(&history), Some(1), "without any such limit a touch was refused");
}

#[test]
fn a_container_of_cruns_has_no_more_room_than_the_cgroup_inside_it() {
    let mut history = History::new(Retention::default());
    let pod = |mut hugetlb: crate::snapshot::Hugetlb, limit| {
        hugetlb.limit = Reading::Present(Limit::At(Bytes(limit)));
        hugetlb.reservation_limit = Reading::Present(Limit::At(Bytes(1 << 30)));
        hugetlb
    };
    let inner = format!("/kubepods/podu/{}/container", id(1));
    for (second, failures) in [(0, 0), (2, 1), (4, 1), (6, 1), (8, 1)] {
        let snapshot = node(seconds(second))
            .with("/kubepods/podu", pod(hugetlb(5 << 21, failures), 1 << 30))
            .with_container("u", 1, hugetlb(5 << 21, failures))
            .with(&inner, pod(hugetlb(5 << 21, failures), 5 << 21));
        history.update(&snapshot);
    }
    let living = history.living(&container(1)).and_then(|living| living.size(page_size()));
    let refusals = living.expect("it lives").0.refusals;
    assert_eq!((refusals.reservations, refusals.ambiguous), (0, 1), "its own limit leaves no page");
    let snapshot = node(seconds(10))
        .with("/kubepods/podu", hugetlb(5 << 21, 1))
        .with_container("u", 1, hugetlb(5 << 21, 2))
        .with(&inner, hugetlb(5 << 21, 2));
    history.update(&snapshot);
    let living = history.living(&container(1)).and_then(|living| living.size(page_size()));
    let fault = living.expect("it lives").0.fault.expect("nothing refuses mappings any more");
    assert_eq!(fault.limit, Reading::Present(Limit::At(Bytes(5 << 21))), "the inner one's");
}
