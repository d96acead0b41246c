//! One counter of the kernel's, followed from poll to poll.

/// A counter that may be reset (v1: any write to failcnt) and may have counted before we came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    last: Option<u64>,
    /// Whether its cgroup appeared while we watched, so that its first count is news.
    young: bool,
}

/// By how much a counter grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) by: u64,
    /// Whether it grew while we watched; else it may have been long ago.
    pub(super) now: bool,
}

impl Counter {
    pub(super) fn new(young: bool) -> Self {
        Self { last: None, young }
    }

    /// Takes in the kernel's figure.
    pub(super) fn count(&mut self, raw: u64) -> Growth {
        let by = match self.last {
            Some(last) if raw >= last => raw - last,
            // Below the last figure: it was reset, and has counted anew from zero.
            Some(_) | None => raw,
        };
        let now = by > 0 && (self.last.is_some() || self.young);
        self.last = Some(raw);
        Growth { by, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_may_be_of_long_ago() {
        let mut counter = Counter::new(false);
        assert_eq!(counter.count(7), Growth { by: 7, now: false });
        assert_eq!(counter.count(9), Growth { by: 2, now: true });
        assert_eq!(counter.count(9), Growth { by: 0, now: false });
    }

    #[test]
    fn a_young_cgroups_first_figure_is_news() {
        assert_eq!(Counter::new(true).count(1), Growth { by: 1, now: true });
    }

    #[test]
    fn a_reset_loses_nothing() {
        let mut counter = Counter::new(false);
        let grown = [5, 8, 0, 2, 2, 1].map(|raw| counter.count(raw).by);
        assert_eq!(grown, [5, 3, 0, 2, 0, 1], "after a reset it counts anew from zero");
    }
}
