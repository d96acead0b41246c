//! The hugetlb cgroups: which there are, and what their files say. [`hierarchy`] finds where they are; it is asked again when
//! no cgroup is left.
//!
//! The reader keeps a tree of the cgroups that have hugetlb files ([`tree`]), each with its figures as they were last read. It
//! keeps no file and no directory open. What it keeps is a cache: a reader that has stayed for days reads what a new one
//! would, but for the delays that this page names.
//!
//! # Words
//!
//! - *Outermost*: v1's root; on v2, whose root has no hugetlb files, the cgroups directly below it.
//! - *Mapped*: `rsvd.current` above zero. *Touched*: `current` above zero.
//! - *Listed*: its directory is read. *Read whole*: all its files, of all page sizes.
//! - *Poll*: one call of [`Cgroups::read`] ([`poll`]).
//! - *Turn*: what nothing notifies of is read a part at each poll ([`turns`]). Every cgroup has a turn every 54 s.
//!
//! # What it rests on
//!
//! - *Sums.* `current` and `rsvd.current` are hierarchical and never negative. While a cgroup's figure is the sum of its
//!   children's as they were last read, those last read as zero are at zero and need not be read ([`usage`]).
//! - *Counters.* On v2 `events` counts for a cgroup and all below it. While it stands still nothing was refused below it
//!   ([`refusals`]). v1's `failcnt` counts for its own cgroup only.
//! - *Notifications.* inotify tells of cgroups made and removed and of files written to: limits, `cgroup.subtree_control`;
//!   on v2 also of refusals. It tells nothing of usage ([`watch`]).
//!
//! # A cgroup's state
//!
//! - *New*: for 10 s after it was found, since limits are written a moment after the directory is made.
//! - *In use*, for each page size apart: it or one below it has pages mapped or touched, or a figure that could not be read.
//!   Its limits are watched from then on until it is removed, also when it is idle again.
//! - *Idle*: all others.
//!
//! Of a pod it is also known whether any process is left in it, as of when it was last read whole or in its turn ([`populated`]).
//! A page size whose pool is empty, without overcommit, is one that nobody can have a page of. On most nodes these are all
//! sizes but one.
//!
//! # What a poll reads, in this order
//!
//! 1. The notifications of cgroups and limits ([`Watch::take_notifications`]). A cgroup that one is about is listed and read
//!    whole in this poll. Refusals have an inotify instance of their own: step 5.
//! 2. The directories of those, and of whatever is found new below them ([`discover`]).
//! 3. Whole ([`Poll::read_whole`]): the new; those that a notification was about; and those of which a figure failed at the
//!    last poll.
//! 4. The limits of those whose turn it is ([`Poll::read_those_in_turn`]), on v1 `max_usage`, and of a pod whether a process
//!    is left. The sums say the rest.
//! 5. The counters: `events` of the outermost cgroups, and below each that moved those of its children, and so on. What is
//!    held there is read at once, and goes with the snapshot ([`AtRefusal`]): a process that is killed gives it back soon. Of
//!    sizes that nobody can have a page of they are read only when a refusal was notified. The agent is woken by that, and
//!    asks for this step before it polls ([`Cgroups::heed_refusals`]).
//! 6. Usage and reservation of the outermost cgroups, not of sizes that nobody can have a page of; below each that is in use,
//!    or was until this poll, those of its children in use; and where its figure is not the sum of all its children's as last
//!    read, those of all its children. A parent is read before its children.
//! 7. On v1 the counters ([`Poll::read_failcnts`]): `failcnt` wherever a limit is finite and somebody can have a page, and
//!    the peak where it moved. Those of cgroups that hold nothing and were granted nothing have turns of 8 s.
//! 8. On a machine with several NUMA nodes, which of them containers are bound to ([`cpuset`]).
//! 9. Where huge pages count as memory, what the memory controller says of those that hold or were granted some ([`memory`]).
//!    Every 20 s, whether they do.
//!
//! A figure that is not what it was makes a new snapshot; else the last one is handed out again ([`output`]).
//!
//! # A poll in which nothing happens
//!
//! - *v2*: `events`, `current` and `rsvd.current` of each outermost cgroup and size; the last two of each other cgroup in use.
//! - *v1*: usage and reservation in the same places, `max_usage` of those in use, and `failcnt` of every cgroup that holds
//!   pages or was granted some, where its limit is finite. Of the others with a finite limit (on most nodes nearly every pod)
//!   `failcnt` of the interval's share of 8 s, a quarter at 2 s.
//! - Both: the limits of the interval's share of 54 s, one 27th of all at 2 s and one 9th at 6 s; `numa_stat` of those in use
//!   where there are several NUMA nodes; and all children of a cgroup that keeps pages which none of them holds.
//!
//! # When a limit set by hand is seen
//!
//! At the next poll where the cgroup is new, or is or was in use for that page size (1). Else in its turn (4): after 54 s and
//! one interval between polls, which is within 60 s at the default intervals.
//!
//! # When a refusal is seen
//!
//! On v2 at once: it is notified (5). On v1 by the next poll; where the cgroup holds nothing, was granted nothing and is not
//! new, after 8 s and one interval, which is within 10 s at the default one.
//!
//! # When that is not enough
//!
//! - *The queue of notifications overflowed*: that counts as a notification about every cgroup. The poll that learns of it
//!   lists and reads everything. Lost notifications of refusals do no harm, since every poll reads the counters.
//! - *No inotify instance* (`fs.inotify.max_user_instances`): every poll lists and reads everything, and asks for one.
//! - *Something could not be watched* (`fs.inotify.max_user_watches`): every poll lists and reads everything, and tries to
//!   watch it, until all is watched.
//! - *Not the kernel's file system* (a copy of it): the same, without watching. Nothing keeps the sums there.
//! - *Once an hour* everything is listed and read, in case a notification was lost without a trace.
//! - *There are more cgroups than we have memory for* ([`room`]): more are kept only if they use pages or they or
//!   their pod were granted some. How many are left out is said at every poll. They are looked through when their parent is
//!   listed: when it is notified, in its turn, and while something is left over in it.
//! - *A cgroup went away while it was read* (ENOENT, ENODEV): it is dropped, and its parent is listed at the next poll. The
//!   same where a controller was withdrawn by hand (`-hugetlb`): at once where pages are in use, and else in its turn.
//! - *A file could not be read or understood*: its figure is `Failed`, the source is down and says why, and the cgroup is
//!   read whole at every poll until it can. A failed figure equals nothing: while there is one, its siblings are all read.
//! - *Figures change while they are read.* A page touched after its pod was read and before its container was is missed by
//!   this poll and found by the next: a cgroup that is found in use puts those above it in use, whatever was read of them.

