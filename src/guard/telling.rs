//! What the guard says: a line for each write, and the report for the exporter.

use super::engine::Engine;
use super::facts::Which;
use super::files::Directory;
use super::journal::Key;
use super::rules::{Left, Write};
use crate::snapshot::Limit;
use crate::snapshot::guard::{Action, Entry, Mode, Outcome, Report};
use crate::units::PageSize;

/// A limit for people.
struct Shown(Limit);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Limit::At(bytes) => bytes.fmt(f),
            Limit::Unlimited => f.write_str("no limit"),
        }
    }
}

/// A write that was made, or refused.
pub fn log_write(pod: &str, at: &Directory, size: PageSize, write: &Write, outcome: Outcome) {
    let (action, result) = (word(write.why), word(outcome));
    let (from, to) = (Shown(write.from), Shown(write.to));
    let limit = match write.which {
        Which::Fault => "limit",
        Which::Reservation => "reservation limit",
    };
    let cgroup = &at.shown;
    match outcome {
        Outcome::Written => {
            tracing::info!(action, pod, %cgroup, page_size = %size, limit, %from, %to, "a limit was written");
        }
        _ => {
            tracing::warn!(action, result, pod, %cgroup, page_size = %size, limit, %from, %to, "a limit could not be written");
        }
    }
}

/// A write that was not made.
pub fn log_left(pod: &str, cgroup: &str, size: PageSize, left: &Left) {
    let (action, result) = (word(left.why), word(left.outcome));
    let reason = left.reason.map(word);
    let (from, to) = (Shown(left.old), Shown(left.value));
    tracing::info!(action, result, reason, pod, cgroup, page_size = %size, %from, %to, "a limit is left as it is");
}

/// The word for it in metrics and JSON.
pub fn word(it: impl serde::Serialize) -> String {
    let value = serde_json::to_value(it).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

impl Engine {
    /// All that the exporter is told.
    pub fn report(&self) -> Report {
        let mut entries = self.entries();
        entries.sort_by_key(|entry| entry.action != Action::Rescue);
        let left_out = entries.len().saturating_sub(Report::MOST_ENTRIES);
        entries.truncate(Report::MOST_ENTRIES);
        let started = self.started.as_secs();
        Report {
            mode: if self.settings.dry_run { Mode::DryRun } else { Mode::Enforce },
            policy: self.settings.policy.clone(),
            paused: self.is_paused,
            started,
            trouble: self.trouble(),
            entries,
            left_out: left_out as u64,
            writes: self.tally.writes(),
        }
    }

    /// What is wrong with its own files.
    pub fn trouble(&self) -> Option<String> {
        let all = [
            &self.state_trouble,
            &self.names.trouble,
            &self.tree.trouble,
            &self.tree.watch.failure,
        ];
        all.into_iter().flatten().next().cloned()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (_, pod) in self.tree.pods() {
            for (index, directory) in pod.directories().enumerate() {
                let container = index.checked_sub(1).and_then(|it| pod.containers.values().nth(it));
                let entry = |action, size, value, old, result, reason| Entry {
                    cgroup: directory.shown.clone(),
                    pod_uid: pod.uid.as_str().to_owned(),
                    container_id: container.map(|container| container.id.as_str().to_owned()),
                    action,
                    page_size: size,
                    value,
                    old,
                    result,
                    reason,
                };
                for (size, left) in self.left_at(&directory.shown) {
                    entries.push(entry(
                        left.why,
                        size,
                        left.value,
                        left.old,
                        left.outcome,
                        left.reason,
                    ));
                }
                for (key, change) in self.records_at(directory) {
                    let is_left = self.lefts.has(&(directory.shown.clone(), key.size, change.why));
                    let result = if change.repeated && change.why == Action::Rescue {
                        Outcome::Contested
                    } else {
                        Outcome::Written
                    };
                    if !is_left && matches!(change.why, Action::Refuse | Action::Rescue) {
                        entries.push(entry(
                            change.why, key.size, change.new, change.old, result, None,
                        ));
                    }
                }
            }
        }
        entries
    }

    fn left_at<'a>(&'a self, cgroup: &'a str) -> impl Iterator<Item = (PageSize, &'a Left)> {
        let at = self.lefts.all().filter(move |((of, ..), _)| of == cgroup);
        // What a rescue needs besides is not said apart.
        let at = at.filter(|((.., action), _)| matches!(action, Action::Refuse | Action::Rescue));
        at.map(|((_, size, _), left)| (*size, left))
    }

    fn records_at<'a>(
        &'a self,
        directory: &'a Directory,
    ) -> impl Iterator<Item = (&'a Key, &'a super::facts::Change)> {
        let records = self.state.journal().into_iter().flat_map(super::journal::Journal::records);
        records.filter(|(key, _)| key.cgroup == directory.shown && key.inode == directory.inode)
    }
}
