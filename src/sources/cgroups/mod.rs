//! The hugetlb cgroups: where their hierarchy is, which there are, what their files say.
//!
//! What can't have changed is not read: [`users`] and [`refusals`] say how that is known. On anything but a cgroup file
//! system (a copy of one) nothing keeps the sums, and all is read at every poll.

mod cpuset;
mod discovery;
#[cfg(test)]
mod example;
mod files;
mod hierarchy;
mod id;
mod listing;
mod looks;
mod node;
mod own;
mod refusals;
mod round;
mod shown;
mod tree;
mod users;
mod watch;

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use super::Roots;
use super::kernel_file::{KernelFiles, is_gone};
use super::parse::FileKind;
use crate::identity::NameIndex;
use crate::snapshot::{Cgroup, CgroupVersion, Health, Hierarchy, OwnCgroup, Pool, Problems};
use files::Reads;
use own::Own;
use round::Round;
use shown::Shown;
use tree::Tree;
use watch::Watch;

/// The cgroup source. All it keeps is a cache of what the kernel says.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Kept while it has cgroups: mountinfo is long and dear on a busy node.
    hierarchy: Option<Hierarchy>,
    /// Looked for whenever the hierarchy is.
    own: Option<Own>,
    tree: Option<Tree>,
    /// Whether the kernel keeps the sums that say what can't have changed.
    has_sums: bool,
    watching: Watching,
    /// Reads since the start.
    number: u64,
    shown: Shown,
    /// Whether what was shown is not all that is known.
    stale: bool,
}

/// Whether the kernel is asked to tell by itself what happens.
#[derive(Debug, Default)]
enum Watching {
    /// It is not wanted.
    #[default]
    No,
    /// It is not to be had.
    Refused(String),
    Yes(Watch),
}

/// What a read needs to know besides.
pub(super) struct Asked<'a> {
    pub(super) roots: &'a Roots,
    /// The time since the start.
    pub(super) now: Duration,
    pub(super) pools: &'a [Pool],
    pub(super) names: Arc<NameIndex>,
}

impl<'a> Asked<'a> {
    /// For a single read, without names.
    pub(super) fn once(roots: &'a Roots) -> Self {
        Self { roots, now: Duration::ZERO, pools: &[], names: Arc::default() }
    }

    /// Whether the machine has several NUMA nodes.
    fn numa(&self) -> bool {
        self.pools.iter().any(|pool| pool.nodes.len() > 1)
    }
}

impl Cgroups {
    /// With the kernel's notifications, if they are to be had.
    pub(super) fn watching() -> Self {
        let watching = match Watch::new() {
            Ok(watch) => Watching::Yes(watch),
            Err(why) => Watching::Refused(why),
        };
        Self { watching, ..Self::default() }
    }

    /// Where the hierarchy was found at the last read.
    pub(super) fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    /// Our own cgroup, and which of those that were read it is.
    pub(super) fn own(&self) -> Option<OwnCgroup> {
        self.shown.own.clone()
    }

    /// How notifications do; nothing where they are not wanted or tell nothing.
    pub(super) fn notifications(&self) -> Option<Health> {
        match &self.watching {
            _ if !self.has_sums => None,
            Watching::No => None,
            Watching::Refused(why) => Some(Health::Down(why.clone())),
            Watching::Yes(watch) => Some(watch.health()),
        }
    }

