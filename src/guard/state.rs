//! The state directory on the node: its lock, whether the guard is paused, and the journal.
//!
//! One process at a time has the lock: a guard that is paused has given it back, so that `--undo` can have it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::journal::Journal;

const LOCK: &str = "lock";
const PAUSED: &str = "paused";
/// What a pause says that ends with the next guard's start.
const UNTIL_NEXT_START: &[u8] = b"until the next start\n";
const FOR_GOOD: &[u8] = b"until it is resumed\n";

/// How long a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Until somebody resumes.
    UntilResumed,
    /// Until a guard is started: what was undone before an uninstall is no word on the next install.
    UntilNextStart,
}

/// The directory, and what is open of it while it is ours.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    journal: Journal,
    _lock: Flock<File>,
}

impl State {
    /// The one at that path, nothing of it open.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), held: None }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens it, if it is not open: makes it where there is none, takes the lock, reads the journal.
    pub fn open(&mut self, boot: &str) -> Result<(), String> {
        if self.held.is_some() {
            return Ok(());
        }
        let at = self.directory.display();
        fs::create_dir_all(&self.directory).map_err(|error| format!("can't make {at}: {error}"))?;
        let lock = file(&self.directory.join(LOCK), false)
            .map_err(|error| format!("can't open {at}/{LOCK}: {error}"))?;
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(
                |(_, error)| match error {
                    Errno::EWOULDBLOCK => format!("another guard has {at}"),
                    _ => format!("can't lock {at}/{LOCK}: {error}"),
                },
            )?;
        let journal = Journal::open(&self.directory, boot)
            .map_err(|error| format!("can't open the journal in {at}: {error}"))?;
        if journal.strange > 0 {
            tracing::warn!(
                lines = journal.strange,
                "the journal has lines that are not understood"
            );
        }
        self.held = Some(Held { journal, _lock: lock });
        Ok(())
    }

    /// Gives the lock back; nothing is recorded from here on.
    pub fn close(&mut self) {
        self.held = None;
    }

    /// The journal, while the directory is ours.
    pub fn journal(&self) -> Option<&Journal> {
        self.held.as_ref().map(|held| &held.journal)
    }

    /// The same, to record.
    pub fn journal_mut(&mut self) -> Option<&mut Journal> {
        self.held.as_mut().map(|held| &mut held.journal)
    }

    /// Whether somebody has paused the guard. What can't be looked at is no pause.
    pub fn is_paused(&self) -> bool {
        fs::symlink_metadata(self.directory.join(PAUSED)).is_ok()
    }

    /// Pauses it.
    pub fn pause(&self, pause: Pause) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        // One that lasts is not made shorter.
        if self.is_paused() && pause == Pause::UntilNextStart {
            return Ok(());
        }
        let text = match pause {
            Pause::UntilResumed => FOR_GOOD,
            Pause::UntilNextStart => UNTIL_NEXT_START,
        };
        file(&self.directory.join(PAUSED), true)?.write_all(text)
    }

    /// Ends a pause.
    pub fn resume(&self) -> io::Result<()> {
        match fs::remove_file(self.directory.join(PAUSED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends a pause that was to last until now.
    pub fn start(&self) {
        let path = self.directory.join(PAUSED);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        if is_file && fs::read(&path).is_ok_and(|text| text == UNTIL_NEXT_START) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A file of ours. A link in its place is not followed.
fn file(path: &Path, anew: bool) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(anew)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let [mut one, mut two] = [State::new(&path), State::new(&path)];
        one.open("boot").expect("open");
        assert!(two.open("boot").expect_err("held").contains("another guard has"));
        one.close();
        two.open("boot").expect("open");
        assert!(two.journal().is_some() && one.journal().is_none());
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_was_meant_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = State::new(directory.path());
        assert!(!state.is_paused());
        state.pause(Pause::UntilNextStart).expect("paused");
        assert!(state.is_paused());
        state.start();
        assert!(!state.is_paused(), "a new guard begins without it");
        state.pause(Pause::UntilResumed).expect("paused");
        state.pause(Pause::UntilNextStart).expect("paused");
        state.start();
        assert!(state.is_paused(), "and with one that lasts");
        state.resume().expect("resumed");
        state.resume().expect("resumed");
        assert!(!state.is_paused());
    }

    #[test]
    fn a_directory_that_can_not_be_made_is_named() {
        let mut state = State::new(Path::new("/proc/nowhere"));
        assert!(state.open("boot").expect_err("not to be made").contains("/proc/nowhere"));
        assert!(state.journal().is_none());
    }
}