mod cpuset;
mod discover;
mod list;
mod memory;
mod output;
mod poll;
mod populated;
mod read;
mod refusals;
mod room;
mod tree;
mod turns;
mod usage;
mod watch;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, mem};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use super::Roots;
use super::hierarchy::{self, Accounting, Mounted, Own, corner};
use super::kernel_file::{Directory, KernelFiles};
use crate::identity::NameIndex;
use crate::snapshot::{
    AtRefusal, Cgroup, CgroupVersion, Health, Hierarchy, MemoryAccounting, OwnCgroup, Pool,
    Problems,
};
pub(super) use list::list;
use output::Output;
use poll::Poll;
use read::Files;
use tree::Tree;
use turns::Turns;
use watch::Watch;

/// So often everything is listed and read, whatever was notified and what was not.
const ALL_READ: Duration = Duration::from_secs(3600);

/// The cgroup source. All it keeps is a cache of what the kernel says.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Of the hierarchy, which is kept while it has cgroups: mountinfo is long on a busy node.
    tree: Option<Tree>,
    /// Looked for whenever the hierarchy is.
    own: Option<Own>,
    /// Whether huge pages count as memory.
    accounting: Accounting,
    /// Whether the hierarchy is but a part of the machine's, and whether that is a container's corner.
    is_part: bool,
    in_corner: bool,
    /// Whether the kernel keeps the sums, and notifies: on a copy nothing does.
    is_kernels: bool,
    /// Why there are no notifications, if they are wanted.
    watch: Option<Result<Watch, String>>,
    /// When it was last read, and when all was last listed and read.
    last: Duration,
    all_read: Duration,
    output: Output,
}

