//! Telling refused touches, which kill, from refused mappings, which do not.
//!
//! v1 counts them apart, but for touches that a reservation limit refused. v2 counts both in one number
//! (mm/hugetlb_cgroup.c), and only what else happened can tell ([`undecided`](super::undecided)).

use std::time::{Duration, SystemTime};

use super::chain::Chain;
use super::counter::{Counter, Growth};
use super::loops::RefusedEnds;
use super::undecided::{Kind, Known, Undecided};
use crate::snapshot::{Failures, Hugetlb, Limit, Reading};
use crate::units::Bytes;

/// Refusals by what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// A touch: SIGBUS.
    pub faults: u64,
    /// A mapping: mmap answered ENOMEM, and most programs go on without.
    pub reservations: u64,
    /// A mapping, or the first touch without a reservation, where nothing was granted and nothing was held.
    pub ungranted: u64,
    /// One of the two; the kernel's figures do not tell which.
    pub ambiguous: u64,
    /// When one of each kind was last seen, but for touches.
    pub last_reservation: Option<Duration>,
    /// The same of those where nothing was granted.
    pub last_ungranted: Option<Duration>,
    /// The same of those that may be either.
    pub last_ambiguous: Option<Duration>,
}

/// A refused touch, and what held just before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When it was seen.
    pub at: Duration,
    /// The least limit of what may be touched, of the cgroup or of one above.
    pub limit: Reading<Limit>,
    /// The same when the cgroup was last seen.
    pub last_limit: Reading<Limit>,
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
    /// Of the last poll.
    before: Option<Box<Chain>>,
    /// The peak that v1 keeps.
    peak: Option<Bytes>,
    /// Refusals of a pod that its containers have counted and it has not yet.
    explained: u64,
    /// Hardly ever there, and half as long as all else.
    undecided: Option<Box<Undecided>>,
    pub(super) refusals: Refusals,
    /// The last one. Hardly ever there, too.
    pub(super) fault: Option<Box<Fault>>,
    pub(super) total: u64,
    pub(super) last: Option<SystemTime>,
    /// The same, since the start.
    pub(super) last_at: Option<Duration>,
    /// Of a pod: refusals to containers that were gone before they were seen.
    pub(super) unseen_ends: Option<RefusedEnds>,
}

/// What a poll says of a cgroup.
pub(super) struct Figures<'a> {
    pub(super) hugetlb: &'a Hugetlb,
    pub(super) chain: Chain,
    /// What it was when the kernel reported a refusal, if it did since the last poll.
    pub(super) at_refusal: Option<Chain>,
    /// Refusals that were counted in it and have been reported of a container in it.
    pub(super) explained: u64,
    /// Whether it is a pod's, and whether of its containers there is at most the sandbox.
    pub(super) is_pod: bool,
    pub(super) is_deserted: bool,
}

impl Watch {
    pub(super) fn new(young: bool) -> Self {
        Self {
            first: Counter::new(young),
            second: Counter::new(young),
            before: None,
            peak: None,
            explained: 0,
            undecided: None,
            refusals: Refusals::default(),
            fault: None,
            total: 0,
            last: None,
            last_at: None,
            unseen_ends: None,
        }
    }

