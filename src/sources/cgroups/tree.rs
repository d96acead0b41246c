//! The cgroups that are known, as a tree, and which of them are listed and read whole next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::list::{Child, SizeNames, printable};
use super::read::no_figures;
use super::room::MOST;
use crate::identity::Owner;
use crate::snapshot::{Cgroup, Hierarchy, Hugetlb, Reading};
use crate::units::{Bytes, PageSize};

/// So long a cgroup is new: it is found a moment before its limits are set.
const NEW: Duration = Duration::from_secs(10);

/// Which cgroup. Numbers are not used twice, and a parent's is below its children's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u64);

/// A cgroup.
#[derive(Debug)]
pub(super) struct Node {
    /// What was last read of it, as a snapshot shows it but for the parent's index.
    pub(super) facts: Cgroup,
    /// Its directory's path below the root's, where that can't be shown as it is.
    odd_path: Option<PathBuf>,
    pub(super) parent: Option<Id>,
    /// As its directory was last listed.
    pub(super) children: BTreeMap<Child, Id>,
    /// The names of its files, shared by all that have the same.
    pub(super) names: Arc<[SizeNames]>,
    /// One for each page size, in the order of the names.
    sizes: Vec<Size>,
    found: Duration,
}

/// What is known of a cgroup for one page size besides its figures.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// It or one below it has pages mapped or touched, or figures that could not be read.
    pub(super) in_use: bool,
    pub(super) limits_watched: bool,
    /// v2: the count of refusals up to which the cgroups below were looked through.
    pub(super) followed: Option<u64>,
}

/// Usage and reservation when something was refused, by page size.
type AtRefusal = BTreeMap<PageSize, [Reading<Bytes>; 2]>;

/// Every known cgroup that has hugetlb files, and the root of the hierarchy.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) hierarchy: Hierarchy,
    nodes: HashMap<Id, Box<Node>>,
    last: Id,
    /// Those whose directories are listed next.
    pub(super) unlisted: BTreeSet<Id>,
    /// Those that are read whole next.
    unread: BTreeSet<Id>,
    /// v2: those whose count of refusals was found to have moved since the last snapshot.
    pub(super) at_refusals: BTreeMap<Id, AtRefusal>,
    /// How many are kept whatever they do.
    pub(super) most: usize,
    /// Those that have more children than there is room for, and how many more.
    pub(super) left_out: BTreeMap<Id, usize>,
    /// Whether anything is not as it was shown.
    pub(super) changed: bool,
    /// Whether any was removed that may still be watched.
    pub(super) any_removed: bool,
}

impl Id {
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl Node {
    fn new(path: PathBuf, inode: u64, parent: Option<Id>, now: Duration) -> Self {
        let shown = format!("/{}", printable(path.as_os_str().as_bytes()));
        let facts = Cgroup {
            path: shown.as_str().into(),
            inode,
            parent: None,
            owner: Arc::new(Owner::of(&shown)),
            populated: Reading::Absent,
            memory_nodes: Reading::Absent,
            memory: None,
            hugetlb: Arc::default(),
        };
        Self {
            odd_path: (Path::new(&shown) != Path::new("/").join(&path)).then_some(path),
            facts,
            parent,
            children: BTreeMap::new(),
            names: Arc::default(),
            sizes: Vec::new(),
            found: now,
        }
    }

    /// Its directory's path below the root's.
    pub(super) fn below_root(&self) -> &Path {
        let shown = || Path::new(self.facts.path.trim_start_matches('/'));
        self.odd_path.as_deref().unwrap_or_else(shown)
    }

    /// The files of a page size, and what is known of it.
    pub(super) fn size(&mut self, size: PageSize) -> Option<(&SizeNames, &mut Size)> {
        self.names.iter().zip(&mut self.sizes).find(|(names, _)| names.page_size == size)
    }

    /// Whether it is in use for a page size.
    pub(super) fn is_in_use(&self, size: PageSize) -> bool {
        let mut sizes = self.names.iter().zip(&self.sizes);
        sizes.any(|(names, state)| names.page_size == size && state.in_use)
    }
}

impl Tree {
    pub(super) const ROOT: Id = Id(0);

    /// The root alone, not yet listed.
    pub(super) fn new(hierarchy: Hierarchy, inode: u64) -> Self {
        let root = Node::new(PathBuf::new(), inode, None, Duration::ZERO);
        Self {
            hierarchy,
            nodes: HashMap::from([(Self::ROOT, Box::new(root))]),
            last: Self::ROOT,
            unlisted: BTreeSet::from([Self::ROOT]),
            unread: BTreeSet::new(),
            at_refusals: BTreeMap::new(),
            most: MOST,
            left_out: BTreeMap::new(),
            changed: true,
            any_removed: false,
        }
    }

    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(&id).map(|node| &**node)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(&id).map(|node| &mut **node)
    }

    /// All of them, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Id, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, &**node))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All of them, parents before their children.
    pub(super) fn ids(&self) -> BTreeSet<Id> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn children(&self, id: Id) -> Vec<Id> {
        self.node(id).into_iter().flat_map(|node| node.children.values().copied()).collect()
    }

