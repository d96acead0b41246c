//! What SIGBUS means that the witness saw: whose it was, and whether it was for huge pages.
//!
//! A refused touch is counted before its signal is raised, by the same thread, in the same system call's time. So a signal
//! belongs to a refusal where the counter of its cgroup, or of the innermost above it that is known, moved between the poll
//! before the signal and the one after it. The pool's own refusal is counted nowhere: where nothing moved, it is told from the
//! pool being empty and the cgroup holding huge pages.

mod place;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{History, Retention};
use crate::identity::{ContainerId, NameIndex, PodUid};
use crate::snapshot::{Signal, Snapshot, Witness};
use crate::units::PageSize;
use place::{Place, whose};

/// From a counter's move to the signal that the same touch raises: a thread may wait for its processor in between.
const APART: Duration = Duration::from_secs(1);
/// An empty pool is believed to have been empty so long before and after it was seen so.
const EMPTY_FOR: Duration = Duration::from_secs(5);
/// So many signals are kept, and so many containers' counts.
const MOST_DEATHS: usize = 256;
const MOST_COUNTED: usize = 1024;
/// So many cgroups that are gone are remembered.
const MOST_GONE: usize = 4096;

/// Why a process got SIGBUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A limit refused it a huge page.
    Limit,
    /// The pool had no huge page left.
    Pool,
    /// The machine's memory is broken there.
    Memory,
    /// Something else: a file that was cut, an address that is not aligned.
    Other,
    /// It is not known: the kernel told of no more signals of this cgroup within the minute.
    Dropped,
}

/// A process that got SIGBUS, which kills it unless it handles that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Counted up from 1.
    pub number: u64,
    /// When, since the agent's start; nothing where it was before that.
    pub at: Option<Duration>,
    /// The same, by the clock on the wall.
    pub wall: SystemTime,
    /// Whose process it was.
    pub whose: Whose,
    /// Its number as the node counts.
    pub pid: u32,
    /// What its thread called itself.
    pub comm: Arc<str>,
    /// What it touched.
    pub address: u64,
    /// Why; nothing where it was before the agent's start.
    pub cause: Option<Cause>,
    /// Of which size the page was that it was refused.
    pub page_size: Option<PageSize>,
}

/// A container, or a pod of which no more is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose {
    /// The pod.
    pub uid: PodUid,
    /// The container; nothing where it was gone before it was seen.
    pub container: Option<ContainerId>,
}

/// How many, by cause.
pub type Counts = BTreeMap<Cause, u64>;

/// What is remembered of signals and of cgroups.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Since when the witness that was heard last sees, and its last signal's number.
    heard: Option<(u64, u64)>,
    /// Cgroups by their inode numbers, those that are gone too.
    places: HashMap<u64, Place>,
    /// When a pool was last seen empty.
    empty: BTreeMap<PageSize, Duration>,
    deaths: VecDeque<Death>,
    counts: HashMap<Whose, Counted>,
    /// Names that containers had, for when they are gone.
    names: HashMap<ContainerId, Arc<str>>,
    /// Signals of which nothing was told, of nobody known.
    lost: u64,
    dropped: HashMap<u64, u64>,
    /// What the witness said last of those that the kernel could not note.
    lost_there: u64,
    number: u64,
    /// When the last snapshot was taken, and the one at hand.
    before: Option<Duration>,
    now: Duration,
}

#[derive(Debug, Default)]
struct Counted {
    counts: Counts,
    last: Duration,
}

impl Signals {
    /// Takes in a snapshot. Without a witness nothing is remembered.
    pub(super) fn update(&mut self, snapshot: &Snapshot, retention: Retention) {
        let Some(witness) = &snapshot.witness else { return };
        let now = snapshot.taken.since_start;
        self.now = now;
        self.see_cgroups(snapshot);
        for pool in &snapshot.pools {
            let is_empty = |free: u64| free == 0;
            let available = pool.free.present().zip(pool.reserved.present());
            let available =
                available.map(|(free, reserved)| free.0.saturating_sub(reserved.at_least_none().0));
            let mut nodes = pool.nodes.iter().filter_map(|node| node.free.present());
            if available.is_some_and(is_empty) || nodes.any(|free| is_empty(free.0)) {
                self.empty.insert(pool.page_size, now);
            }
        }
        self.hear(witness, snapshot);
        self.forget(now, retention);
        self.before = Some(now);
    }

