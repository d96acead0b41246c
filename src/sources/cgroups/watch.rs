//! What the kernel tells by itself (inotify): cgroups that come and go, limits that are set, touches and mappings that
//! are refused.
//!
//! Directories are watched for CREATE and DELETE only: that a file in one was written is told only while the file's
//! inode is in memory, and on a node that does something it is a flood. Figures of use never tell anything; the counters
//! of refusals do on v2, those of a cgroup for all below it, at most every 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV). A watch of
//! a cgroup that was removed stays in the kernel until it is removed by hand.
//!
//! Instances and watches are limited per user over the whole node. What can't be watched is read at every poll.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::id::Id;
use crate::snapshot::Health;

/// All watches.
#[derive(Debug)]
pub(super) struct Watch {
    /// For what is taken in at the next poll.
    tree: Inotify,
    /// For what makes a poll.
    refusals: Inotify,
    targets: HashMap<WatchDescriptor, Target>,
    /// Why something is not watched.
    failure: Option<String>,
}

/// What a watch is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// What is in a cgroup's directory.
    Directory(Id),
    /// Which controllers are given to the cgroups below.
    Controllers(Id),
    /// A cgroup's limits for the size at that place.
    Limits(Id, usize),
}

/// A watch that some cgroup has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    Tree(WatchDescriptor),
    Refusals(WatchDescriptor),
}

/// What was told since the last time.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) of: Vec<Target>,
    /// The queue was full and some of it is lost.
    pub(super) incomplete: bool,
}

impl Watch {
    /// Two instances, or why there are none.
    pub(super) fn new() -> Result<Self, String> {
        let instance = || {
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(|error| {
                format!(
                    "can't have an inotify instance: {error}; the limit is fs.inotify.max_user_instances for each user"
                )
            })
        };
        Ok(Self {
            tree: instance()?,
            refusals: instance()?,
            targets: HashMap::new(),
            failure: None,
        })
    }

    /// Readable when something was refused.
    pub(super) fn refusals(&self) -> BorrowedFd<'_> {
        self.refusals.as_fd()
    }

    /// Readable when there is news of the tree.
    pub(super) fn arrivals(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    /// Whether all that is to be watched is.
    pub(super) fn health(&self) -> Health {
        self.failure.clone().map_or(Health::Up, Health::Down)
    }

    /// Whether something is not watched. Everything is tried again at every poll, and then it is told anew.
    pub(super) fn is_incomplete(&mut self) -> bool {
        self.failure.take().is_some()
    }

    /// Watches what comes into a directory and what goes.
    pub(super) fn directory(&mut self, directory: &Path, id: Id) -> Option<Watched> {
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ONLYDIR;
        self.add(directory, mask, Target::Directory(id))
    }

    /// Watches who is given controllers: the cgroups below get their files without being made anew.
    pub(super) fn controllers(&mut self, directory: &Path, id: Id) -> Option<Watched> {
        let file = directory.join("cgroup.subtree_control");
        self.add(&file, AddWatchFlags::IN_MODIFY, Target::Controllers(id))
    }

    /// Watches a file that a limit is written to.
    pub(super) fn limit(&mut self, file: &Path, id: Id, size: usize) -> Option<Watched> {
        self.add(file, AddWatchFlags::IN_MODIFY, Target::Limits(id, size))
    }

    /// Watches a counter of refusals.
    pub(super) fn events(&mut self, file: &Path) -> Option<Watched> {
        let watch = self.refusals.add_watch(file, AddWatchFlags::IN_MODIFY);
        self.noted(watch, file).map(Watched::Refusals)
    }

    fn add(&mut self, path: &Path, mask: AddWatchFlags, target: Target) -> Option<Watched> {
        let watch = self.tree.add_watch(path, mask);
        let watch = self.noted(watch, path)?;
        self.targets.insert(watch, target);
        Some(Watched::Tree(watch))
    }

    fn noted(
        &mut self,
        watch: nix::Result<WatchDescriptor>,
        path: &Path,
    ) -> Option<WatchDescriptor> {
        match watch {
            Ok(watch) => Some(watch),
            // It went away, and is about to be found missing.
            Err(Errno::ENOENT | Errno::ENODEV) => None,
            Err(error) => {
                self.failure.get_or_insert_with(|| {
                    let limit = match error {
                        Errno::ENOSPC => "; the limit is fs.inotify.max_user_watches for each user",
                        _ => "",
                    };
                    format!("can't watch {}: {error}{limit}", path.display())
                });
                None
            }
        }
    }

    /// Ends a watch: those of a removed cgroup would stay for ever.
    pub(super) fn end(&mut self, watched: Watched) {
        // The kernel may have ended it before, with an unmount.
        let _ = match watched {
            Watched::Tree(watch) => {
                self.targets.remove(&watch);
                self.tree.rm_watch(watch)
            }
            Watched::Refusals(watch) => self.refusals.rm_watch(watch),
        };
    }

    /// Takes what was told of the tree.
    pub(super) fn news(&mut self) -> News {
        let mut news = News::default();
        for event in drain(&self.tree) {
            news.incomplete |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            news.of.extend(self.targets.get(&event.wd));
        }
        news.of.dedup();
        news
    }

    /// Takes what was told of refusals, which says no more than that there may be some.
    pub(super) fn take_refusals(&self) {
        drain(&self.refusals).for_each(drop);
    }
}

/// All that an instance has to tell now.
fn drain(inotify: &Inotify) -> impl Iterator<Item = InotifyEvent> + '_ {
    std::iter::from_fn(|| inotify.read_events().ok()).flatten()
}
