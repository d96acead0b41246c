//! A hierarchy made of plain files, for tests of its parts: nothing in it keeps sums or tells anything but what a test
//! writes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::files::Reads;
use super::id::Id;
use super::listing::list;
use super::round::Round;
use super::tree::Tree;
use super::watch::Watch;
use super::{discovery, looks};
use crate::snapshot::{CgroupVersion, Hugetlb, Pool, Problems};
use crate::sources::kernel_file::KernelFiles;

/// A hierarchy and what is known of it.
pub(super) struct Example {
    version: CgroupVersion,
    directory: tempfile::TempDir,
    pub(super) tree: Tree,
    pub(super) watch: Option<Watch>,
    files: KernelFiles,
    problems: Problems,
    number: u64,
    /// The time of the next rounds.
    pub(super) now: Duration,
    /// What they know of pools.
    pub(super) pools: Vec<Pool>,
}

impl Example {
    /// Of v2 with these cgroups, none of them read yet.
    pub(super) fn new(paths: &[&str]) -> Self {
        Self::of(CgroupVersion::V2, paths)
    }

    pub(super) fn of(version: CgroupVersion, paths: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let names = list(root, version).expect("listed").files;
        let tree = Tree::new(version, root, 1, names, Duration::ZERO);
        let mut example = Self {
            version,
            directory,
            tree,
            watch: None,
            files: KernelFiles::keeping(100),
            problems: Problems::default(),
            number: 0,
            now: Duration::ZERO,
            pools: Vec::new(),
        };
        paths.iter().for_each(|path| example.make(path));
        example.tree.must_list(Tree::ROOT);
        example
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// A cgroup that uses nothing and was refused nothing.
    pub(super) fn make(&self, path: &str) {
        fs::create_dir_all(self.at(path)).expect("made");
        let files: &[(&str, &str)] = match self.version {
            CgroupVersion::V2 => &[
                ("current", "0"),
                ("rsvd.current", "0"),
                ("events", "max 0"),
                ("events.local", "max 0"),
            ],
            CgroupVersion::V1 => {
                &[("usage_in_bytes", "0"), ("limit_in_bytes", "0"), ("failcnt", "0")]
            }
        };
        files.iter().for_each(|(name, text)| self.write(path, name, text));
    }

    /// Writes one of a cgroup's files.
    pub(super) fn write(&self, path: &str, name: &str, text: &str) {
        fs::write(self.at(path).join(format!("hugetlb.2MB.{name}")), text).expect("written");
    }

    /// Does something in a round of its own.
    pub(super) fn round<T>(&mut self, what: impl FnOnce(&mut Tree, &mut Round<'_>) -> T) -> T {
        self.number += 1;
        let reads = Reads::new(&mut self.files, &mut self.problems, self.number);
        let mut round = Round::new(self.version, self.now, reads);
        round.watch = self.watch.as_mut();
        round.pools = &self.pools;
        let done = what(&mut self.tree, &mut round);
        round.finish(&mut self.tree);
        self.tree.put_in_order();
        done
    }

    /// Finds out which cgroups there are.
    pub(super) fn discover(&mut self) {
        self.round(|tree, round| {
            discovery::take_news(tree, round);
            discovery::list_all(tree, round);
        });
    }

    /// Looks at those that are due.
    pub(super) fn look_if_due(&mut self) {
        self.round(|tree, round| {
            let due = tree.take_due(round.now);
            discovery::take_news(tree, round);
            discovery::list_all(tree, round);
            due.into_iter().chain(tree.take_due(round.now)).for_each(|(id, whole)| {
                looks::look(tree, id, whole, round);
            });
        });
    }

    /// Reads all files of all.
    pub(super) fn look(&mut self) {
        self.discover();
        self.round(|tree, round| {
            tree.order().to_vec().into_iter().for_each(|id| looks::look(tree, id, false, round));
        });
    }

    /// The paths of the cgroups, each with its parent's.
    pub(super) fn paths(&self) -> Vec<(&str, Option<&str>)> {
        let path = |id: Id| self.tree.node(id).map(|node| &*node.path);
        let with_files = self.tree.order().iter().filter_map(|id| self.tree.node(*id));
        with_files
            .filter(|node| !node.names.is_empty())
            .map(|node| (&*node.path, node.parent.and_then(path)))
            .collect()
    }

    /// The cgroup of that path.
    pub(super) fn id(&self, path: &str) -> Id {
        let is_it = |id: &&Id| self.tree.node(**id).is_some_and(|node| &*node.path == path);
        *self.tree.order().iter().find(is_it).expect("it is known")
    }

    /// How many of its files are open.
    pub(super) fn open(&self, path: &str) -> usize {
        let open = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
        // Other tests open and close some meanwhile.
        let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        let directory = self.at(path);
        links.filter(|link| link.parent() == Some(&directory)).count()
    }

    /// What was last read of it.
    pub(super) fn facts(&self, path: &str) -> &Hugetlb {
        self.tree.node(self.id(path)).and_then(|node| node.sizes.first()).expect("read").facts()
    }
}
