//! What came of writes, counted, and what was left alone, told once.

use std::collections::BTreeMap;

use super::rules::Left;
use crate::snapshot::guard::{Action, Outcome, Reason, Writes};
use crate::units::PageSize;

/// What was left at one of a pod's cgroups.
pub type LeftKey = (String, PageSize, Action);

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(Action, Outcome, Option<Reason>), u64>);

impl Tally {
    /// Counts one.
    pub fn count(&mut self, action: Action, outcome: Outcome, reason: Option<Reason>) {
        let count = self.0.entry((action, outcome, reason)).or_default();
        *count = count.saturating_add(1);
    }

    /// All counts.
    pub fn writes(&self) -> Vec<Writes> {
        let of =
            |(&(action, result, reason), &count): (&(Action, Outcome, Option<Reason>), &u64)| {
                Writes { action, result, reason, count }
            };
        self.0.iter().map(of).collect()
    }
}

/// What is left alone now.
#[derive(Debug, Default)]
pub struct Lefts(BTreeMap<LeftKey, Left>);

impl Lefts {
    /// Puts what is left of a pod and a size now in the place of what was. Gives back what is new.
    pub fn renew(
        &mut self,
        size: PageSize,
        cgroups: &[String],
        now: impl IntoIterator<Item = Left>,
    ) -> Vec<Left> {
        let path = |left: &Left| cgroups.get(left.place.index()).cloned();
        let now: BTreeMap<LeftKey, Left> = now
            .into_iter()
            .filter_map(|left| Some(((path(&left)?, size, left.why), left)))
            .collect();
        let is_told = |key: &LeftKey, left: &Left| {
            self.0
                .get(key)
                .is_some_and(|told| (told.outcome, told.reason) == (left.outcome, left.reason))
        };
        let new: Vec<Left> =
            now.iter().filter(|(key, left)| !is_told(key, left)).map(|(_, left)| *left).collect();
        self.0.retain(|(cgroup, of, _), _| *of != size || !cgroups.contains(cgroup));
        self.0.extend(now);
        new
    }

    /// Forgets what was left of cgroups that are gone.
    pub fn keep(&mut self, mut is_there: impl FnMut(&str) -> bool) {
        self.0.retain(|(cgroup, ..), _| is_there(cgroup));
    }

    /// All that is left alone.
    pub fn all(&self) -> impl Iterator<Item = (&LeftKey, &Left)> {
        self.0.iter()
    }

    /// Whether anything is left at that.
    pub fn has(&self, key: &LeftKey) -> bool {
        self.0.contains_key(key)
    }
}
