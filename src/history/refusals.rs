//! Telling refused touches, which kill, from refused mappings, which do not.
//!
//! v1 counts them apart, but for touches that a reservation limit refused. v2 counts both in one number
//! (mm/hugetlb_cgroup.c), and only what else happened can tell: a process that was killed gives its pages
//! back, and a touch is refused only where a limit leaves less than a page.

use std::time::{Duration, SystemTime};

use super::chain::Chain;
use super::counter::{Counter, Growth};
use crate::snapshot::{Failures, Hugetlb, Limit, Reading};
use crate::units::Bytes;

/// A killed process's pages come back soon, but perhaps between two polls; and a poll that the refusal itself made comes
/// before they do.
const POLLS_TO_FALL: u8 = 2;
const TIME_TO_FALL: Duration = Duration::from_secs(2);

/// Refusals by what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// A touch: SIGBUS.
    pub faults: u64,
    /// A mapping: mmap answered ENOMEM, and most programs go on without.
    pub reservations: u64,
    /// One of the two; the kernel's figures do not tell which.
    pub ambiguous: u64,
    /// When a refusal was last seen that may be either.
    pub last_ambiguous: Option<Duration>,
}

/// A refused touch, and what held just before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When it was seen.
    pub at: Duration,
    /// The least limit of what may be touched, of the cgroup or of one above.
    pub limit: Reading<Limit>,
    /// What the cgroup had mapped, as far as it was known.
    pub mapped: Option<Bytes>,
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) wall: SystemTime,
    pub(super) since_start: Duration,
}

/// The counters of one cgroup for one page size.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// v2's only one, or v1's failcnt.
    first: Counter,
    /// v1's rsvd.failcnt.
    second: Counter,
    before: Option<Before>,
    /// Hardly ever there, and half as long as all else.
    undecided: Option<Box<Undecided>>,
    pub(super) refusals: Refusals,
    /// The last one. Hardly ever there, too.
    pub(super) fault: Option<Box<Fault>>,
    pub(super) total: u64,
    pub(super) last: Option<SystemTime>,
}

/// Of the last poll.
#[derive(Debug, Clone, Copy)]
struct Before {
    usage: Bytes,
    mapped: Bytes,
    limit: Reading<Limit>,
    /// Whether the limits left a page.
    had_room: bool,
}

/// Refusals that wait for what happens next.
#[derive(Debug, Clone, Copy)]
struct Undecided {
    count: u64,
    usage_before: Bytes,
    /// Whether the limits left a page, before and after.
    had_room: bool,
    polls_left: u8,
    /// When the first of them was seen.
    since: Duration,
    /// The last of them, if it was a touch.
    last: Option<Fault>,
}

impl Watch {
    pub(super) fn new(young: bool) -> Self {
        Self {
            first: Counter::new(young),
            second: Counter::new(young),
            before: None,
            undecided: None,
            refusals: Refusals::default(),
            fault: None,
            total: 0,
            last: None,
        }
    }

    /// Takes in a cgroup's figures.
    pub(super) fn take_in(&mut self, hugetlb: &Hugetlb, chain: Chain, now: Now) {
        let usage = hugetlb.usage.present();
        let has_room = chain.room.has(hugetlb.page_size.bytes());
        let mapped = hugetlb.reserved.present().max(usage);
        let fault = Fault {
            at: now.since_start,
            limit: self.before.map_or(chain.limit, |before| before.limit),
            mapped: mapped.max(self.before.map(|before| before.mapped)),
        };
        match hugetlb.failures {
            Failures::V2 { hierarchical: Reading::Present(raw), .. } => {
                let growth = self.first.count(raw);
                self.note(growth, now);
                if chain.may_refuse_mappings {
                    self.wonder(growth, has_room, fault);
                } else {
                    self.add_faults(growth.by, growth.now.then_some(fault));
                }
            }
            Failures::V2 { .. } => {}
            Failures::V1 { faults, reservations } => {
                if let Reading::Present(raw) = faults {
                    let growth = self.first.count(raw);
                    self.note(growth, now);
                    self.add_faults(growth.by, growth.now.then_some(fault));
                }
                if let Reading::Present(raw) = reservations {
                    let growth = self.second.count(raw);
                    self.note(growth, now);
                    self.wonder(growth, has_room, fault);
                }
            }
        }
        self.decide(usage, now.since_start);
        self.before = usage.map(|usage| Before {
            usage,
            mapped: mapped.unwrap_or(usage),
            limit: chain.limit,
            had_room: has_room,
        });
    }

