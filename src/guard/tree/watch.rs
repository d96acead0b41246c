//! The watches, one inotify instance for all of them.
//!
//! A watch of a removed cgroup stays until it is removed by hand (the kernel tells of no end), so each is kept with the
//! directory that it belongs to.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::PodId;

/// What was told of, to those outside the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something of a pod may have changed.
    Pod(PodId),
    /// A log directory of that name was made, or is gone.
    Name(OsString, bool),
    /// Something in the state directory is new or gone.
    State,
}

/// What a watch is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Tier(usize),
    Pod(PodId),
    Limit(PodId),
    Names,
    State,
    /// The kernel's queue was full: anything may have happened.
    Overflow,
}

/// All watches.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    targets: HashMap<WatchDescriptor, Target>,
    of: BTreeMap<PathBuf, Vec<WatchDescriptor>>,
    /// Why something is not watched.
    pub failure: Option<String>,
}

impl Watch {
    /// None yet.
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify, targets: HashMap::new(), of: BTreeMap::new(), failure: None })
    }

    /// Readable when there is something to be told.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches what is made and removed among the kubelet's log directories.
    pub fn names(&mut self, directory: &Path) {
        self.directory(directory, Target::Names);
    }

    /// Watches the state directory.
    pub fn state(&mut self, directory: &Path) {
        self.directory(directory, Target::State);
    }

    /// Whether something was made or came, rather than went.
    pub(super) fn is_made(mask: AddWatchFlags) -> bool {
        mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)
    }

    /// Watches what is made in a directory and what is removed.
    pub(super) fn directory(&mut self, path: &Path, target: Target) {
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        self.add(path, path, mask, target);
    }

    /// Watches a file that somebody writes to; it belongs to a directory.
    pub(super) fn file(&mut self, path: &Path, of: &Path, target: Target) {
        let mask = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DONT_FOLLOW;
        self.add(path, of, mask, target);
    }

    fn add(&mut self, path: &Path, of: &Path, mask: AddWatchFlags, target: Target) {
        match self.inotify.add_watch(path, mask) {
            Ok(watch) => {
                self.targets.insert(watch, target);
                let watches = self.of.entry(of.to_owned()).or_default();
                if !watches.contains(&watch) {
                    watches.push(watch);
                }
            }
            // It went away; that is told by the directory above it.
            Err(Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(error) => {
                let limit = match error {
                    Errno::ENOSPC => "; the limit is fs.inotify.max_user_watches for each user",
                    _ => "",
                };
                let why = || format!("can't watch {}: {error}{limit}", path.display());
                self.failure.get_or_insert_with(why);
            }
        }
    }

    /// Ends the watches that belong to a directory.
    pub(super) fn end(&mut self, of: &Path) {
        for watch in self.of.remove(of).unwrap_or_default() {
            self.targets.remove(&watch);
            // The kernel may have ended it before, with an unmount.
            let _ = self.inotify.rm_watch(watch);
        }
    }

    /// All that there is to be told now.
    pub(super) fn drain(&self) -> Vec<(Target, AddWatchFlags, Option<OsString>)> {
        let mut told = Vec::new();
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    told.push((Target::Overflow, event.mask, None));
                } else if let Some(target) = self.targets.get(&event.wd) {
                    told.push((*target, event.mask, event.name));
                }
            }
        }
        told
    }
}
