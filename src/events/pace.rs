//! How fast requests may follow each other: never more than one a second and twenty a minute.

use std::collections::VecDeque;
use std::time::Duration;

/// Between two requests.
const APART: Duration = Duration::from_secs(1);

/// In any minute.
const MOST: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// The times of the last requests, by a clock that never jumps.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<Duration>);

impl Pace {
    /// From when on the next one may be made.
    pub(super) fn next(&self) -> Duration {
        let apart = self.0.back().map_or(Duration::ZERO, |last| *last + APART);
        let first = self.0.front().filter(|_| self.0.len() >= MOST);
        apart.max(first.map_or(Duration::ZERO, |first| *first + MINUTE))
    }

    /// One is made now.
    pub(super) fn made(&mut self, now: Duration) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_and_twenty_a_minute() {
        let mut pace = Pace::default();
        let mut made = Vec::new();
        let mut now = Duration::ZERO;
        while made.len() < 100 {
            now = now.max(pace.next());
            pace.made(now);
            made.push(now);
        }
        assert!(made.windows(2).all(|two| two[1] - two[0] >= APART), "{made:?}");
        assert!(made.windows(MOST + 1).all(|all| all[MOST] - all[0] >= MINUTE), "{made:?}");
        assert_eq!(made.last(), Some(&Duration::from_secs(4 * 60 + 19)), "and no slower");
    }
}