    /// Readable when something was refused, where the kernel tells that.
    pub(super) fn refusals(&self) -> Option<BorrowedFd<'_>> {
        self.watch().map(Watch::refusals)
    }

    /// Readable when cgroups came or went, or a limit was set, where the kernel tells that.
    pub(super) fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        self.watch().map(Watch::arrivals)
    }

    fn watch(&self) -> Option<&Watch> {
        match &self.watching {
            Watching::Yes(watch) => Some(watch),
            Watching::No | Watching::Refused(_) => None,
        }
    }

    /// Every cgroup with hugetlb files, parents before their children; on a machine with several NUMA
    /// nodes also where their memory may come from.
    pub(super) fn read(
        &mut self,
        asked: &Asked<'_>,
        files: &mut KernelFiles,
        problems: &mut Problems,
    ) -> Arc<Vec<Cgroup>> {
        self.number += 1;
        self.read_known(asked, files, problems);
        if self.tree.as_ref().is_none_or(|tree| tree.outermost().is_empty()) {
            // Nothing is there, or the controller has moved to another hierarchy.
            self.find(asked, problems);
            self.read_known(asked, files, problems);
        }
        self.show(asked)
    }

    /// Whether something was refused, since the last read or the last time this was asked, to anybody but our own pod:
    /// what the probe is refused there is no news.
    pub(super) fn heed_refusals(&mut self, files: &mut KernelFiles) -> bool {
        let Watching::Yes(watch) = &mut self.watching else { return false };
        watch.take_refusals();
        let Some(tree) = &mut self.tree else { return false };
        let mut problems = Problems::default();
        let reads = Reads::new(files, &mut problems, self.number);
        let mut round = Round::new(tree.version(), Duration::ZERO, reads);
        round.watch = Some(watch);
        let refused = refusals::follow(tree, &mut round);
        self.stale |= round.finish(tree);
        let ours = self.shown.own_pod();
        refused.into_iter().any(|id| !tree.chain(id).any(|(above, _)| Some(above) == ours))
    }

    /// Reads what is known and what is new.
    fn read_known(&mut self, asked: &Asked<'_>, files: &mut KernelFiles, problems: &mut Problems) {
        let Some(tree) = &mut self.tree else { return };
        let reads = Reads::new(files, problems, self.number);
        let mut round = Round::new(tree.version(), asked.now, reads);
        round.numa = asked.numa();
        round.beside_use = beside_use(tree.version(), round.numa);
        round.pools = asked.pools;
        if let Watching::Yes(watch) = &mut self.watching {
            round.watch = Some(watch).filter(|_| self.has_sums);
        }
        discovery::take_news(tree, &mut round);
        let due = tree.take_due(asked.now);
        discovery::list_all(tree, &mut round);
        self.stale |= tree.put_in_order();
        let new = tree.take_due(asked.now);
        if self.has_sums {
            due.into_iter().chain(new).for_each(|(id, whole)| {
                looks::look(tree, id, whole, &mut round);
            });
            watch_refusals(tree, &mut round);
            refusals::follow(tree, &mut round);
            for page_size in tree.page_sizes() {
                users::read(tree, page_size, &mut round);
            }
            looks::read_failcnts(tree, &mut round);
        } else {
            tree.order().to_vec().into_iter().for_each(|id| {
                looks::look(tree, id, false, &mut round);
            });
        }
        self.stale |= round.finish(tree);
        if let (true, Some(hierarchy)) = (asked.numa(), &self.hierarchy) {
            self.stale |= cpuset::read(tree, hierarchy, files, problems);
        }
    }

    /// Looks where the hierarchy is now.
    fn find(&mut self, asked: &Asked<'_>, problems: &mut Problems) {
        let found = hierarchy::find(asked.roots, problems);
        self.own = Own::find(asked.roots);
        self.stale = true;
        let is_same = found == self.hierarchy
            && self.tree.as_ref().is_some_and(|tree| !tree.order().is_empty());
        self.hierarchy = found;
        if is_same {
            return;
        }
        if let (Some(mut tree), Watching::Yes(watch)) = (self.tree.take(), &mut self.watching) {
            tree.remove(Tree::ROOT).into_iter().for_each(|watched| watch.end(watched));
        }
        self.shown = Shown::default();
        let Some(Hierarchy { version, root }) = &self.hierarchy else { return };
        self.has_sums = is_cgroup_file_system(root);
        // In a container the root of what is mounted may be the container's own cgroup.
        let inode = fs::metadata(root).map(|root| root.ino()).unwrap_or_default();
        let names = match listing::list(root, *version) {
            Ok(listing) => listing.files,
            Err(error) if is_gone(&error) => return,
            Err(error) => {
                problems.add(|| format!("can't list {}: {error}", root.display()));
                return;
            }
        };
        let mut tree = Tree::new(*version, root, inode, names, asked.now);
        tree.put_in_order();
        tree.must_list(Tree::ROOT);
        self.tree = Some(tree);
    }

    /// What is to be seen now; the same as before while nothing is different.
    fn show(&mut self, asked: &Asked<'_>) -> Arc<Vec<Cgroup>> {
        let Some(tree) = &mut self.tree else {
            self.shown = Shown::default();
            self.shown.own = self.own.as_ref().map(|own| own.among(&[], Path::new("")));
            return Arc::default();
        };
        let names_changed = self.shown.tell_runtimes(tree, &asked.names);
        if std::mem::take(&mut self.stale) || names_changed {
            let root = self.hierarchy.as_ref().map_or(Path::new(""), |found| &found.root);
            self.shown.renew(tree, self.own.as_ref(), root);
        }
        self.shown.cgroups()
    }
}

/// The outermost counters are watched for all below them.
fn watch_refusals(tree: &mut Tree, round: &mut Round<'_>) {
    for id in tree.outermost() {
        let (Some(watch), Some(node)) = (round.watch.as_deref_mut(), tree.node_mut(id)) else {
            return;
        };
        let names = node.names.iter().filter_map(|names| names.of(FileKind::Events));
        let files: Vec<_> = names.map(|name| node.location.join(name)).collect();
        if node.watches.events.len() < files.len() {
            node.watches.events = files.iter().filter_map(|file| watch.events(file)).collect();
        }
    }
}

/// What is read at every poll of those that use pages: v1 remembers the most that was used even if it is over by now.
fn beside_use(version: CgroupVersion, numa: bool) -> &'static [FileKind] {
    match (version, numa) {
        (CgroupVersion::V2, false) => &[],
        (CgroupVersion::V2, true) => &[FileKind::NumaStat],
        (CgroupVersion::V1, false) => &[FileKind::MaxUsage],
        (CgroupVersion::V1, true) => &[FileKind::MaxUsage, FileKind::NumaStat],
    }
}

/// Whether it is the kernel's, not a copy.
fn is_cgroup_file_system(root: &Path) -> bool {
    statfs(root).is_ok_and(|found| {
        [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&found.filesystem_type())
    })
}
