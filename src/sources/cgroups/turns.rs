//! Whose turn it is: what nothing notifies of is read now and then, a part of all at each poll.

use std::time::Duration;

use super::tree::Id;

/// Every cgroup's limits have a turn in this time: within 60 s where polls are 6 s apart, the longest default interval.
pub(super) const LIMITS: Duration = Duration::from_secs(54);

/// On v1 the counters of refusals of those that hold nothing and were granted nothing.
pub(super) const COUNTERS: Duration = Duration::from_secs(8);

/// So many parts take turns. Cgroups are spread by number, so that those found together don't come together.
const PARTS: u64 = 32;

/// From the last poll, which is not among them, to this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns {
    pub(super) last: Duration,
    pub(super) now: Duration,
}

impl Turns {
    /// Whether a cgroup's turn has come, where all have one in that time.
    pub(super) fn has_come(self, id: Id, all: Duration) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let all = milliseconds(all);
        let ahead = all - all * (id.number() % PARTS) / PARTS;
        let rounds = |at: Duration| milliseconds(at).saturating_add(ahead) / all;
        rounds(self.last) < rounds(self.now)
    }
}