    /// The cgroup is gone, and with it whatever it used.
    pub(super) fn end(&mut self) {
        while self.undecided.is_some() {
            self.decide(Some(Bytes::ZERO), Duration::MAX);
        }
    }

    fn note(&mut self, growth: Growth, now: Now) {
        self.total = self.total.saturating_add(growth.by);
        if growth.now {
            self.last = Some(now.wall);
        }
    }

    /// Refusals of one kind or the other.
    fn wonder(&mut self, growth: Growth, has_room: bool, fault: Fault) {
        if growth.by == 0 {
            return;
        }
        if !growth.now {
            // Nobody saw what happened then.
            self.refusals.ambiguous = self.refusals.ambiguous.saturating_add(growth.by);
            return;
        }
        let before = self.before.map(|before| (before.usage, before.had_room));
        let (usage_before, had_room) = before.unwrap_or_default();
        let fresh = Undecided {
            count: 0,
            usage_before,
            had_room: true,
            polls_left: POLLS_TO_FALL,
            since: fault.at,
            last: None,
        };
        let undecided = self.undecided.get_or_insert_with(|| Box::new(fresh));
        undecided.count = undecided.count.saturating_add(growth.by);
        undecided.had_room &= had_room && has_room;
        undecided.last = Some(fault);
    }

    fn add_faults(&mut self, count: u64, last: Option<Fault>) {
        if count > 0 {
            self.refusals.faults = self.refusals.faults.saturating_add(count);
            // Those that were decided upon later may have been earlier.
            self.fault = Fault::later(self.fault.as_deref().copied(), last).map(Box::new);
        }
    }

    fn decide(&mut self, usage: Option<Bytes>, now: Duration) {
        let Some(mut undecided) = self.undecided.take() else { return };
        let (count, last) = (undecided.count, undecided.last);
        let before = undecided.usage_before;
        // What can't be read may have been full, and need not have fallen.
        undecided.had_room &= usage.is_some();
        if before > Bytes::ZERO && usage.is_some_and(|usage| usage.0 <= before.0 / 2) {
            self.add_faults(count, last);
        } else if undecided.polls_left > 0 || !undecided.is_old(now) {
            undecided.polls_left = undecided.polls_left.saturating_sub(1);
            self.undecided = Some(undecided);
        } else if undecided.had_room {
            self.refusals.reservations = self.refusals.reservations.saturating_add(count);
        } else {
            self.refusals.ambiguous = self.refusals.ambiguous.saturating_add(count);
            self.refusals.last_ambiguous = last.map(|last| last.at);
        }
    }
}

impl Undecided {
    /// Whether whoever was killed would have been gone by now.
    fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= TIME_TO_FALL
    }
}

impl Fault {
    /// The later one.
    pub fn later(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        if other.map(|fault| fault.at) > one.map(|fault| fault.at) { other } else { one }
    }
}

impl Refusals {
    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self {
            faults: self.faults.saturating_add(other.faults),
            reservations: self.reservations.saturating_add(other.reservations),
            ambiguous: self.ambiguous.saturating_add(other.ambiguous),
            last_ambiguous: self.last_ambiguous.max(other.last_ambiguous),
        }
    }
}

#[cfg(test)]
mod tests;
