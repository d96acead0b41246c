//! A plan is carried out: each write is recorded, made, and read back. The first that fails ends the plan.

use super::engine::{Engine, Look, key};
use super::facts::Change;
use super::files::{Directory, FileError};
use super::rules::Write;
use super::telling::log_write;
use super::tree::PodId;
use crate::snapshot::guard::{Action, Outcome};
use crate::units::PageSize;

impl Engine {
    /// Carries out a plan. False where a write was refused.
    pub fn carry_out(&mut self, id: PodId, look: &Look, plan: &[Write]) -> bool {
        let size = look.facts.page_size;
        let pod = self.tree.pod(id).map(|pod| self.names.call(&pod.uid)).unwrap_or_default();
        for write in plan {
            let Some(directory) = look.directories.get(write.place.index()) else { return true };
            let Some(outcome) = self.make(look, directory, write) else {
                // Somebody was faster; it is looked at again.
                return true;
            };
            self.tally.count(write.why, outcome, None);
            self.has_news = true;
            log_write(&pod, directory, size, write, outcome);
            if outcome != Outcome::Written {
                return false;
            }
            if write.why == Action::Rescue {
                self.note_rescue(id, size);
            }
            if !write.ends {
                self.tree.watch_reservation(id, directory, size);
            }
        }
        true
    }

    /// Makes one write; nothing if what it was decided on is no longer so.
    fn make(&mut self, look: &Look, directory: &Directory, write: &Write) -> Option<Outcome> {
        let size = look.facts.page_size;
        let opened = match directory.open() {
            Ok(opened) => opened,
            Err(error) => return Some(outcome(&error)),
        };
        let now = match opened.limit(look.version, size, write.which) {
            Ok(now) => now,
            Err(error) => return Some(outcome(&error)),
        };
        if now != write.from {
            return None;
        }
        let key = key(directory, size, write.which);
        // Why the state directory is not ours is said where it was opened.
        let Some(journal) = self.state.journal() else { return Some(Outcome::Unrecorded) };
        let before = journal.get(&key);
        if let Err(error) = self.record(directory, size, write) {
            tracing::warn!(cgroup = %directory.shown, "a write can't be recorded, so it is not made: {error}");
            return Some(Outcome::Unrecorded);
        }
        let written = opened.write(look.version, size, write.which, write.to);
        let journal = self.state.journal_mut()?;
        match written {
            Ok(()) if write.ends => journal.end(&key),
            Ok(()) => {}
            Err(error) => {
                // What was recorded is not so: it is as before.
                match before {
                    Some(before) => drop(journal.record(&key, before)),
                    None => journal.end(&key),
                }
                return Some(outcome(&error));
            }
        }
        match opened.limit(look.version, size, write.which) {
            Ok(now) if now == write.to => Some(Outcome::Written),
            // Somebody else's by now; that is seen when it is looked at again.
            Ok(_) => None,
            Err(error) => Some(outcome(&error)),
        }
    }

    /// Records a write that is about to be made. What stood there before the first of ours is kept.
    fn record(
        &mut self,
        directory: &Directory,
        size: PageSize,
        write: &Write,
    ) -> std::io::Result<()> {
        let key = key(directory, size, write.which);
        let Some(journal) = self.state.journal_mut() else {
            return Err(std::io::Error::other("the state directory is not ours"));
        };
        let before = journal.get(&key);
        let ours = before.filter(|before| before.new == write.from);
        let change = Change {
            why: ours.filter(|_| write.why == Action::Restore).map_or(write.why, |ours| ours.why),
            old: ours.map_or(write.from, |ours| ours.old),
            new: write.to,
            repeated: write.repeats || ours.is_some_and(|ours| ours.repeated),
        };
        journal.record(&key, change)
    }
}

fn outcome(error: &FileError) -> Outcome {
    match error {
        FileError::Gone => Outcome::Gone,
        FileError::Busy => Outcome::Busy,
        FileError::Other(why) => {
            tracing::warn!("the kernel refused a write: {why}");
            Outcome::Failed
        }
    }
}
