//! What the witness remembers to tell.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::Event;
use super::nanoseconds;
use super::sight::Drops;
use crate::snapshot::{Dropped, MOST_CGROUPS, MOST_TOLD, Sight, Signal, WitnessReport};

/// What is older need not be told again.
const TOLD_FOR: Duration = Duration::from_secs(300);

/// The newest signals, and what was dropped.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When it began, since the machine was booted.
    pub(super) began: Duration,
    count: u64,
    signals: VecDeque<Signal>,
    dropped: Vec<Dropped>,
    dropped_in_all: u64,
    lost: u64,
}

impl Memory {
    /// An empty one.
    pub(super) fn since(began: Duration) -> Self {
        Self { began, ..Self::default() }
    }

    pub(super) fn take(&mut self, event: Event) {
        let Event { at, process, comm, cgroup, above, address, code } = event;
        let at_ns = nanoseconds(at);
        self.count += 1;
        let number = self.count;
        let signal = Signal { number, at_ns, pid: process, comm, cgroup, above, address, code };
        // Two processors may write in another order than they looked at the clock.
        let place = self.signals.partition_point(|it| it.at_ns <= at_ns);
        self.signals.insert(place, signal);
        if self.signals.len() > MOST_TOLD {
            self.signals.pop_front();
        }
    }

    pub(super) fn dropped(&mut self, drops: &Drops) {
        (self.lost, self.dropped_in_all) = (drops.lost, drops.in_all);
        let dropped = drops.entries.iter();
        self.dropped = dropped
            .map(|entry| Dropped { cgroup: entry.cgroup, count: entry.dropped() })
            .take(MOST_CGROUPS)
            .collect();
    }

    pub(super) fn report(&mut self, sight: Sight, now: Duration) -> WitnessReport {
        let old = nanoseconds(now.saturating_sub(TOLD_FOR));
        while self.signals.front().is_some_and(|it| it.at_ns < old) {
            self.signals.pop_front();
        }
        WitnessReport {
            sight,
            until_ns: nanoseconds(now),
            count: self.count,
            signals: self.signals.iter().cloned().collect(),
            dropped: self.dropped.clone(),
            dropped_in_all: self.dropped_in_all,
            lost: self.lost,
        }
    }
}
