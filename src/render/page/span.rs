//! A span of time that is drawn, and the times on its axis.

use std::time::{Duration, SystemTime};

use crate::incidents::Incident;

/// The axis has at most so many times on it: more do not fit on a telephone.
const MOST_TICKS: u64 = 5;
/// Between two of them, in seconds.
const STEPS: [u64; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200];
/// The same for what goes on even longer.
const LONGEST_STEP: u64 = 86_400;

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: SystemTime,
    to: SystemTime,
}

impl Span {
    /// All of an incident.
    pub(super) fn of(incident: &Incident) -> Option<Self> {
        let (first, last) = (incident.frames.first()?.at, incident.frames.last()?.at);
        let to = incident.events.iter().map(|event| event.at).max()?.max(last);
        Some(Self { from: first, to })
    }

    /// And a little more, so that the last figures have a width.
    pub(super) fn widened(self) -> Self {
        let margin = (self.length() / 40).max(Duration::from_millis(500));
        Self { to: self.to.checked_add(margin).unwrap_or(self.to), ..self }
    }

    /// Of this, what lies between so long before a moment and so long after it.
    pub(super) fn around(self, at: SystemTime, before: Duration, after: Duration) -> Self {
        let from = at.checked_sub(before).map_or(self.from, |from| from.max(self.from));
        let to = at.checked_add(after).map_or(self.to, |to| to.min(self.to));
        Self { from, to }
    }

    pub(super) fn length(self) -> Duration {
        self.to.duration_since(self.from).unwrap_or_default()
    }

    pub(super) fn contains(self, at: SystemTime) -> bool {
        self.from <= at && at <= self.to
    }

    /// Where a moment is, in percent.
    pub(super) fn place(self, at: SystemTime) -> f64 {
        let passed = at.duration_since(self.from).unwrap_or_default();
        (passed.as_secs_f64() / self.length().as_secs_f64().max(1e-3) * 100.0).min(100.0)
    }

    /// The times on the axis: round ones.
    pub(super) fn ticks(self) -> Vec<SystemTime> {
        let Ok(from) = self.from.duration_since(SystemTime::UNIX_EPOCH) else { return Vec::new() };
        let last = (from + self.length()).as_secs();
        let fits = |step: &u64| self.length().as_secs() / step < MOST_TICKS;
        let step = STEPS.into_iter().find(fits).unwrap_or(LONGEST_STEP);
        // The first whole second that is not before the beginning.
        let first = from.as_secs() + u64::from(from.subsec_nanos() > 0);
        let ticks = (first.div_ceil(step)..=last / step).take(16);
        ticks
            .filter_map(|tick| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(tick * step)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_times_on_the_axis_are_round_and_few() {
        for (from, length, ticks) in [
            (0.0, 4.0, vec![0, 1, 2, 3, 4]),
            (0.5, 4.0, vec![1, 2, 3, 4]),
            (7.0, 60.0, vec![15, 30, 45, 60]),
            (100.0, 3_000.0, vec![900, 1800, 2700]),
        ] {
            let span = Span { from: at(from), to: at(from + length) };
            let expected: Vec<_> = ticks.into_iter().map(|tick| at(f64::from(tick))).collect();
            assert_eq!(span.ticks(), expected, "{length} s from {from} on");
        }
        for length in 2..4_000_u32 {
            let span = Span { from: at(3.25), to: at(3.25 + f64::from(length) * 97.0) };
            let ticks = span.ticks().len();
            assert!((1..=5).contains(&ticks), "{ticks} in {:?}", span.length());
        }
    }

    #[test]
    fn a_moment_has_its_place_and_those_outside_are_at_the_edges() {
        let span = Span { from: at(10.0), to: at(20.0) };
        let places = [0.0, 10.0, 15.0, 20.0, 99.0].map(|moment| span.place(at(moment)));
        assert!(
            places.iter().zip([0.0, 0.0, 50.0, 100.0, 100.0]).all(|(a, b)| (a - b).abs() < 1e-9)
        );
        let around = span.around(at(12.0), Duration::from_secs(5), Duration::from_secs(1));
        assert!(
            around.contains(at(10.0)) && around.contains(at(13.0)) && !around.contains(at(13.1))
        );
    }
}
