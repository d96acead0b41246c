//! One counter of the kernel's, followed from poll to poll.

use std::time::SystemTime;

use super::Tally;

/// A counter that may be reset (v1: any write to failcnt) and may have counted before we came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    last: Option<u64>,
    /// Whether its cgroup appeared while we watched, so that its first count is news.
    young: bool,
    pub(super) tally: Tally,
}

impl Counter {
    pub(super) fn new(young: bool) -> Self {
        Self { last: None, young, tally: Tally::default() }
    }

    /// Takes in the kernel's figure.
    pub(super) fn count(&mut self, raw: u64, wall: SystemTime) {
        let increase = match self.last {
            Some(last) if raw >= last => raw - last,
            // Below the last figure: it was reset, and has counted anew from zero.
            Some(_) | None => raw,
        };
        let happened_now = increase > 0 && (self.last.is_some() || self.young);
        self.last = Some(raw);
        self.tally.failures = self.tally.failures.saturating_add(increase);
        if happened_now {
            self.tally.last_failure = Some(wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_figure_is_the_kernels() {
        let mut counter = Counter::new(false);
        counter.count(7, at(1));
        assert_eq!(
            (counter.tally.failures, counter.tally.last_failure),
            (7, None),
            "it may have been long ago"
        );
        counter.count(9, at(2));
        assert_eq!((counter.tally.failures, counter.tally.last_failure), (9, Some(at(2))));
    }

    #[test]
    fn a_young_cgroups_first_figure_is_news() {
        let mut counter = Counter::new(true);
        counter.count(1, at(3));
        assert_eq!(counter.tally.last_failure, Some(at(3)));
    }

    #[test]
    fn a_reset_loses_nothing() {
        let mut counter = Counter::new(false);
        for (raw, total) in [(5, 5), (8, 8), (0, 8), (2, 10), (2, 10)] {
            counter.count(raw, at(raw));
            assert_eq!(counter.tally.failures, total);
        }
    }
}
