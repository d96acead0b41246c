//! Refusals that may be of a touch or of a mapping, and what happens around them.
//!
//! A touch is refused only where a limit leaves less than a page at that moment, and a process that is killed gives its pages
//! back. So what counts is what was held just before the refusal, when the kernel reported it, and in the polls after it.

use std::time::Duration;

use super::chain::{Chain, Room};
use super::refusals::Fault;
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

/// A killed process's pages come back soon, but perhaps between two polls; and a poll that the refusal itself made comes
/// before they do.
const POLLS_TO_FALL: u8 = 2;
const TIME_TO_FALL: Duration = Duration::from_secs(2);

/// Fewer pages than these may be another pod's: that they just fill a limit is chance.
const FEW: u64 = 8;

/// Refusals that wait for what happens next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Undecided {
    pub(super) count: u64,
    /// The last of them, if it was a touch.
    pub(super) last: Fault,
    page: Bytes,
    polls_left: u8,
    /// When the first of them was seen.
    since: Duration,
    used_before: Bytes,
    /// Whether more was mapped than may be touched already before them.
    was_short: bool,
    seen: Seen,
    /// Whether the peak that the kernel keeps shows that there was room.
    is_proved: bool,
    /// Whether they were touches for certain, which need not have killed.
    is_touch: bool,
    /// Whether those who were refused were gone before they were seen.
    pub(super) is_unseen: bool,
}

/// What was seen from just before the refusals until now.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Whether every figure could be read.
    is_known: bool,
    /// Whether the cgroup held pages, and whether it or its pod did.
    held: bool,
    any_held: bool,
    /// Whether a limit of zero stood.
    is_granted: bool,
    most_used: Bytes,
    /// The most that was used when the limits left less than a page.
    full: Option<Bytes>,
    /// The most that was mapped when that was more than may be touched.
    short: Option<Bytes>,
    /// The least that the limits left, of either kind.
    room: Room,
}

/// What is known of refusals as they are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// That they were mappings.
    pub(super) is_proved: bool,
    /// That they were touches.
    pub(super) is_touch: bool,
    /// That those who asked are gone already.
    pub(super) is_unseen: bool,
}

/// What a refusal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fault,
    Reservation,
    Ungranted,
    Ambiguous,
}

impl Undecided {
    /// None yet, after that poll.
    pub(super) fn new(before: Option<&Chain>, page: Bytes, last: Fault) -> Self {
        let mut new = Self {
            count: 0,
            last,
            page,
            polls_left: POLLS_TO_FALL,
            since: last.at,
            used_before: before.and_then(|before| before.usage.present()).unwrap_or_default(),
            was_short: before.is_some_and(|before| before.is_short),
            seen: Seen {
                is_known: true,
                held: false,
                any_held: false,
                is_granted: false,
                most_used: Bytes::ZERO,
                full: None,
                short: None,
                room: Room::Unlimited,
            },
            is_proved: true,
            is_touch: false,
            is_unseen: true,
        };
        before.into_iter().for_each(|before| new.observe(before));
        new
    }

    /// More of them.
    pub(super) fn add(&mut self, count: u64, last: Fault, known: Known) {
        self.count = self.count.saturating_add(count);
        self.last = last;
        self.is_proved &= known.is_proved;
        self.is_touch |= known.is_touch;
        self.is_unseen &= known.is_unseen;
    }

    /// Takes in what was held when they were heard of, and what is held now.
    pub(super) fn observe_then(&mut self, then: &Chain, now: &Chain) {
        self.observe(then);
        let back = then.given_back;
        // As much as just fills the limit was in use on the node then, and is not any more.
        if let (Room::Bytes(left), Some(used)) = (now.room, now.usage.present())
            && (back <= left && back.0 + self.page.0 > left.0 && back.0 >= FEW * self.page.0)
        {
            self.seen.full = self.seen.full.max(Some(Bytes(used.0 + back.0)));
        }
    }

    /// Takes in what was held at some moment around them.
    pub(super) fn observe(&mut self, chain: &Chain) {
        let seen = &mut self.seen;
        let (usage, mapped) = (chain.usage.present(), chain.reserved.present());
        let used = usage.unwrap_or_default();
        seen.is_known &= usage.is_some();
        seen.held |= used.max(mapped.unwrap_or_default()) > Bytes::ZERO;
        seen.any_held |= seen.held || chain.held > Bytes::ZERO;
        seen.is_granted |= chain.limit != Reading::Present(Limit::At(Bytes::ZERO));
        seen.most_used = seen.most_used.max(used);
        seen.room = seen.room.min(chain.room).min(chain.reservation_room);
        if chain.room.lacks(self.page) {
            seen.full = seen.full.max(Some(used));
        }
        if chain.is_short {
            seen.short = seen.short.max(mapped);
        }
    }

    /// What they were, after a poll.
    pub(super) fn decide(&mut self, now: &Chain, at: Duration) -> Option<Kind> {
        self.observe(now);
        let is_over = self.polls_left == 0 && at.saturating_sub(self.since) >= TIME_TO_FALL;
        self.polls_left = self.polls_left.saturating_sub(1);
        // Of what was mapped beyond the limit, the next touch is refused once the limit is reached.
        let is_predicted = self.was_short && self.seen.full.is_some();
        let was_fault = is_predicted || self.has_fallen(now.usage, now.reserved);
        if was_fault { Some(Kind::Fault) } else { is_over.then(|| self.unless_fault()) }
    }

    /// What they were, when the cgroup is gone. That it gave back what it held says nothing of them: what ends for another
    /// reason does, too. A container that was full or short when they came has ended over them.
    pub(super) fn end(&self, is_container: bool) -> Kind {
        let was_full = self.seen.full.max(self.seen.short) >= Some(self.page);
        let was_fault = self.is_touch || (is_container && was_full);
        if was_fault { Kind::Fault } else { self.unless_fault() }
    }

    /// Whether somebody has given back so much that he was killed.
    fn has_fallen(&self, usage: Reading<Bytes>, reserved: Reading<Bytes>) -> bool {
        let half = |before: Bytes, now: Bytes| before > Bytes::ZERO && now.0 <= before.0 / 2;
        let usage = usage.present();
        let short = self.seen.short.zip(reserved.present());
        usage.is_some_and(|usage| half(self.used_before, usage))
            || self.seen.full.zip(usage).is_some_and(|(full, now)| now.0 + self.page.0 <= full.0)
            || short.is_some_and(|(mapped, now)| half(mapped, now))
    }

    /// A copy that a child writes to is refused when the child has made as many as the limit left, so its parent holds at
    /// least as many: where less was in use, or nothing was held, it was a mapping.
    fn unless_fault(&self) -> Kind {
        let Seen { is_known, held, any_held, is_granted, most_used, room, .. } = self.seen;
        let is_roomy = room.has(self.page) && room.has(Bytes(most_used.0 + 1));
        if is_known && !is_granted && !held {
            Kind::Ungranted
        } else if !is_known || self.is_touch {
            Kind::Ambiguous
        } else if !any_held || is_roomy || self.is_proved {
            Kind::Reservation
        } else {
            Kind::Ambiguous
        }
    }
}