/// What a read needs to know besides.
pub(super) struct Asked<'a> {
    pub(super) roots: &'a Roots,
    /// The time since the start.
    pub(super) now: Duration,
    pub(super) pools: &'a [Pool],
    pub(super) names: Arc<NameIndex>,
}

impl Cgroups {
    /// With the kernel's notifications, if it gives them.
    pub(super) fn watching() -> Self {
        Self { watch: Some(Watch::new()), ..Self::default() }
    }

    /// Where the hierarchy was found at the last read.
    pub(super) fn hierarchy(&self) -> Option<&Hierarchy> {
        self.tree.as_ref().map(|tree| &tree.hierarchy)
    }

    /// Whether that is but a part of the machine's.
    pub(super) fn is_part(&self) -> bool {
        self.is_part
    }

    /// Whether huge pages count as memory, as of the last look.
    pub(super) fn accounting(&self) -> MemoryAccounting {
        self.accounting.found().clone()
    }

    /// Our own cgroup, and which of those that were read it is.
    pub(super) fn own(&self) -> Option<OwnCgroup> {
        self.output.own.clone()
    }

    /// What was held at refusals that were notified since the last read but one.
    pub(super) fn at_refusals(&mut self) -> Arc<[AtRefusal]> {
        mem::take(&mut self.output.at_refusals)
    }

    /// How notifications do; nothing where they are not wanted or would tell nothing.
    pub(super) fn notifications(&self) -> Option<Health> {
        let watch = self.watch.as_ref().filter(|_| self.is_kernels)?;
        Some(watch.as_ref().map_or_else(|why| Health::Down(why.clone()), Watch::health))
    }

