//! Restore: what was raised goes back as soon as what is reserved fits under the old limit again, whatever the policy is
//! by now. A limit that a process lives by stays.
//!
//! The reservation limit is lowered to the old limit first: the kernel refuses that (EBUSY) while more is reserved, at the
//! same moment at which it would take it, so no mapping can slip in between.

use crate::snapshot::Limit;
use crate::snapshot::guard::Action;

use super::{Decision, Write};
use crate::guard::facts::{Change, Level, Place, PodFacts, Which};

pub(super) fn decide(facts: &PodFacts, decision: &mut Decision) {
    let any_container = facts.containers.iter().any(Level::is_rescued);
    for (place, level) in facts.levels() {
        if decision.writes_to(place) {
            continue;
        }
        match level.ours.limit {
            // The pod has what was added below it, for as long as it is added.
            Some(ours) if level.is_rescued() => {
                let is_needed = place == Place::Pod && any_container;
                if !is_needed && Limit::At(level.reserved_pages(facts.page_size)) <= ours.old {
                    decision.plans.push(set_back(place, level, ours));
                }
            }
            // Somebody else has set it, to what is enough.
            Some(_) if Limit::At(level.reserved_pages(facts.page_size)) <= level.limit => {
                decision.forgotten.push((place, Which::Fault));
                unbind(place, level, decision);
            }
            Some(_) => {}
            None if Limit::At(level.reserved_pages(facts.page_size)) <= level.limit => {
                unbind(place, level, decision);
            }
            None => {}
        }
    }
}

/// The writes that set a raised limit back.
pub fn set_back(place: Place, level: &Level, ours: Change) -> Vec<Write> {
    let write = |which, from, to, ends| Write {
        place,
        which,
        why: Action::Restore,
        from,
        to,
        repeats: false,
        ends,
    };
    let now = level.reservation_limit;
    let before = level.our_reservation().map_or(now, |bound| bound.old);
    let mut writes = Vec::new();
    if now > ours.old {
        writes.push(write(Which::Reservation, now, ours.old, false));
    }
    writes.push(write(Which::Fault, level.limit, ours.old, true));
    let lowered = now.min(ours.old);
    if before != lowered || level.our_reservation().is_some() {
        writes.push(write(Which::Reservation, lowered, before, true));
    }
    writes
}

/// A bound without a raised limit, as one who was killed in between has left it, would refuse what may be touched.
fn unbind(place: Place, level: &Level, decision: &mut Decision) {
    let bound = level.ours.reservation.filter(|ours| ours.why != Action::Refuse);
    match bound {
        Some(ours) if ours.new == level.reservation_limit => decision.plans.push(vec![Write {
            place,
            which: Which::Reservation,
            why: Action::Restore,
            from: ours.new,
            to: ours.old,
            repeats: false,
            ends: true,
        }]),
        Some(_) => decision.forgotten.push((place, Which::Reservation)),
        None => {}
    }
}