    /// Takes in a cgroup's figures; how many refusals are new.
    pub(super) fn take_in(&mut self, figures: &Figures<'_>, now: Now) -> u64 {
        let Figures { hugetlb, chain, .. } = figures;
        let mapped = hugetlb.reserved.present().max(hugetlb.usage.present());
        let before = self.before.as_deref();
        let fault = Fault {
            at: now.since_start,
            limit: before.map_or(chain.limit, |before| before.limit),
            last_limit: chain.limit,
            mapped: mapped.max(before.and_then(|it| it.reserved.present().max(it.usage.present()))),
        };
        let mut new = 0;
        match hugetlb.failures {
            Failures::V2 { hierarchical: Reading::Present(raw), .. } => {
                let growth = self.first.count(raw);
                new += self.note(growth, now);
                self.explain(figures.explained);
                let growth = self.unexplained(growth);
                if chain.may_refuse_mappings {
                    self.wonder(growth, figures, fault, false);
                } else {
                    self.add_touches(growth, figures, fault);
                }
            }
            Failures::V2 { .. } => {}
            Failures::V1 { faults, reservations } => {
                if let Reading::Present(raw) = faults {
                    let growth = self.first.count(raw);
                    new += self.note(growth, now);
                    self.add_touches(growth, figures, fault);
                }
                if let Reading::Present(raw) = reservations {
                    let growth = self.second.count(raw);
                    new += self.note(growth, now);
                    self.wonder(growth, figures, fault, false);
                }
            }
        }
        self.decide(chain, now.since_start);
        if let Some(fault) = &mut self.fault {
            fault.last_limit = chain.limit;
        }
        self.peak = self.peak.max(hugetlb.max_usage.present());
        match &mut self.before {
            Some(before) => **before = *chain,
            None => self.before = Some(Box::new(*chain)),
        }
        new
    }

    /// The cgroup is gone, and with it whatever it used.
    pub(super) fn end(&mut self, is_container: bool) {
        if let Some(undecided) = self.undecided.take() {
            self.add(undecided.end(is_container), &undecided);
        }
    }

    /// When a mapping was last refused, or what may have been one.
    pub(super) fn last_mapping(&self) -> Option<Duration> {
        let Refusals { last_reservation, last_ungranted, last_ambiguous, .. } = self.refusals;
        let undecided = self.undecided.as_ref().map(|undecided| undecided.last.at);
        undecided.max(last_reservation).max(last_ungranted).max(last_ambiguous)
    }

    /// How many are new.
    fn note(&mut self, growth: Growth, now: Now) -> u64 {
        self.total = self.total.saturating_add(growth.by);
        if growth.now {
            self.last = Some(now.wall);
            self.last_at = Some(now.since_start);
        }
        growth.by
    }

    /// v2 counts in a pod what its containers were refused. Who is refused is told once: of the container. A container that
    /// was found a moment later explains what still waits.
    fn explain(&mut self, count: u64) {
        self.explained = self.explained.saturating_add(count);
        if let Some(undecided) = &mut self.undecided {
            let explained = undecided.count.min(self.explained);
            (undecided.count, self.explained) =
                (undecided.count - explained, self.explained - explained);
            if undecided.count == 0 {
                self.undecided = None;
            }
        }
    }

    fn unexplained(&mut self, growth: Growth) -> Growth {
        let explained = growth.by.min(self.explained);
        self.explained -= explained;
        Growth { by: growth.by - explained, ..growth }
    }

    /// Touches that were refused. A process that is killed gives back what it held; where all is still held, an error may have been
    /// the answer (MADV_POPULATE_WRITE, read(2)).
    fn add_touches(&mut self, growth: Growth, figures: &Figures<'_>, fault: Fault) {
        let chain = &figures.chain;
        let is_full = chain.room.lacks(figures.hugetlb.page_size.bytes()) && chain.usage.is_some();
        if growth.now && is_full {
            self.wonder(growth, figures, fault, true);
        } else {
            self.add_faults(growth.by, growth.now.then_some(fault));
        }
    }

