//! The rules on single cases, and on everything that can happen to a pod.

mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::guard::facts::{Change, Level, MemoryRoom, Ours, PoolFacts};
use crate::snapshot::Reading;
use crate::snapshot::guard::Refuse;
use crate::units::{Bytes, PageSize};

pub(super) fn size() -> PageSize {
    "2Mi".parse().expect("a size")
}

pub(super) fn pages(pages: u64) -> Bytes {
    Bytes(pages << 21)
}

pub(super) fn at(number: u64) -> Limit {
    Limit::At(pages(number))
}

/// A level of that limit, that has reserved and touched so much.
pub(super) fn level(limit: Limit, reserved: u64, usage: u64) -> Level {
    Level {
        usage: pages(usage),
        reserved: pages(reserved),
        limit,
        reservation_limit: Limit::Unlimited,
        ours: Ours::default(),
    }
}

fn pod(pod: Level, containers: Vec<Level>) -> PodFacts {
    PodFacts { page_size: size(), pod, containers, was_granted: false, since_rescue: None }
}

pub(super) fn policy(refuse: Refuse, rescue: bool) -> Policy {
    Policy { refuse, rescue, rescue_bound: true, excluded_namespaces: BTreeSet::new() }
}

pub(super) fn around() -> Surroundings {
    Surroundings {
        pool: Reading::Present(PoolFacts { free: pages(10_000), reserved: pages(10_000) }),
        is_crossed: false,
        above: Reading::Present(Limit::Unlimited),
        memory: MemoryRoom::NotCounted,
    }
}

fn ask(facts: &PodFacts, refuse: Refuse, rescue: bool) -> Decision {
    decide(facts, Some(&around()), &policy(refuse, rescue), Leave::Granted)
}

/// The writes in their order, as `pod rsvd 0`.
fn said(decision: &Decision) -> Vec<String> {
    let shown = |write: &Write| {
        let place = match write.place {
            Place::Pod => "pod".to_owned(),
            Place::Container(index) => format!("c{index}"),
        };
        let which = if write.which == Which::Fault { "max" } else { "rsvd" };
        let to = write.to.finite().map_or("max".to_owned(), |bytes| (bytes.0 >> 21).to_string());
        format!("{place} {which} {to}")
    };
    decision.plans.iter().flatten().map(shown).collect()
}

fn reasons(decision: &Decision) -> Vec<Reason> {
    decision.left.iter().filter_map(|left| left.reason).collect()
}

fn ours(why: Action, old: Limit, new: Limit) -> Option<Change> {
    Some(Change { why, old, new, repeated: false })
}

#[test]
fn ungranted_refuses_those_that_were_granted_nothing_and_hold_nothing() {
    let none = || level(at(0), 0, 0);
    let facts = pod(none(), vec![none(), level(Limit::Unlimited, 0, 0)]);
    assert_eq!(said(&ask(&facts, Refuse::Ungranted, false)), ["pod rsvd 0", "c0 rsvd 0"]);
    assert_eq!(said(&ask(&facts, Refuse::Off, false)), [""; 0]);
    for facts in [
        // A container without a grant in a pod that has one; no limit at all; something held; a limit that fell.
        pod(level(at(64), 0, 0), vec![none()]),
        pod(level(Limit::Unlimited, 0, 0), vec![none()]),
        pod(level(at(0), 1, 0), vec![none()]),
        pod(level(at(0), 0, 1), Vec::new()),
        PodFacts { was_granted: true, ..pod(none(), vec![none()]) },
        // The kubelet has written it.
        pod(Level { reservation_limit: at(0), ..none() }, Vec::new()),
    ] {
        assert_eq!(said(&ask(&facts, Refuse::Ungranted, false)), [""; 0], "{facts:?}");
    }
}

#[test]
fn all_refuses_at_the_limit_or_at_what_is_reserved_already() {
    let facts =
        pod(level(at(64), 40, 0), vec![level(at(32), 40, 0), level(Limit::Unlimited, 0, 0)]);
    assert_eq!(said(&ask(&facts, Refuse::All, false)), ["pod rsvd 64", "c0 rsvd 40"]);
    let modern = |limit| Level { reservation_limit: limit, ..level(limit, 0, 0) };
    let facts = pod(modern(at(64)), vec![modern(at(32)), modern(Limit::Unlimited)]);
    assert_eq!(said(&ask(&facts, Refuse::All, true)), [""; 0], "a node of today is left alone");
    let wider = Level { reservation_limit: at(80), ..level(at(64), 0, 0) };
    assert_eq!(said(&ask(&pod(wider, Vec::new()), Refuse::All, false)), ["pod rsvd 64"]);
}

