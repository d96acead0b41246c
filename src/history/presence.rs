//! Whether a pod is still there to use what it was granted.

use std::time::Duration;

use crate::snapshot::Reading;

/// Longer than the kubelet waits between two starts of a container (5 minutes). CRI-O keeps no process of its own in a pod.
const DESERTED: Duration = Duration::from_secs(6 * 60);

/// Since when a pod is there, and whether anybody is in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presence {
    /// When its cgroup was made, if that was seen.
    made: Option<Duration>,
    /// When a process was last seen in it.
    last_populated: Option<Duration>,
    populated: Reading<bool>,
}

impl Presence {
    /// Of a cgroup that is seen for the first time, and was not there before if it is `young`.
    pub(super) fn new(now: Duration, young: bool) -> Self {
        Self { made: young.then_some(now), ..Self::default() }
    }

    /// Takes in whether a process is in it.
    pub(super) fn take_in(&mut self, populated: Reading<bool>, now: Duration) {
        self.populated = populated;
        if populated == Reading::Present(true) {
            self.last_populated = Some(now);
        }
    }

    /// Whether it was there for so long, or before anybody looked.
    pub fn is_older_than(&self, age: Duration, now: Duration) -> bool {
        self.made.is_none_or(|made| now.saturating_sub(made) >= age)
    }

    /// Whether nobody was in it for minutes, or since before anybody looked: what a pod's end left behind.
    pub fn is_deserted(&self, now: Duration) -> bool {
        let since = self.made.max(self.last_populated);
        self.populated == Reading::Present(false)
            && since.is_none_or(|since| now.saturating_sub(since) >= DESERTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Reading<bool> = Reading::Present(false);
    const SOMEBODY: Reading<bool> = Reading::Present(true);

    fn deserted(young: bool, seen: &[(u64, Reading<bool>)]) -> bool {
        let at = Duration::from_secs;
        let mut presence = Presence::new(at(seen[0].0), young);
        for (seconds, populated) in seen {
            presence.take_in(*populated, at(*seconds));
        }
        presence.is_deserted(at(seen[seen.len() - 1].0))
    }

    #[test]
    fn a_pod_without_processes_is_gone_after_minutes() {
        assert!(deserted(false, &[(0, NOBODY)]), "as it was found");
        assert!(!deserted(true, &[(10, NOBODY), (369, NOBODY)]), "its image is still fetched");
        assert!(deserted(true, &[(10, NOBODY), (370, NOBODY)]));
        assert!(!deserted(false, &[(0, SOMEBODY), (359, NOBODY)]), "it will be started again");
        assert!(deserted(false, &[(0, SOMEBODY), (360, NOBODY)]));
        assert!(!deserted(false, &[(0, NOBODY), (400, SOMEBODY), (401, NOBODY)]));
        assert!(!deserted(false, &[(0, Reading::Absent), (4000, Reading::Failed)]), "not known");
    }
}