    fn see_cgroups(&mut self, snapshot: &Snapshot) {
        let now = snapshot.taken.since_start;
        for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
            let parent = cgroup.parent.and_then(|parent| snapshot.cgroups.get(parent));
            let before = self.before;
            let fresh = || Place::new(whose(snapshot, index), parent.map(|parent| parent.inode));
            let place = self.places.entry(cgroup.inode).or_insert_with(fresh);
            place.seen = now;
            place.take_in(cgroup, before, now);
        }
    }

    fn hear(&mut self, witness: &Witness, snapshot: &Snapshot) {
        let report = &witness.report;
        let since = report.since().map_or(0, nanoseconds);
        let last = self.heard.filter(|(was, _)| *was == since).map_or(0, |(_, last)| last);
        if last == 0 && self.heard.is_some_and(|(was, _)| was != since) {
            // It was started again, and counts from 0.
            self.dropped.clear();
            self.lost_there = 0;
        }
        let new: Vec<&Signal> = report.signals.iter().filter(|it| it.number > last).collect();
        for signal in &new {
            self.take(signal, witness, snapshot);
        }
        let is_first = self.heard.is_none();
        if !is_first {
            let gone = (report.count - last.min(report.count)).saturating_sub(new.len() as u64);
            self.lost = self.lost.saturating_add(gone);
        }
        if !is_first {
            self.lost = self.lost.saturating_add(report.lost.saturating_sub(self.lost_there));
        }
        self.lost_there = report.lost;
        self.heard = Some((since, report.count));
        for dropped in &report.dropped {
            let before = self.dropped.insert(dropped.cgroup, dropped.count).unwrap_or(0);
            let more = dropped.count.saturating_sub(before);
            let whose = self.chain(dropped.cgroup, &[]).and_then(|place| place.whose.clone());
            match whose {
                Some(whose) if more > 0 && !snapshot.is_probing(&whose.uid) => {
                    self.count(whose, Cause::Dropped, more, snapshot.taken.since_start);
                }
                None if more > 0 && !is_first => self.lost = self.lost.saturating_add(more),
                _ => {}
            }
        }
    }

    /// One signal: of a pod's process it is kept, of any other it is nobody's concern here.
    fn take(&mut self, signal: &Signal, witness: &Witness, snapshot: &Snapshot) {
        let Some(place) = self.chain(signal.cgroup, &signal.above) else { return };
        let Some(whose) = place.whose.clone() else { return };
        // The probe's own child is refused on purpose.
        if snapshot.is_probing(&whose.uid) {
            return;
        }
        let at = witness.since_start(signal.at_ns);
        let (cause, page_size) = at.map(|at| self.cause(signal, place, at)).unzip();
        let now = snapshot.taken.since_start;
        self.number += 1;
        self.deaths.push_back(Death {
            number: self.number,
            at,
            wall: witness.wall(signal.at_ns),
            whose: whose.clone(),
            pid: signal.pid,
            comm: signal.comm.as_str().into(),
            address: signal.address,
            cause,
            page_size: page_size.flatten(),
        });
        if self.deaths.len() > MOST_DEATHS {
            self.deaths.pop_front();
        }
        if let Some(cause) = cause {
            self.count(whose, cause, 1, now);
        }
    }

    fn count(&mut self, whose: Whose, cause: Cause, more: u64, now: Duration) {
        let counted = self.counts.entry(whose).or_default();
        let sum = counted.counts.entry(cause).or_insert(0);
        *sum = sum.saturating_add(more);
        counted.last = now;
    }

    /// The innermost cgroup that is known, of one and those above it.
    fn chain(&self, cgroup: u64, above: &[u64]) -> Option<&Place> {
        let mut ids = [cgroup].into_iter().chain(above.iter().rev().copied());
        ids.find_map(|id| self.places.get(&id))
    }

    fn cause(&self, signal: &Signal, place: &Place, at: Duration) -> (Cause, Option<PageSize>) {
        const BUS_ADRERR: i32 = 2;
        const MEMORY_ERRORS: [i32; 2] = [4, 5];
        if MEMORY_ERRORS.contains(&signal.code) {
            return (Cause::Memory, None);
        }
        if signal.code != BUS_ADRERR {
            return (Cause::Other, None);
        }
        if let Some(size) = self.refused(place, at) {
            return (Cause::Limit, Some(size));
        }
        let held = place.held.iter().filter(|(_, held)| at.saturating_sub(*held) <= EMPTY_FOR);
        let mut held = held.map(|(size, _)| *size);
        let is_empty = |size: &PageSize| {
            self.empty.get(size).is_some_and(|seen| at.abs_diff(*seen) <= EMPTY_FOR)
        };
        match held.find(is_empty) {
            Some(size) => (Cause::Pool, Some(size)),
            None => (Cause::Other, None),
        }
    }

    /// Of which size a page was refused around that time, to the cgroup or, where that is gone, to the one above it.
    fn refused(&self, place: &Place, at: Duration) -> Option<PageSize> {
        let mut place = Some(place);
        while let Some(this) = place {
            let moved = this
                .moves
                .iter()
                .rev()
                .find(|(_, from, to)| at + APART >= *from && at <= *to + APART);
            if let Some((size, ..)) = moved {
                return Some(*size);
            }
            if this.seen == self.now {
                return None;
            }
            place = this.parent.and_then(|parent| self.places.get(&parent));
        }
        None
    }

    fn forget(&mut self, now: Duration, retention: Retention) {
        let is_old = |at: Duration| now.saturating_sub(at) > retention.dead_for;
        self.places.retain(|_, place| !is_old(place.seen));
        if self.places.values().filter(|place| place.seen != now).count() > MOST_GONE {
            self.places.retain(|_, place| place.seen == now);
        }
        self.deaths.retain(|death| !is_old(death.at.unwrap_or_default()));
        if self.counts.is_empty() && self.deaths.is_empty() {
            return;
        }
        let here = self.places.values().filter(|place| place.seen == now);
        let living: HashSet<&Whose> = here.filter_map(|place| place.whose.as_ref()).collect();
        let is_full = self.counts.len() > MOST_COUNTED;
        self.counts
            .retain(|whose, counted| living.contains(whose) || !(is_full || is_old(counted.last)));
        let known: HashSet<ContainerId> =
            self.whose().filter_map(|whose| whose.container.clone()).collect();
        self.names.retain(|id, _| known.contains(id));
    }

    /// Everyone of whom something is remembered.
    fn whose(&self) -> impl Iterator<Item = &Whose> {
        self.counts.keys().chain(self.deaths.iter().map(|death| &death.whose))
    }
}