#[test]
fn a_refusal_follows_its_limit_and_is_not_taken_away_by_a_policy() {
    let refused = |limit| Level {
        reservation_limit: at(0),
        ours: Ours { limit: None, reservation: ours(Action::Refuse, Limit::Unlimited, at(0)) },
        ..level(limit, 0, 0)
    };
    assert_eq!(said(&ask(&pod(refused(at(0)), Vec::new()), Refuse::Off, false)), [""; 0]);
    assert_eq!(
        said(&ask(&pod(refused(at(64)), Vec::new()), Refuse::Ungranted, false)),
        ["pod rsvd max"]
    );
    assert_eq!(said(&ask(&pod(refused(at(64)), Vec::new()), Refuse::All, false)), ["pod rsvd 64"]);
}

#[test]
fn what_somebody_else_sets_is_written_once_more_and_then_left() {
    let contested = |repeated, now| Level {
        reservation_limit: now,
        ours: Ours {
            limit: None,
            reservation: Some(Change {
                why: Action::Refuse,
                old: Limit::Unlimited,
                new: at(0),
                repeated,
            }),
        },
        ..level(at(0), 0, 0)
    };
    let decision =
        ask(&pod(contested(false, Limit::Unlimited), Vec::new()), Refuse::Ungranted, false);
    assert!(decision.plans[0][0].repeats);
    let decision =
        ask(&pod(contested(true, Limit::Unlimited), Vec::new()), Refuse::Ungranted, false);
    assert_eq!((said(&decision).len(), decision.left[0].outcome), (0, Outcome::Contested));
    let decision = ask(&pod(contested(true, Limit::Unlimited), Vec::new()), Refuse::Off, false);
    assert_eq!(decision.forgotten, [(Place::Pod, Which::Reservation)]);
}

#[test]
fn a_rescue_raises_to_what_is_reserved_and_binds_it_first() {
    let facts = pod(level(at(64), 100, 60), vec![level(Limit::Unlimited, 100, 60)]);
    assert!(is_rescue_needed(&facts));
    assert_eq!(said(&ask(&facts, Refuse::Off, true)), ["pod rsvd 100", "pod max 100"]);
    assert_eq!(said(&ask(&facts, Refuse::Off, false)), [""; 0]);
    let unbound = Policy { rescue_bound: false, ..policy(Refuse::Off, true) };
    let decision = decide(&facts, Some(&around()), &unbound, Leave::Granted);
    assert_eq!(said(&decision), ["pod max 100"]);
    let fits = pod(level(at(64), 64, 60), vec![level(at(64), 64, 60)]);
    assert!(!is_rescue_needed(&fits));
    assert_eq!(said(&ask(&fits, Refuse::Off, true)), [""; 0]);
}

#[test]
fn a_sibling_keeps_what_it_was_granted() {
    // The pod has room for what is reserved, but not for that and what the idle one was granted.
    let over = || level(at(64), 100, 60);
    let idle = level(at(64), 0, 0);
    let facts = pod(level(at(128), 100, 60), vec![over(), idle]);
    assert_eq!(
        said(&ask(&facts, Refuse::Off, true)),
        ["pod rsvd 164", "c0 rsvd 100", "pod max 164", "c0 max 100"]
    );
    // A pod with room for all of it is not raised.
    let wide = pod(level(at(1_000), 100, 60), vec![over(), level(at(64), 0, 0)]);
    assert_eq!(said(&ask(&wide, Refuse::Off, true)), ["c0 rsvd 100", "c0 max 100"]);
    // One that may have as much as the pod may have it still.
    let open = pod(level(at(128), 100, 60), vec![over(), level(Limit::Unlimited, 0, 0)]);
    assert_eq!(said(&ask(&open, Refuse::Off, true))[2..], ["pod max 164", "c0 max 100"]);
}

