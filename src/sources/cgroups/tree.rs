//! The cgroups that are known, as a tree, and when each is listed and read whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::list::{Child, SizeNames, printable};
use super::read::no_figures;
use super::room::MOST;
use super::watch::Watched;
use crate::identity::Owner;
use crate::snapshot::{AtRefusal, Cgroup, CgroupVersion, Hugetlb, Reading};
use crate::units::{Bytes, PageSize};

/// So long a cgroup is new: it is found a moment before its limits are set.
const NEW: Duration = Duration::from_secs(10);

/// Every cgroup's turn comes once in this time: within 60 s where polls are 6 s apart, the longest default interval.
const TURN: Duration = Duration::from_secs(54);

/// So many parts of all take turns.
const PARTS: u32 = 32;

/// Which cgroup. Numbers are not used twice, and a parent's is below its children's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u64);

/// A cgroup.
#[derive(Debug)]
pub(super) struct Node {
    /// What was last read of it, as a snapshot shows it but for the parent's index.
    pub(super) facts: Cgroup,
    /// The name of its directory.
    name: Arc<OsStr>,
    pub(super) parent: Option<Id>,
    /// As its directory was last listed.
    pub(super) children: BTreeMap<Child, Id>,
    /// The names of its files, shared by all that have the same.
    pub(super) names: Arc<[SizeNames]>,
    /// One for each page size, in the order of the names and of the figures.
    pub(super) sizes: Vec<Size>,
    pub(super) watches: Vec<Watched>,
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
    /// v2: what it held when the count was found to have moved, since the last snapshot.
    pub(super) at_refusal: Option<Held>,
}

/// Usage and reservation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) usage: Reading<Bytes>,
    pub(super) reserved: Reading<Bytes>,
}

impl Held {
    /// The most of both moments.
    pub(super) fn most(self, other: Option<Self>) -> Self {
        let most = |a: Reading<Bytes>, b| a.combine(b, |a, b| Some(a.max(b)));
        other.map_or(self, |other| Self {
            usage: most(self.usage, other.usage),
            reserved: most(self.reserved, other.reserved),
        })
    }
}

/// Every known cgroup that has hugetlb files, and the root of the hierarchy.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) version: CgroupVersion,
    /// Where the hierarchy is mounted.
    pub(super) root: PathBuf,
    nodes: HashMap<Id, Box<Node>>,
    last: Id,
    /// Those whose directories are listed next.
    pub(super) unlisted: BTreeSet<Id>,
    /// Those that are read whole next.
    unread: BTreeSet<Id>,
    /// When turns were last taken.
    turned: Duration,
    /// How many are kept whatever they do.
    pub(super) most: usize,
    /// Those that have more children than there is room for, and how many more.
    pub(super) left_out: BTreeMap<Id, usize>,
    /// Whether anything is not as it was shown.
    pub(super) changed: bool,
}

impl Node {
    fn new(path: &str, child: &Child, parent: Option<Id>, now: Duration) -> Self {
        let facts = Cgroup {
            path: path.into(),
            inode: child.inode,
            parent: None,
            owner: Arc::new(Owner::of(path)),
            populated: Reading::Absent,
            memory_nodes: Reading::Absent,
            memory: None,
            hugetlb: Arc::default(),
        };
        Self {
            facts,
            name: Arc::clone(&child.name),
            parent,
            children: BTreeMap::new(),
            names: Arc::default(),
            sizes: Vec::new(),
            watches: Vec::new(),
            found: now,
        }
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Where a page size stands among its own.
    pub(super) fn index_of(&self, page_size: PageSize) -> Option<usize> {
        self.names.iter().position(|names| names.page_size == page_size)
    }

    /// Whether it is in use for a page size.
    pub(super) fn is_in_use(&self, page_size: PageSize) -> bool {
        let size = self.index_of(page_size).and_then(|index| self.sizes.get(index));
        size.is_some_and(|size| size.in_use)
    }

    /// What it held at refusals; that is told once.
    pub(super) fn take_at_refusals(&mut self, cgroup: usize) -> Vec<AtRefusal> {
        let sizes = self.sizes.iter_mut().zip(self.names.iter());
        let taken = sizes.filter_map(|(size, names)| {
            let Held { usage, reserved } = size.at_refusal.take()?;
            Some(AtRefusal { cgroup, page_size: names.page_size, usage, reserved })
        });
        taken.collect()
    }

    /// What is known for a page size.
    pub(super) fn size(&mut self, page_size: PageSize) -> Option<&mut Size> {
        self.index_of(page_size).and_then(|index| self.sizes.get_mut(index))
    }
}

impl Tree {
    pub(super) const ROOT: Id = Id(0);

