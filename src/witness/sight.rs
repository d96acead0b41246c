//! The program in the kernel, and what comes from it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::event::{Entry, Event};
use super::kernel::{Map, Ring, attach, load};
use super::program::{ENTRY_WORDS, LICENCE, LOST_WORDS, MapKind, Maps, TRACEPOINT, WORDS, program};
use crate::snapshot::MOST_CGROUPS;

/// Some 900 signals; a cgroup has at most 20 a minute of it.
const RING: u32 = 128 * 1024;
/// So many cgroups have an entry; one that got no signal for so long gives its up when most are taken.
const ENTRIES: u32 = 1024;
const MANY: usize = 768;
const QUIET: Duration = Duration::from_secs(300);
const LOG: usize = 64 * 1024;

/// What is dropped is read so often at most.
const BETWEEN: Duration = Duration::from_secs(1);

/// The program hangs in the kernel for as long as this lives.
#[derive(Debug)]
pub(super) struct Sight {
    cgroups: Map<ENTRY_WORDS>,
    lost: Map<LOST_WORDS>,
    ring: Ring,
    _link: OwnedFd,
    /// Kept so that whoever looks at this process finds the program's figures (/proc/PID/fdinfo).
    _program: OwnedFd,
    /// Whether the kernel tells of the cgroups above.
    pub(super) has_ancestors: bool,
    /// When the entries were last read.
    read: Duration,
    known: Vec<Entry>,
    /// What those have dropped that gave up their entries.
    forgotten: u64,
}

/// Signals that were not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drops {
    /// Of cgroups that found no entry.
    pub(super) lost: u64,
    /// Of all cgroups.
    pub(super) in_all: u64,
    /// Of those that have an entry and have lost any.
    pub(super) entries: Vec<Entry>,
}

impl Sight {
    /// Has the kernel take the program, or says why it does not.
    pub(super) fn open() -> Result<Self, String> {
        raise_locked_memory();
        let why = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| format!("{what}: {}{}", error, hint(&error))
        };
        let cgroups = Map::new(MapKind::Hash, ENTRIES).map_err(why("can't make a BPF map"))?;
        let lost = Map::new(MapKind::Array, 1).map_err(why("can't make a BPF map"))?;
        let ring = Ring::new(RING).map_err(why("can't make a BPF ring (Linux 5.8 and newer)"))?;
        let maps = Maps { cgroups: cgroups.as_fd(), lost: lost.as_fd(), ring: ring.as_fd() };
        let take = |with_ancestors| {
            let words = program(maps, with_ancestors).ok_or(Errno::EINVAL)?;
            load(&words, LICENCE, &mut [])
                .map(|taken| (taken, with_ancestors))
                .map_err(|error| refused(&words, error))
        };
        let (taken, has_ancestors) = match take(true) {
            // A helper that it does not know yet.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => take(false),
            taken => taken,
        }
        .map_err(why("the kernel refused the BPF program"))?;
        let link = attach(taken.as_fd(), TRACEPOINT)
            .map_err(why("can't hang the BPF program at signal_generate"))?;
        Ok(Self {
            cgroups,
            lost,
            ring,
            _link: link,
            _program: taken,
            has_ancestors,
            read: Duration::ZERO,
            known: Vec::new(),
            forgotten: 0,
        })
    }

    /// Readable when there is something to drain.
    pub(super) fn ring(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// Hands on what has come.
    pub(super) fn drain(&self, take: impl FnMut(Event)) {
        let mut take = take;
        self.ring.drain::<WORDS>(|words| take(Event::of(&words)));
    }

    /// What was dropped so far.
    pub(super) fn dropped(&mut self, now: Duration) -> io::Result<Drops> {
        let [lost] = self.lost.get(0)?.unwrap_or_default();
        if now.saturating_sub(self.read) >= BETWEEN {
            self.read = now;
            let before = std::mem::take(&mut self.known);
            self.known = self.read_entries(now)?;
            // What gave up its entry was told of, and counts from 0 should it come again.
            let is_gone = |was: &&Entry| !self.known.iter().any(|it| it.cgroup == was.cgroup);
            let gone: u64 = before.iter().filter(is_gone).map(Entry::dropped).sum();
            self.forgotten = self.forgotten.saturating_add(gone);
        }
        let entries: Vec<_> =
            self.known.iter().filter(|entry| entry.dropped() > 0).copied().collect();
        let sum: u64 = entries.iter().map(Entry::dropped).sum();
        let in_all = lost.saturating_add(self.forgotten).saturating_add(sum);
        Ok(Drops { lost, in_all, entries })
    }

    fn read_entries(&self, now: Duration) -> io::Result<Vec<Entry>> {
        let (mut found, mut key) = (Vec::new(), self.cgroups.next_key(None)?);
        while let Some(cgroup) = key.filter(|_| found.len() < MOST_CGROUPS) {
            found.extend(self.cgroups.get(cgroup)?.map(|words| Entry::of(cgroup, words)));
            key = self.cgroups.next_key(Some(cgroup))?;
        }
        if found.len() >= MANY {
            for quiet in found.iter().filter(|it| now.saturating_sub(it.since) >= QUIET) {
                self.cgroups.remove(quiet.cgroup)?;
            }
        }
        Ok(found)
    }
}

/// Before Linux 5.11 maps count as locked memory.
fn raise_locked_memory() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) {
        // What can't be raised is said when a map can't be made.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
}

/// With what the kernel's verifier said last.
fn refused(words: &[u64], error: io::Error) -> io::Error {
    let mut log = vec![0; LOG];
    if load(words, LICENCE, &mut log).is_ok() {
        return error;
    }
    let said = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default())
        .into_owned();
    let last = said.lines().rfind(|line| !line.starts_with("processed"));
    match (last, error.raw_os_error()) {
        (Some(last), Some(_)) => io::Error::new(error.kind(), format!("{error}: {last}")),
        _ => error,
    }
}

/// What it needs.
fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            format!(
                "; it needs CAP_BPF and CAP_PERFMON of user 0, and before Linux 5.11 locked memory (this is {})",
                kernel.trim()
            )
        }
        _ => String::new(),
    }
}
