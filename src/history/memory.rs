//! Cgroups whose memory is full, and where nothing moves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::{Cgroup, MemoryEvents, Snapshot};
use crate::units::Bytes;

/// A limit of memory is met again and again, nobody is killed for it, and no huge page more is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Since when, at the latest.
    pub since: Duration,
    /// How often the limit was met since then.
    pub met: u64,
}

/// What was seen of each cgroup at the last poll.
#[derive(Debug, Default)]
pub(super) struct Stalls(HashMap<Arc<str>, Record>);

#[derive(Debug, Clone, Copy)]
struct Record {
    at: Duration,
    events: MemoryEvents,
    /// Touched huge pages of all sizes; while it is stalled the least that was seen.
    touched: Bytes,
    stall: Option<Stall>,
}

impl Stalls {
    /// Takes in what a snapshot says of all.
    pub(super) fn update(&mut self, snapshot: &Snapshot) {
        if self.0.is_empty() && !snapshot.accounting.is_on() {
            return;
        }
        let now = snapshot.taken.since_start;
        let seen = snapshot.cgroups.iter().filter_map(|cgroup| {
            let events = cgroup.memory.as_deref()?.events.present()?;
            let new = Record { at: now, events, touched: touched(cgroup), stall: None };
            let before = self.0.get(&cgroup.path);
            let record = before.map_or(new, |before| before.followed_by(new, largest(cgroup)));
            Some((Arc::clone(&cgroup.path), record))
        });
        self.0 = seen.collect();
    }

    pub(super) fn of(&self, path: &str) -> Option<Stall> {
        self.0.get(path)?.stall
    }
}

impl Record {
    fn followed_by(self, new: Self, page: Bytes) -> Self {
        let met = new.events.max.saturating_sub(self.events.max);
        let killed = new.events.oom_kill != self.events.oom_kill;
        // Linux 7.2 charges the page that it can't have for an instant: the usage flickers by one.
        let moved = new.touched.0.abs_diff(self.touched.0) > page.0;
        if met == 0 || killed || moved {
            return new;
        }
        let before = self.stall.unwrap_or(Stall { since: self.at, met: 0 });
        let stall = Stall { met: before.met.saturating_add(met), ..before };
        Self { touched: new.touched.min(self.touched), stall: Some(stall), ..new }
    }
}

fn touched(cgroup: &Cgroup) -> Bytes {
    let usages = cgroup.hugetlb.iter().filter_map(|size| size.usage.present());
    usages.fold(Bytes::ZERO, |sum, usage| Bytes(sum.0.saturating_add(usage.0)))
}

fn largest(cgroup: &Cgroup) -> Bytes {
    let held = cgroup.hugetlb.iter().filter(|size| size.reserved.is_some());
    held.map(|size| size.page_size.bytes()).max().unwrap_or_default()
}