    /// The root alone, not yet listed.
    pub(super) fn new(version: CgroupVersion, root: &Path, inode: u64) -> Self {
        let child = Child { name: Arc::from(OsStr::new("")), inode };
        let node = Node::new("/", &child, None, Duration::ZERO);
        Self {
            version,
            root: root.to_owned(),
            nodes: HashMap::from([(Self::ROOT, Box::new(node))]),
            last: Self::ROOT,
            unlisted: BTreeSet::from([Self::ROOT]),
            unread: BTreeSet::new(),
            turned: Duration::ZERO,
            most: MOST,
            left_out: BTreeMap::new(),
            changed: true,
        }
    }

    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(&id).map(|node| &**node)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(&id).map(|node| &mut **node)
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

    /// Where a cgroup's directory is below the root's.
    pub(super) fn below_root(&self, id: Id) -> PathBuf {
        let names: Vec<_> = self.chain(id).map(Node::name).collect();
        names.into_iter().rev().collect()
    }

    /// Its directory.
    pub(super) fn directory(&self, id: Id) -> PathBuf {
        self.root.join(self.below_root(id))
    }

    /// Adds a cgroup below another; it has no files until it is listed.
    pub(super) fn add(&mut self, parent: Id, child: &Child, now: Duration) -> Option<Id> {
        let above = self.node(parent)?;
        let separator = if &*above.facts.path == "/" { "" } else { "/" };
        let path = format!("{}{separator}{}", above.facts.path, printable(child.name.as_bytes()));
        self.last = Id(self.last.0 + 1);
        let node = Node::new(&path, child, Some(parent), now);
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
        let version = self.version;
        let Some(node) = self.node_mut(id) else { return };
        node.sizes = vec![Size::default(); names.len()];
        node.facts.hugetlb = names.iter().map(|it| no_figures(it.page_size, version)).collect();
        node.names = names;
        self.changed = true;
        self.must_read(id);
    }

    /// Sets what was read of one size. A snapshot that holds the figures of before keeps them.
    pub(super) fn set_figures(&mut self, id: Id, index: usize, figures: Hugetlb) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.facts.hugetlb.get(index) != Some(&figures)
            && let Some(place) = Arc::make_mut(&mut node.facts.hugetlb).get_mut(index)
        {
            *place = figures;
            self.changed = true;
        }
    }

    /// Takes a cgroup out, with all below it; what of them was watched is to be ended.
    pub(super) fn remove(&mut self, id: Id) -> Vec<Watched> {
        let mut ended = Vec::new();
        let parent = self.node(id).and_then(|node| node.parent);
        if let Some(parent) = parent.and_then(|parent| self.node_mut(parent)) {
            parent.children.retain(|_, child| *child != id);
        }
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let Some(node) = self.nodes.remove(&id) else { continue };
            self.unread.remove(&id);
            self.left_out.remove(&id);
            self.changed |= !node.names.is_empty();
            pending.extend(node.children.into_values());
            ended.extend(node.watches);
        }
        ended
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

    /// Takes those whose turn has come since this was last asked. They are spread by number, so that those found together
    /// don't come together.
    pub(super) fn take_turns(&mut self, now: Duration) -> Vec<Id> {
        let before = mem::replace(&mut self.turned, now);
        let round = |at: Duration, part: u64| {
            let ahead = TURN - TURN * u32::try_from(part).unwrap_or_default() / PARTS;
            (at + ahead).as_millis() / TURN.as_millis()
        };
        let has_come = |id: &&Id| {
            let part = id.0 % u64::from(PARTS);
            round(before, part) < round(now, part)
        };
        self.nodes.keys().filter(has_come).copied().collect()
    }

    /// Notes that a cgroup is in use, and so those above it, whatever was read of them: all may have changed between two
    /// readings. So the next descent comes to it.
    pub(super) fn must_reach(&mut self, id: Id, page_size: PageSize) {
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.node_mut(id)) {
            node.size(page_size).into_iter().for_each(|size| size.in_use = true);
            next = node.parent;
        }
    }
}