    /// A cgroup and all below it.
    pub(super) fn with_all_below(&self, id: Id) -> Vec<Id> {
        let mut all = vec![id];
        let mut next = 0;
        while let Some(id) = all.get(next).copied() {
            all.extend(self.children(id));
            next += 1;
        }
        all
    }

    /// The page sizes that a cgroup has files of.
    pub(super) fn sizes(&self, id: Id) -> Vec<PageSize> {
        let names = self.node(id).into_iter().flat_map(|node| node.names.iter());
        names.map(|names| names.page_size).collect()
    }

    /// What was last read of a cgroup for one page size.
    pub(super) fn figures(&self, id: Id, size: PageSize) -> Option<&Hugetlb> {
        self.node(id)?.facts.of_size(size)
    }

    /// The outermost cgroups that have hugetlb files: v1's root, and on v2, whose root has none, those below it.
    pub(super) fn outermost(&self) -> Vec<Id> {
        match self.node(Self::ROOT) {
            Some(root) if root.names.is_empty() => self.children(Self::ROOT),
            Some(_) => vec![Self::ROOT],
            None => Vec::new(),
        }
    }

    /// A cgroup and all above it, the innermost first.
    pub(super) fn chain(&self, id: Id) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.node(id), |node| self.node(node.parent?))
    }

    /// A cgroup's directory.
    pub(super) fn directory(&self, id: Id) -> PathBuf {
        let below = self.node(id).map_or(Path::new(""), Node::below_root);
        self.hierarchy.root.join(below)
    }

    /// Adds a cgroup below another; it has no files until it is listed.
    pub(super) fn add(&mut self, parent: Id, child: &Child, now: Duration) -> Option<Id> {
        let path = self.node(parent)?.below_root().join(&*child.name);
        self.last = Id(self.last.0 + 1);
        let node = Node::new(path, child.inode, Some(parent), now);
        self.nodes.insert(self.last, Box::new(node));
        Some(self.last)
    }

    /// Sets which files a cgroup has. Where they are others than before, nothing of it is known any more.
    pub(super) fn set_names(&mut self, id: Id, names: Vec<SizeNames>) {
        let Some(node) = self.node(id).filter(|node| *node.names != *names) else { return };
        let parent = node.parent.and_then(|parent| self.node(parent));
        let sibling = parent.and_then(|parent| self.node(*parent.children.values().next()?));
        let alike = [sibling, parent].into_iter().flatten().find(|node| *node.names == *names);
        let names = alike.map_or_else(|| names.into(), |alike| Arc::clone(&alike.names));
        let version = self.hierarchy.version;
        let Some(node) = self.node_mut(id) else { return };
        node.sizes = vec![Size::default(); names.len()];
        node.facts.hugetlb = names.iter().map(|it| no_figures(it.page_size, version)).collect();
        node.names = names;
        self.changed = true;
        self.must_read(id);
    }

    /// Sets what was read of one size. A snapshot that holds the figures of before keeps them.
    pub(super) fn set_figures(&mut self, id: Id, figures: &Hugetlb) {
        if figures.has_failed() {
            self.must_read(id);
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let size = figures.page_size;
        if node.facts.of_size(size).is_none_or(|before| before == figures) {
            return;
        }
        if let Some((_, state)) = node.size(size) {
            // What is found below later was counted by then or comes on top.
            state.followed = state.followed.or(figures.failures.total().present());
        }
        let mut all = Arc::make_mut(&mut node.facts.hugetlb).iter_mut();
        all.find(|it| it.page_size == size).into_iter().for_each(|it| it.clone_from(figures));
        self.changed = true;
    }

    /// Takes a cgroup out, with all below it.
    pub(super) fn remove(&mut self, id: Id) {
        let parent = self.node(id).and_then(|node| node.parent);
        if let Some(parent) = parent.and_then(|parent| self.node_mut(parent)) {
            parent.children.retain(|_, child| *child != id);
        }
        for id in self.with_all_below(id) {
            let removed = self.nodes.remove(&id);
            self.changed |= removed.is_some_and(|node| !node.names.is_empty());
            self.unread.remove(&id);
            self.left_out.remove(&id);
        }
        self.any_removed = true;
    }

    /// Has a cgroup read whole at the next opportunity.
    pub(super) fn must_read(&mut self, id: Id) {
        self.unread.insert(id);
    }

    /// Has all of them listed and read whole.
    pub(super) fn must_read_all(&mut self) {
        self.unlisted = self.ids();
        self.unread = self.unlisted.clone();
    }

    /// Takes those that must be read whole, parents before their children.
    pub(super) fn take_unread(&mut self) -> BTreeSet<Id> {
        mem::take(&mut self.unread)
    }

    /// Whether a cgroup is new.
    pub(super) fn is_new(&self, id: Id, now: Duration) -> bool {
        self.node(id).is_some_and(|node| now.saturating_sub(node.found) < NEW)
    }

    /// Marks a cgroup as in use, and those above it, whatever was read of them: all may have changed between two
    /// readings. So the next descent comes to it.
    pub(super) fn mark_in_use(&mut self, id: Id, size: PageSize) {
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.node_mut(id)) {
            node.size(size).into_iter().for_each(|(_, state)| state.in_use = true);
            next = node.parent;
        }
    }
}
