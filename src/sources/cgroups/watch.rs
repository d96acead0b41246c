//! What the kernel tells by itself (inotify): cgroups made and removed, limits set, touches and mappings refused.
//!
//! Directories are watched for CREATE and DELETE only: that a file in one was written is told only while the file's inode
//! is cached, and on a busy node it is a flood. Usage never notifies; the counters of refusals do on v2, a cgroup's for all
//! below it, at most every 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV). A watch of a removed cgroup stays until it is removed by
//! hand. Instances and watches are limited per user over the whole node.

use std::collections::HashMap;
use std::mem;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::tree::{Id, Tree};
use crate::snapshot::Health;

/// All watches.
#[derive(Debug)]
pub(super) struct Watch {
    /// Cgroups made and removed, limits set: it waits until the next poll.
    pub(super) tree: Inotify,
    /// Refusals, which make a poll.
    pub(super) refusals: Inotify,
    /// Which cgroup a watch is about.
    pub(super) targets: HashMap<(Instance, WatchDescriptor), Id>,
    /// Why something is not watched.
    pub(super) failure: Option<String>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Instance {
    Tree,
    Refusals,
}

impl Watch {
    /// Two instances, or why there are none.
    pub(super) fn new() -> Result<Self, String> {
        const LIMIT: &str = "the limit is fs.inotify.max_user_instances for each user";
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let why = |error| format!("can't have an inotify instance: {error}; {LIMIT}");
        let [tree, refusals] = [Inotify::init(flags), Inotify::init(flags)];
        let (tree, refusals) = (tree.map_err(why)?, refusals.map_err(why)?);
        let failure = Some("nothing is watched yet".to_owned());
        Ok(Self { tree, refusals, targets: HashMap::new(), failure })
    }

    /// Whether all that is to be watched is.
    pub(super) fn health(&self) -> Health {
        self.failure.clone().map_or(Health::Up, Health::Down)
    }

    /// Has the cgroups that the kernel notified of listed and read whole, and all where it lost notifications since the queue
    /// was full. False where something could not be watched when it was last tried: then nothing is known.
    pub(super) fn take_notifications(&mut self, tree: &mut Tree) -> bool {
        for event in drain(&self.tree) {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                tree.must_read_all();
            } else if let Some(id) = self.targets.get(&(Instance::Tree, event.wd)) {
                tree.unlisted.insert(*id);
                tree.must_read(*id);
            }
        }
        // It is tried again.
        self.failure.take().is_none()
    }

    /// Watches what is made in a cgroup's directory and what is removed; false where that failed.
    pub(super) fn directory(&mut self, directory: &Path, id: Id) -> bool {
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ONLYDIR;
        self.add(Instance::Tree, directory, mask, id)
    }

    /// Watches a file of a cgroup that somebody writes to: a limit, or which controllers those below get.
    pub(super) fn file(&mut self, file: &Path, id: Id) -> bool {
        self.add(Instance::Tree, file, AddWatchFlags::IN_MODIFY, id)
    }

    /// Watches a counter of refusals.
    pub(super) fn events(&mut self, file: &Path, id: Id) -> bool {
        self.add(Instance::Refusals, file, AddWatchFlags::IN_MODIFY, id)
    }

    fn add(&mut self, instance: Instance, path: &Path, mask: AddWatchFlags, id: Id) -> bool {
        let inotify = match instance {
            Instance::Tree => &self.tree,
            Instance::Refusals => &self.refusals,
        };
        match inotify.add_watch(path, mask) {
            Ok(watch) => {
                self.targets.insert((instance, watch), id);
                return true;
            }
            // It went away, and is about to be found missing.
            Err(Errno::ENOENT | Errno::ENODEV) => {}
            Err(error) => {
                let limit = match error {
                    Errno::ENOSPC => "; the limit is fs.inotify.max_user_watches for each user",
                    _ => "",
                };
                let why = || format!("can't watch {}: {error}{limit}", path.display());
                self.failure.get_or_insert_with(why);
            }
        }
        false
    }

    /// Ends the watches of cgroups that are not in the tree any more.
    pub(super) fn end_removed(&mut self, tree: &mut Tree) {
        if !mem::take(&mut tree.any_removed) {
            return;
        }
        self.targets.retain(|(instance, watch), id| {
            let is_known = tree.node(*id).is_some();
            if !is_known {
                // The kernel may have ended it before, with an unmount.
                let _ = match instance {
                    Instance::Tree => self.tree.rm_watch(*watch),
                    Instance::Refusals => self.refusals.rm_watch(*watch),
                };
            }
            is_known
        });
    }

    /// Takes the notifications of refusals, which say no more than that there may be some.
    pub(super) fn take_refusals(&self) {
        drain(&self.refusals).for_each(drop);
    }
}

/// All that an instance has to tell now.
fn drain(inotify: &Inotify) -> impl Iterator<Item = InotifyEvent> + '_ {
    std::iter::from_fn(|| inotify.read_events().ok()).flatten()
}