    /// Refusals of one kind or the other.
    fn wonder(&mut self, growth: Growth, figures: &Figures<'_>, fault: Fault, is_touch: bool) {
        if growth.by == 0 {
            return;
        }
        if !growth.now {
            // Nobody saw what happened then.
            self.refusals.ambiguous = self.refusals.ambiguous.saturating_add(growth.by);
            return;
        }
        let peak = figures.hugetlb.max_usage.present();
        let is_proved = peak.is_some_and(|peak| had_room(figures, self.before.as_deref(), peak));
        let page = figures.hugetlb.page_size.bytes();
        let before = self.before.as_deref();
        let fresh = || Box::new(Undecided::new(before, page, fault));
        let undecided = self.undecided.get_or_insert_with(fresh);
        // v1 counts where the limit is, whatever lives below it.
        let is_v1 = matches!(figures.hugetlb.failures, Failures::V1 { .. });
        let is_unseen = figures.is_pod && (figures.is_deserted || !is_v1);
        undecided.add(growth.by, fault, Known { is_proved, is_touch, is_unseen });
        figures.at_refusal.iter().for_each(|then| undecided.observe_then(then, &figures.chain));
        if let Some(peak) = peak.filter(|peak| self.peak.is_some_and(|before| *peak > before)) {
            undecided.observe(&at_peak(figures, peak));
        }
    }

    fn add_faults(&mut self, count: u64, last: Option<Fault>) {
        if count > 0 {
            self.refusals.faults = self.refusals.faults.saturating_add(count);
            // Those that were decided upon later may have been earlier.
            self.fault = Fault::later(self.fault.as_deref().copied(), last).map(Box::new);
        }
    }

    fn decide(&mut self, chain: &Chain, now: Duration) {
        let Some(mut undecided) = self.undecided.take() else { return };
        match undecided.decide(chain, now) {
            Some(kind) => self.add(kind, &undecided),
            None => self.undecided = Some(undecided),
        }
    }

    fn add(&mut self, kind: Kind, undecided: &Undecided) {
        let (count, last) = (undecided.count, undecided.last);
        if kind != Kind::Fault && undecided.is_unseen {
            let end = RefusedEnds::of(last.at, last.at);
            self.unseen_ends = RefusedEnds::with(self.unseen_ends, end);
        }
        let refusals = &mut self.refusals;
        let (sum, seen) = match kind {
            Kind::Fault => return self.add_faults(count, Some(last)),
            Kind::Reservation => (&mut refusals.reservations, &mut refusals.last_reservation),
            Kind::Ungranted => (&mut refusals.ungranted, &mut refusals.last_ungranted),
            Kind::Ambiguous => (&mut refusals.ambiguous, &mut refusals.last_ambiguous),
        };
        *sum = sum.saturating_add(count);
        *seen = Some(last.at);
    }
}

/// v1 keeps the peak of what was touched, and counts a refusal where its limit was hit: as long as that peak and what is
/// mapped besides leave a page of the reservation limit, no touch was refused by it. It is read where pages are in use.
fn had_room(figures: &Figures<'_>, before: Option<&Chain>, peak: Bytes) -> bool {
    let outstanding = |chain: &Chain| match (chain.reserved, chain.usage) {
        (Reading::Present(reserved), Reading::Present(usage)) => {
            Some(reserved.0.saturating_sub(usage.0))
        }
        _ => None,
    };
    let mut most = [Some(&figures.chain), before].into_iter().flatten().map(outstanding);
    let most = most.try_fold(0, |most, one| Some(most.max(one?)));
    let limit = figures.hugetlb.reservation_limit.finite();
    let page = figures.hugetlb.page_size.bytes();
    limit
        .zip(most)
        .is_some_and(|(limit, most)| peak.0.saturating_add(most).saturating_add(page.0) <= limit.0)
}

/// What the cgroup was when it used most.
fn at_peak(figures: &Figures<'_>, peak: Bytes) -> Chain {
    let peak = Reading::Present(peak);
    Chain { limit: figures.chain.limit, ..Chain::own(figures.hugetlb, (peak, peak)) }
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
            ungranted: self.ungranted.saturating_add(other.ungranted),
            ambiguous: self.ambiguous.saturating_add(other.ambiguous),
            last_reservation: self.last_reservation.max(other.last_reservation),
            last_ungranted: self.last_ungranted.max(other.last_ungranted),
            last_ambiguous: self.last_ambiguous.max(other.last_ambiguous),
        }
    }
}

#[cfg(test)]
mod tests;
