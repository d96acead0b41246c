//! When the next poll is due.
//!
//! A node on which nothing uses huge pages and nothing comes is read less often, one on which a container is about to
//! touch what it has mapped more often; a refusal makes a poll at once, but polls made so take no more than a fiftieth
//! of a core.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::snapshot::{Pool, Snapshot};
use crate::units::{Bytes, Pages, SignedPages};

/// How much longer the interval is while nothing is in use, and how long nothing must have been.
const STRETCH: u32 = 3;
const IDLE_FOR: Duration = Duration::from_secs(60);

/// How much shorter while something grows fast, and never below this (unless the interval itself is).
const SHORTEN: u32 = 4;
const SHORTEST: Duration = Duration::from_millis(250);

/// Fast is what would have touched all it has mapped after so many intervals.
const FAST: u64 = 8;

/// Between the beginnings of a poll that a refusal made and of the next such: at least this, and so many times what the
/// poll took of a processor.
const BETWEEN_WOKEN: Duration = Duration::from_millis(50);
const SHARE: u32 = 50;

/// The pace of polling.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    adaptive: bool,
    /// Since when nothing is in use, as the snapshots' clock has it.
    idle_since: Option<Duration>,
    /// What was touched in the last snapshot, where more was mapped; by inode number and place of the size.
    before: HashMap<(u64, usize), Bytes>,
    growing: bool,
    /// When a refusal may make a poll again.
    next_woken: Instant,
    /// From when on it is listened for refusals.
    listen_from: Instant,
}

impl Pace {
    /// Polling that often, or as often as the node's state asks for.
    pub(super) fn new(interval: Duration, adaptive: bool) -> Self {
        Self {
            interval,
            adaptive,
            idle_since: None,
            before: HashMap::new(),
            growing: false,
            next_woken: Instant::now(),
            listen_from: Instant::now(),
        }
    }

    /// Takes in what was seen.
    pub(super) fn take_in(&mut self, snapshot: &Snapshot) {
        if !self.adaptive {
            return;
        }
        let now = snapshot.taken.since_start;
        let idle = is_idle(snapshot);
        self.idle_since = idle.then(|| self.idle_since.unwrap_or(now));
        let awaited = awaited(snapshot);
        self.growing = awaited.iter().any(|(key, usage, outstanding)| {
            let grown = self.before.get(key).map_or(0, |before| usage.0.saturating_sub(before.0));
            grown > 0 && grown.saturating_mul(FAST) >= outstanding.0
        });
        self.before = awaited.into_iter().map(|(key, usage, _)| (key, usage)).collect();
    }

    /// The time from one poll's beginning to that of the next, if nothing happens.
    pub(super) fn interval(&self, now: Duration) -> Duration {
        let idle_for = self.idle_since.map(|since| now.saturating_sub(since));
        if self.growing {
            (self.interval / SHORTEN).max(SHORTEST).min(self.interval)
        } else if idle_for.is_some_and(|idle_for| idle_for >= IDLE_FOR) {
            self.interval * STRETCH
        } else {
            self.interval
        }
    }

    /// Notes a poll that a refusal made.
    pub(super) fn woken(&mut self, began: Instant, took: Duration) {
        self.next_woken = began + BETWEEN_WOKEN.max(took * SHARE);
    }

    /// The interval that was asked for.
    pub(super) fn usual(&self) -> Duration {
        self.interval
    }

    /// From when on it is listened for refusals.
    pub(super) fn listen_from(&self) -> Instant {
        self.listen_from
    }

    /// Notes how long it took to find out who was refused.
    pub(super) fn listened(&mut self, began: Instant, took: Duration) {
        self.listen_from = began + took * SHARE;
    }

    /// When a refusal may make a poll.
    pub(super) fn next_woken(&self) -> Instant {
        self.next_woken
    }
}