    /// Readable when something was refused, where the kernel notifies.
    pub(super) fn refusals(&self) -> Option<BorrowedFd<'_>> {
        Some(self.watch.as_ref()?.as_ref().ok()?.refusals.as_fd())
    }

    /// Readable when cgroups came or went or a limit was set, where the kernel notifies.
    pub(super) fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        Some(self.watch.as_ref()?.as_ref().ok()?.tree.as_fd())
    }

    /// Every cgroup with hugetlb files, parents before their children; on a machine with several NUMA nodes also where
    /// their memory may come from. The same as before while nothing is different.
    pub(super) fn read(
        &mut self,
        asked: &Asked<'_>,
        files: &mut KernelFiles,
        problems: &mut Problems,
    ) -> Arc<Vec<Cgroup>> {
        self.read_known(asked, files, problems);
        if self.tree.as_ref().is_none_or(|tree| tree.outermost().is_empty()) {
            // Nothing is there, or the controller has moved to another hierarchy.
            self.find(asked, problems);
            self.read_known(asked, files, problems);
        }
        self.read_memory(asked, files, problems);
        if let Some(hierarchy) = self.tree.as_ref().map(|tree| &tree.hierarchy)
            && self.in_corner
        {
            problems.add(|| corner::complaint(hierarchy));
            // A kubelet may yet make its cgroups there.
            self.in_corner = corner::is_corner(hierarchy);
        }
        self.show(&asked.names)
    }

    /// Whether something was refused, since the last read or the last time this was asked, to anybody but our own pod:
    /// what the probe is refused there is no news.
    pub(super) fn heed_refusals(&mut self, files: &mut KernelFiles) -> bool {
        let (Some(Ok(watch)), Some(tree)) = (&mut self.watch, &mut self.tree) else { return false };
        watch.take_refusals();
        let problems = &mut Problems::default();
        let files = Files { root: Directory::open(&tree.hierarchy.root), files, problems };
        let mut poll = Poll { tree, now: self.last, pools: &[], files, watch: Some(watch) };
        poll.note_all_held();
        let refused = poll.follow_refusals();
        refused.into_iter().any(|id| !self.output.is_ours(tree, id))
    }

    /// Reads what is known and what is new.
    fn read_known(&mut self, asked: &Asked<'_>, files: &mut KernelFiles, problems: &mut Problems) {
        let Some(tree) = &mut self.tree else { return };
        let turns = Turns { last: mem::replace(&mut self.last, asked.now), now: asked.now };
        let mut watch = self.watch.as_mut().filter(|_| self.is_kernels);
        if let Some(watch @ Err(_)) = &mut watch {
            **watch = Watch::new();
        }
        let mut watch = watch.and_then(|watch| watch.as_mut().ok());
        let is_watched = watch.as_deref_mut().is_some_and(|watch| watch.take_notifications(tree));
        if !is_watched || asked.now.saturating_sub(self.all_read) >= ALL_READ {
            self.all_read = asked.now;
            tree.must_read_all();
        }
        let files = Files { root: Directory::open(&tree.hierarchy.root), files, problems };
        let mut poll = Poll { tree, now: asked.now, pools: asked.pools, files, watch };
        poll.discover();
        poll.complain_of_left_out();
        poll.tree.take_unread().into_iter().for_each(|id| poll.read_whole(id));
        if is_watched {
            poll.read_those_in_turn(turns);
            poll.follow_refusals();
            poll.read_in_use();
            if poll.tree.hierarchy.version == CgroupVersion::V1 {
                poll.read_failcnts(turns);
            }
        }
        if poll.has_numa_nodes() {
            poll.read_memory_nodes();
        }
        if let Poll { tree, watch: Some(watch), .. } = poll {
            watch.end_removed(tree);
        }
    }

    /// Reads what the memory controller says, if huge pages count as memory.
    fn read_memory(&mut self, asked: &Asked<'_>, files: &mut KernelFiles, problems: &mut Problems) {
        let was_on = self.accounting.found().is_on();
        let hierarchy = self.tree.as_ref().map(|tree| &tree.hierarchy);
        self.accounting.look(asked.roots, hierarchy, asked.now, problems);
        let is_on = self.accounting.found().is_on();
        let Some(tree) = self.tree.as_mut().filter(|_| was_on || is_on) else { return };
        let files = Files { root: Directory::open(&tree.hierarchy.root), files, problems };
        let mut poll = Poll { tree, now: asked.now, pools: asked.pools, files, watch: None };
        if is_on {
            poll.read_memory(&asked.roots.proc.join("meminfo"));
        } else {
            poll.forget_memory();
        }
    }

    /// Looks where the hierarchy is now.
    fn find(&mut self, asked: &Asked<'_>, problems: &mut Problems) {
        let mounted = Mounted::read(asked.roots);
        let found = hierarchy::find(asked.roots, &mounted, problems);
        self.is_part = found.as_ref().is_some_and(corner::is_part);
        self.in_corner = found.as_ref().is_some_and(corner::is_corner);
        let own = mounted.ok().and_then(|mounted| Own::find(asked.roots, &mounted));
        let is_same_own = own == self.own;
        self.own = own;
        if let Some(tree) = &mut self.tree {
            if tree.len() > 0 && found.as_ref() == Some(&tree.hierarchy) {
                tree.changed |= !is_same_own;
                return;
            }
            tree.remove(Tree::ROOT);
            self.watch.iter_mut().flatten().for_each(|watch| watch.end_removed(tree));
        }
        self.accounting.forget();
        self.is_kernels = found.as_ref().and_then(|it| statfs(&it.root).ok()).is_some_and(|it| {
            [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&it.filesystem_type())
        });
        self.tree = found.map(|hierarchy| {
            // In a container the root of what is mounted may be the container's own cgroup.
            let inode = fs::metadata(&hierarchy.root).map(|root| root.ino()).unwrap_or_default();
            Tree::new(hierarchy, inode)
        });
    }

    /// What is to be seen now.
    fn show(&mut self, names: &Arc<NameIndex>) -> Arc<Vec<Cgroup>> {
        match &mut self.tree {
            Some(tree) => {
                if mem::take(&mut tree.changed) || self.output.names != *names {
                    self.output = Output::of(tree, names, self.own.as_ref());
                }
            }
            None => self.output = Output::nothing(self.own.as_ref()),
        }
        Arc::clone(&self.output.cgroups)
    }
}

#[cfg(test)]
mod tests;
