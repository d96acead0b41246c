//! Rescue: where more is reserved than may be touched, the fault limit is raised to what is reserved. These pages were
//! set aside in the pool when they were mapped; nobody else can have them any more.
//!
//! A container's limit is raised first, to what it has reserved and no further. The pod's is then raised by as much as is
//! needed, so that the others in it keep what they were granted: to its own limit and what was added below it, or to
//! what is reserved in it where that is more. Nothing above the pod is touched.
//!
//! Before that the reservation limits are set to the same, so that the raise can't be outgrown; the pod comes before its
//! containers, so that at no moment one of them lives at another's expense.

use std::time::Duration;

use crate::snapshot::guard::{Action, Outcome, Reason};
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

use super::{Decision, Left, Write};
use crate::guard::facts::{Level, MemoryRoom, Place, PodFacts, Surroundings, Which};

/// Where somebody lowers a raised limit again and again, it is raised no more often.
const AGAIN: Duration = Duration::from_secs(10);

/// A fault limit that is to be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Raise {
    place: Place,
    to: Bytes,
}

/// Whether a process of the pod will be killed when it touches what it has mapped.
pub fn is_needed(facts: &PodFacts) -> bool {
    !raises(facts).is_empty()
}

pub(super) fn decide(
    facts: &PodFacts,
    surroundings: Option<&Surroundings>,
    bound: bool,
    decision: &mut Decision,
) {
    let raises = raises(facts);
    if raises.is_empty() {
        return;
    }
    let obstacle = match surroundings {
        None => Some(Reason::Unreadable),
        Some(surroundings) => obstacle(facts, &raises, surroundings),
    };
    let at = |raise: &Raise| facts.level(raise.place).map(|level| (*raise, level));
    let levels: Vec<(Raise, &Level)> = raises.iter().filter_map(at).collect();
    if let Some(reason) = obstacle {
        let left = |(raise, level): (Raise, &Level)| Left {
            place: raise.place,
            why: Action::Rescue,
            value: Limit::At(raise.to),
            old: level.limit,
            outcome: Outcome::Skipped,
            reason: Some(reason),
        };
        decision.left.extend(levels.into_iter().map(left));
        return;
    }
    let bounds = levels
        .iter()
        .filter(|(raise, level)| bound && level.reservation_limit > Limit::At(raise.to));
    let bounds = bounds.map(|(raise, level)| Write {
        place: raise.place,
        which: Which::Reservation,
        why: Action::Bound,
        from: level.reservation_limit,
        to: Limit::At(raise.to),
        repeats: false,
        ends: false,
    });
    let limits = levels.iter().map(|(raise, level)| Write {
        place: raise.place,
        which: Which::Fault,
        why: Action::Rescue,
        from: level.limit,
        to: Limit::At(raise.to),
        repeats: is_contested(level),
        ends: false,
    });
    decision.plans.push(bounds.chain(limits).collect());
}

/// What is to be raised, the pod first.
fn raises(facts: &PodFacts) -> Vec<Raise> {
    let raised = |level: &Level| {
        let reserved = level.reserved_pages(facts.page_size);
        (level.limit < Limit::At(reserved)).then_some(reserved)
    };
    let containers: Vec<Option<Bytes>> = facts.containers.iter().map(raised).collect();
    let pod = pod(facts, &containers).map(|to| Raise { place: Place::Pod, to });
    let containers = containers
        .iter()
        .enumerate()
        .filter_map(|(index, to)| Some(Raise { place: Place::Container(index), to: (*to)? }));
    pod.into_iter().chain(containers).collect()
}

/// The pod's new limit, if it needs one.
fn pod(facts: &PodFacts, raised: &[Option<Bytes>]) -> Option<Bytes> {
    let (granted, now) = (facts.pod.granted().finite()?, facts.pod.limit.finite()?);
    let reserved = facts.pod.reserved_pages(facts.page_size);
    let add = |a: Bytes, b: Bytes| Bytes(a.0.saturating_add(b.0));
    // What is added below, and what all may have below; nothing where one may have as much as the pod.
    let (mut added, mut together) = (Bytes::ZERO, Some(Bytes::ZERO));
    for (level, raised) in facts.containers.iter().zip(raised) {
        let limit = raised.map_or(level.limit, Limit::At);
        let more = limit.finite().zip(level.granted().finite());
        added = add(added, more.map_or(Bytes::ZERO, |(limit, granted)| limit.less(granted)));
        together = together.zip(limit.finite()).map(|(sum, limit)| add(sum, limit));
    }
    let needed = together.map_or(added, |together| added.min(together.less(granted)));
    let to = add(granted, needed).max(reserved.min(Bytes(Limit::UNLIMITED_FROM - 1)));
    (to > now).then_some(to)
}

/// Whether somebody else has lowered what the guard raised.
fn is_contested(level: &Level) -> bool {
    level.ours.limit.is_some_and(|ours| ours.new != level.limit)
}

/// Why a limit must not be raised, if anything speaks against it.
fn obstacle(facts: &PodFacts, raises: &[Raise], around: &Surroundings) -> Option<Reason> {
    let rest = facts.pod.outstanding();
    let is_contested =
        raises.iter().any(|raise| facts.level(raise.place).is_some_and(is_contested));
    let Reading::Present(pool) = around.pool else { return Some(Reason::Unreadable) };
    let Reading::Present(above) = around.above else { return Some(Reason::Unreadable) };
    let memory = memory(facts, raises, &around.memory);
    if is_contested && facts.since_rescue.is_some_and(|since| since < AGAIN) {
        Some(Reason::TooSoon)
    } else if around.is_crossed || rest > pool.reserved {
        Some(Reason::Uncertain)
    } else if rest > pool.free {
        Some(Reason::PoolShort)
    } else if Limit::At(rest) > above {
        Some(Reason::AbovePod)
    } else {
        memory
    }
}

/// Whether memory.max stands in the way: a page that it can't take is asked for again and again, for ever.
fn memory(facts: &PodFacts, raises: &[Raise], memory: &MemoryRoom) -> Option<Reason> {
    let (pod, containers) = match memory {
        MemoryRoom::NotCounted => return None,
        MemoryRoom::Unknown => return Some(Reason::Unreadable),
        MemoryRoom::Counted { pod, containers } => (pod, containers),
    };
    let fits = |room: Option<&Reading<Limit>>, rest: Bytes| match room {
        Some(Reading::Present(room)) => (Limit::At(rest) > *room).then_some(Reason::MemoryMax),
        _ => Some(Reason::Unreadable),
    };
    let of_containers = raises.iter().filter_map(|raise| match raise.place {
        Place::Pod => None,
        Place::Container(index) => {
            fits(containers.get(index), facts.containers.get(index)?.outstanding())
        }
    });
    fits(Some(pod), facts.pod.outstanding()).or_else(|| of_containers.into_iter().next())
}