/// Whether every page of every pool is free and promised to nobody.
fn is_idle(snapshot: &Snapshot) -> bool {
    let is_unused = |pool: &Pool| {
        let reserved = pool.reserved.present().map(SignedPages::at_least_none);
        pool.size.present().is_some() && pool.size == pool.free && reserved == Some(Pages(0))
    };
    !snapshot.pools.is_empty() && snapshot.pools.iter().all(is_unused)
}

/// The cgroups that have mapped more than they touched, with what is touched and what is not yet.
fn awaited(snapshot: &Snapshot) -> Vec<((u64, usize), Bytes, Bytes)> {
    let mut awaited = Vec::new();
    for cgroup in snapshot.cgroups.iter() {
        for (index, hugetlb) in cgroup.hugetlb.iter().enumerate() {
            let figures = (hugetlb.usage.present(), hugetlb.reserved.present());
            if let (Some(usage), Some(reserved)) = figures
                && reserved > usage
            {
                awaited.push(((cgroup.inode, index), usage, Bytes(reserved.0 - usage.0)));
            }
        }
    }
    awaited
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Reading;
    use crate::snapshot::example;

    const INTERVAL: Duration = Duration::from_secs(2);
    const PAGE: u64 = 2 << 20;

    fn pace() -> Pace {
        Pace::new(INTERVAL, true)
    }

    /// A container that mapped 100 pages and touched so many.
    fn touched(seconds: u64, pages: u64) -> Snapshot {
        let mut figures = example::hugetlb(pages * PAGE, 0);
        figures.reserved = Reading::Present(Bytes(100 * PAGE));
        example::node(Duration::from_secs(seconds)).with_container("u", 1, figures)
    }

    #[test]
    fn what_grows_fast_is_polled_often_until_it_stops() {
        let mut pace = pace();
        let mut after = |seconds, pages| {
            pace.take_in(&touched(seconds, pages));
            pace.interval(Duration::from_secs(seconds))
        };
        assert_eq!(after(0, 10), INTERVAL, "the first figure is no growth");
        assert_eq!(after(2, 11), INTERVAL, "one page of 89 is slow");
        assert_eq!(after(4, 30), Duration::from_millis(500));
        assert_eq!(after(6, 30), INTERVAL);
        assert_eq!(after(8, 100), INTERVAL, "nothing is left to be touched");
    }

    #[test]
    fn an_idle_node_is_polled_less_often_after_a_minute() {
        let mut pace = pace();
        let mut idle = example::node(Duration::ZERO);
        idle.pools.push(example::pool(500, 0));
        let mut after = |seconds, reserved| {
            for pool in &mut idle.pools {
                pool.free = pool.size;
                pool.reserved = Reading::Present(SignedPages(reserved));
            }
            idle.taken.since_start = Duration::from_secs(seconds);
            pace.take_in(&idle);
            pace.interval(Duration::from_secs(seconds))
        };
        assert_eq!(after(0, 0), INTERVAL);
        assert_eq!(after(59, 0), INTERVAL);
        assert_eq!(after(60, 0), INTERVAL * 3);
        assert_eq!(after(62, 1), INTERVAL, "a page is promised");
        assert_eq!(after(64, 0), INTERVAL, "another minute");
    }

    #[test]
    fn whoever_wants_an_even_pace_gets_it() {
        let mut pace = Pace::new(INTERVAL, false);
        pace.take_in(&touched(0, 10));
        pace.take_in(&touched(2, 90));
        assert_eq!(pace.interval(Duration::from_secs(2)), INTERVAL);
    }

    #[test]
    fn polls_made_by_refusals_take_a_fiftieth_of_a_core_at_most() {
        let mut pace = pace();
        let began = Instant::now();
        pace.woken(began, Duration::from_millis(3));
        assert_eq!(pace.next_woken(), began + Duration::from_millis(150));
        pace.woken(began, Duration::from_micros(10));
        assert_eq!(pace.next_woken(), began + Duration::from_millis(50));
    }
}
