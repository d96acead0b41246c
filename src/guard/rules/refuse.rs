//! Refuse: a reservation limit where there is none, so that a mapping that is too large fails with ENOMEM, instead of
//! its touches with SIGBUS.
//!
//! `ungranted` writes 0 where 0 is the limit, to pods that hold nothing and never were granted any: such a mapping
//! could not be used anyway. `all` writes the limit, whatever it is; that can refuse what would have lived (fork and
//! copy-on-write within the limit, a neighbour that maps without a reservation).
//!
//! Nothing is ever raised here but what the guard itself had set, when the limit it stood for was raised by others.

use crate::snapshot::Limit;
use crate::snapshot::guard::{Action, Outcome, Refuse};
use crate::units::Bytes;

use super::{Decision, Left, Write};
use crate::guard::facts::{Change, Level, Place, PodFacts, Which};

const NOTHING: Limit = Limit::At(Bytes::ZERO);

pub(super) fn decide(facts: &PodFacts, refuse: Refuse, decision: &mut Decision) {
    for (place, level) in facts.levels() {
        // A raised limit has its own bound, and one that is about to be raised or set back is decided on elsewhere.
        if level.is_rescued() || decision.writes_to(place) {
            continue;
        }
        let wanted = wanted(facts, level, refuse);
        match level.ours.reservation.filter(|ours| ours.why == Action::Refuse) {
            None => first(place, level, wanted, decision),
            Some(ours) if ours.new == level.reservation_limit => {
                follow(place, level, ours, wanted, decision);
            }
            Some(ours) => replaced(place, level, ours, wanted, decision),
        }
    }
}

/// The reservation limit that a cgroup should have, if any.
fn wanted(facts: &PodFacts, level: &Level, refuse: Refuse) -> Option<Limit> {
    let granted = level.granted();
    match refuse {
        Refuse::Off => None,
        Refuse::Ungranted => (is_ungranted(facts) && granted == NOTHING).then_some(NOTHING),
        // What is reserved already can't be refused any more (EBUSY).
        Refuse::All => granted
            .finite()
            .map(|granted| Limit::At(granted.max(level.reserved_pages(facts.page_size)))),
    }
}

/// Whether a pod was granted none of these pages since its cgroup was made, as far as was seen, and holds none.
fn is_ungranted(facts: &PodFacts) -> bool {
    let holds_none = facts.pod.usage == Bytes::ZERO && facts.pod.reserved == Bytes::ZERO;
    facts.pod.granted() == NOTHING && holds_none && !facts.was_granted
}

fn write(place: Place, level: &Level, to: Limit) -> Write {
    Write {
        place,
        which: Which::Reservation,
        why: Action::Refuse,
        from: level.reservation_limit,
        to,
        repeats: false,
        ends: false,
    }
}

/// Nothing here is the guard's yet.
fn first(place: Place, level: &Level, wanted: Option<Limit>, decision: &mut Decision) {
    if let Some(to) = wanted.filter(|to| level.reservation_limit > *to) {
        decision.plans.push(vec![write(place, level, to)]);
    }
}

/// What is the guard's follows the limit that it stands for.
fn follow(
    place: Place,
    level: &Level,
    ours: Change,
    wanted: Option<Limit>,
    decision: &mut Decision,
) {
    match wanted {
        Some(to) if to != ours.new => decision.plans.push(vec![write(place, level, to)]),
        Some(_) => {}
        // It would refuse what was granted since.
        None if level.granted() > ours.new => {
            let restore =
                Write { why: Action::Restore, ends: true, ..write(place, level, ours.old) };
            decision.plans.push(vec![restore]);
        }
        // No change of policy takes it away: that is for `guard --undo`.
        None => {}
    }
}

/// Somebody else has set it since: it is written once more, and then left alone.
fn replaced(
    place: Place,
    level: &Level,
    ours: Change,
    wanted: Option<Limit>,
    decision: &mut Decision,
) {
    match wanted.filter(|to| level.reservation_limit > *to) {
        None => decision.forgotten.push((place, Which::Reservation)),
        Some(to) if !ours.repeated => {
            decision.plans.push(vec![Write { repeats: true, ..write(place, level, to) }]);
        }
        Some(value) => decision.left.push(Left {
            place,
            why: Action::Refuse,
            value,
            old: level.reservation_limit,
            outcome: Outcome::Contested,
            reason: None,
        }),
    }
}