impl History {
    /// The names of containers that got signals, for when they are gone.
    pub(super) fn name_signals(&mut self, names: &NameIndex) {
        let mut found = Vec::new();
        for whose in self.signals.whose() {
            let Some(id) = &whose.container else { continue };
            let living = self.instances.get(id).and_then(|instance| instance.name.as_ref());
            let living = living.map(|(name, _)| name);
            let told = || names.container(&whose.uid, id).map(|name| &name.name);
            if let Some(name) = living.or_else(told) {
                found.push((id.clone(), Arc::clone(name)));
            }
        }
        self.signals.names.extend(found);
    }

    /// What a container is called that got a signal, also when it is gone: its name, or its short id.
    pub fn called(&self, whose: &Whose) -> Arc<str> {
        let Some(id) = &whose.container else { return Arc::from("") };
        self.signals.names.get(id).cloned().unwrap_or_else(|| id.short().into())
    }

    /// The processes that got SIGBUS lately, the oldest first.
    pub fn deaths(&self) -> impl Iterator<Item = &Death> {
        self.signals.deaths.iter()
    }

    /// How many signals each got since the agent's start.
    pub fn signals(&self) -> impl Iterator<Item = (&Whose, &Counts)> {
        self.signals.counts.iter().map(|(whose, counted)| (whose, &counted.counts))
    }

    /// Signals of which it can't be told whose they were; nothing where there is no witness.
    pub fn lost_signals(&self) -> Option<u64> {
        self.signals.heard.map(|_| self.signals.lost)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