#[test]
fn nothing_is_raised_where_it_would_not_help_or_would_harm() {
    let facts = pod(level(at(64), 100, 60), vec![level(at(64), 100, 60)]);
    let with = |change: fn(&mut Surroundings)| {
        let mut around = around();
        change(&mut around);
        let decision = decide(&facts, Some(&around), &policy(Refuse::Off, true), Leave::Granted);
        assert_eq!(said(&decision), [""; 0]);
        reasons(&decision).first().copied()
    };
    let pool = |free, reserved| {
        Reading::Present(PoolFacts { free: pages(free), reserved: pages(reserved) })
    };
    assert_eq!(with(|around| around.is_crossed = true), Some(Reason::Uncertain));
    let short = pool(39, 40);
    let used_up = pool(100, 39);
    let of = |pool| {
        let around = Surroundings { pool, ..around() };
        decide(&facts, Some(&around), &policy(Refuse::Off, true), Leave::Granted)
    };
    assert_eq!(reasons(&of(short)).first(), Some(&Reason::PoolShort));
    assert_eq!(reasons(&of(used_up)).first(), Some(&Reason::Uncertain));
    assert_eq!(said(&of(pool(40, 40))).len(), 4);
    assert_eq!(with(|around| around.pool = Reading::Failed), Some(Reason::Unreadable));
    assert_eq!(with(|around| around.above = Reading::Present(at(39))), Some(Reason::AbovePod));
    assert_eq!(with(|around| around.memory = MemoryRoom::Unknown), Some(Reason::Unreadable));
    let room = |pod, container| MemoryRoom::Counted {
        pod: Reading::Present(pod),
        containers: vec![Reading::Present(container)],
    };
    for (memory, raised) in
        [(room(at(40), at(40)), true), (room(at(39), at(40)), false), (room(at(40), at(39)), false)]
    {
        let around = Surroundings { memory, ..around() };
        let decision = decide(&facts, Some(&around), &policy(Refuse::Off, true), Leave::Granted);
        assert_eq!(said(&decision).is_empty(), !raised);
        assert_eq!(reasons(&decision).first() == Some(&Reason::MemoryMax), !raised);
    }
    let unseen = decide(&facts, None, &policy(Refuse::Off, true), Leave::Granted);
    assert_eq!(reasons(&unseen), [Reason::Unreadable, Reason::Unreadable]);
}

fn rescued(reserved: u64) -> Level {
    Level {
        reservation_limit: at(100),
        ours: Ours {
            limit: ours(Action::Rescue, at(64), at(100)),
            reservation: ours(Action::Bound, Limit::Unlimited, at(100)),
        },
        ..level(at(100), reserved, 0)
    }
}

#[test]
fn what_was_raised_goes_back_once_it_fits_whatever_the_policy() {
    for rescue in [true, false] {
        let facts = pod(rescued(65), Vec::new());
        assert_eq!(said(&ask(&facts, Refuse::All, rescue)), [""; 0], "a process lives by it");
        let facts = pod(rescued(64), Vec::new());
        assert_eq!(
            said(&ask(&facts, Refuse::All, rescue)),
            ["pod rsvd 64", "pod max 64", "pod rsvd max"]
        );
    }
    // The pod has what was added below it for as long as it is added.
    let facts = pod(rescued(64), vec![rescued(65)]);
    assert_eq!(said(&ask(&facts, Refuse::Off, true)), [""; 0]);
}

#[test]
fn a_raised_limit_that_somebody_lowers_is_a_new_case_now_and_then() {
    let lowered = |since| {
        let level = Level { limit: at(32), ..rescued(100) };
        PodFacts { since_rescue: Some(Duration::from_secs(since)), ..pod(level, Vec::new()) }
    };
    assert_eq!(reasons(&ask(&lowered(9), Refuse::Off, true)), [Reason::TooSoon]);
    let decision = ask(&lowered(10), Refuse::Off, true);
    assert_eq!(said(&decision), ["pod max 100"]);
    assert!(decision.plans[0][0].repeats);
    // To what is enough it is theirs, and the bound goes.
    let theirs = pod(Level { limit: at(128), ..rescued(100) }, Vec::new());
    let decision = ask(&theirs, Refuse::Off, true);
    assert_eq!(said(&decision), ["pod rsvd max"]);
    assert_eq!(decision.forgotten, [(Place::Pod, Which::Fault)]);
}

#[test]
fn what_a_kill_left_half_done_is_finished_or_taken_back() {
    let bound = |reserved| Level {
        reservation_limit: at(100),
        ours: Ours { limit: None, reservation: ours(Action::Bound, Limit::Unlimited, at(100)) },
        ..level(at(64), reserved, 0)
    };
    assert_eq!(said(&ask(&pod(bound(100), Vec::new()), Refuse::Off, true)), ["pod max 100"]);
    assert_eq!(said(&ask(&pod(bound(64), Vec::new()), Refuse::Off, true)), ["pod rsvd max"]);
    let lowered = Level {
        reservation_limit: at(64),
        ours: Ours { limit: None, reservation: ours(Action::Restore, Limit::Unlimited, at(64)) },
        ..level(at(64), 10, 0)
    };
    assert_eq!(said(&ask(&pod(lowered, Vec::new()), Refuse::Off, true)), ["pod rsvd max"]);
}

#[test]
fn what_may_not_be_written_is_said_and_not_written() {
    let facts = pod(level(at(0), 0, 0), vec![level(at(0), 0, 0)]);
    let leave = Leave::Denied(Outcome::Unnamed, None);
    let decision = decide(&facts, None, &policy(Refuse::Ungranted, false), leave);
    assert_eq!((decision.plans.len(), decision.left.len()), (0, 2));
    assert!(
        decision.left.iter().all(|left| left.outcome == Outcome::Unnamed && left.value == at(0))
    );
}
