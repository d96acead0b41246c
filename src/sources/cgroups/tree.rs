//! The cgroups that are known, as a tree, and when each is to be looked at anew.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::id::Id;
use super::listing::{Child, SizeNames, printable};
use super::node::{Found, LATEST, Node, SOONEST};
use super::watch::Watched;
use crate::snapshot::CgroupVersion;
use crate::units::PageSize;

/// Every known cgroup that has hugetlb files, and the root of the hierarchy.
#[derive(Debug)]
pub(super) struct Tree {
    version: CgroupVersion,
    /// Each by itself: a list of their own would have room for as many again.
    nodes: Vec<Option<Box<Node>>>,
    vacant: Vec<usize>,
    /// All of them, parents before their children, siblings by name.
    order: Vec<Id>,
    /// Whether cgroups came or went since they were put in order.
    disordered: bool,
    /// How often they were put in order.
    edition: u64,
    /// Those that must be listed again.
    unlisted: Vec<Id>,
    /// When each is to be looked at anew, the soonest first.
    due: BTreeSet<(Duration, Id)>,
}

impl Tree {
    pub(super) const ROOT: Id = Id(0);

    /// The root alone.
    pub(super) fn new(
        version: CgroupVersion,
        root: &Path,
        inode: u64,
        names: Vec<SizeNames>,
        now: Duration,
    ) -> Self {
        let mut tree = Self {
            version,
            nodes: Vec::new(),
            vacant: Vec::new(),
            order: Vec::new(),
            disordered: true,
            edition: 0,
            unlisted: Vec::new(),
            due: BTreeSet::new(),
        };
        let root = Found { path: "/".into(), location: root.to_owned(), inode, parent: None };
        tree.insert(Node::new(root, version, names.into(), now));
        tree
    }

    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id.0)?.as_deref()
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(id.0)?.as_deref_mut()
    }

    /// All of them, parents before their children.
    pub(super) fn order(&self) -> &[Id] {
        &self.order
    }

    /// Those that have hugetlb files, in the same order.
    pub(super) fn with_files(&self) -> impl Iterator<Item = Id> {
        let has_files = |id: &Id| self.node(*id).is_some_and(|node| !node.sizes.is_empty());
        self.order.iter().copied().filter(has_files)
    }

    /// Another number whenever there are other cgroups than before.
    pub(super) fn edition(&self) -> u64 {
        self.edition
    }

    /// Notes that what is in a directory has changed.
    pub(super) fn must_list(&mut self, id: Id) {
        self.unlisted.push(id);
    }

    /// The same, and that whoever had no hugetlb files there may have some now.
    pub(super) fn must_list_anew(&mut self, id: Id) {
        if let Some(node) = self.node_mut(id) {
            node.bare.clear();
        }
        self.must_list(id);
    }

    /// Those that must be listed again.
    pub(super) fn take_unlisted(&mut self) -> Vec<Id> {
        let mut unlisted = std::mem::take(&mut self.unlisted);
        unlisted.sort_unstable();
        unlisted.dedup();
        unlisted
    }

    /// Those that are to be looked at anew, parents before their children, each with whether all of it is to be seen: then
    /// it is listed too.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(Id, bool)> {
        let mut due = Vec::new();
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            let Some(node) = self.node_mut(id) else { continue };
            let whole = node.take_whole(now);
            due.push((Arc::clone(&node.path), id, whole));
            if whole {
                self.must_list_anew(id);
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, id, whole)| (id, whole)).collect()
    }

    /// Notes that a cgroup was looked at, and in which poll all of its files were read if they were. Those that were found
    /// together are looked at again at different times; one whose files could not be had, at the next poll.
    pub(super) fn looked(&mut self, id: Id, all_in: Option<u64>, now: Duration) {
        let part = u32::try_from(id.0 % 32).unwrap_or_default();
        let Some(node) = self.node_mut(id) else { return };
        let age = now.saturating_sub(node.found).clamp(SOONEST, LATEST);
        let failed = node.has_failed();
        node.next_look = if failed { now } else { now + age - age * part / 64 };
        node.looked = all_in.unwrap_or(node.looked);
        let next = node.next_look;
        self.due.insert((next, id));
    }

    /// The version of its hierarchy.
    pub(super) fn version(&self) -> CgroupVersion {
        self.version
    }

    /// The page sizes that the outermost cgroups have files for, which all have.
    pub(super) fn page_sizes(&self) -> Vec<PageSize> {
        let outermost = self.outermost().into_iter().filter_map(|id| self.node(id));
        let names = outermost.flat_map(|node| node.names.iter().map(|names| names.page_size));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.vacant.len()
    }

    /// Adds a cgroup below another.
    pub(super) fn add(
        &mut self,
        parent: Id,
        child: &Child,
        names: &[SizeNames],
        now: Duration,
    ) -> Option<Id> {
        let above = self.node(parent)?;
        let separator = if &*above.path == "/" { "" } else { "/" };
        let path = format!("{}{separator}{}", above.path, printable(child.name.as_bytes()));
        let alike = above.children.first().and_then(|sibling| self.node(*sibling));
        let alike = [alike, Some(above)].into_iter().flatten().find(|node| *node.names == *names);
        let names = alike.map_or_else(|| names.into(), |alike| Arc::clone(&alike.names));
        let found = Found {
            path: path.into(),
            location: above.location.join(&child.name),
            inode: child.inode,
            parent: Some(parent),
        };
        let id = self.insert(Node::new(found, self.version, names, now));
        let siblings = &self.node(parent)?.children;
        let name = |sibling: &Id| self.node(*sibling).map(Node::name);
        let place = siblings.partition_point(|sibling| name(sibling) < Some(&*child.name));
        self.node_mut(parent)?.children.insert(place, id);
        Some(id)
    }

    fn insert(&mut self, node: Node) -> Id {
        self.disordered = true;
        let now = node.found;
        let id = match self.vacant.pop().map(Id) {
            Some(id) => {
                if let Some(place) = self.nodes.get_mut(id.0) {
                    *place = Some(Box::new(node));
                }
                id
            }
            None => {
                self.nodes.push(Some(Box::new(node)));
                Id(self.nodes.len() - 1)
            }
        };
        self.due.insert((now, id));
        id
    }

    /// Its files are others than before; what was watched of those is to be ended.
    pub(super) fn rename_files(
        &mut self,
        id: Id,
        names: Vec<SizeNames>,
        now: Duration,
    ) -> Vec<Watched> {
        let version = self.version;
        let Some(node) = self.node_mut(id) else { return Vec::new() };
        let ended = node.rename_files(names, version).collect();
        self.disordered = true;
        self.must_look(id, now);
        ended
    }

    /// Notes that a cgroup is to be looked at next.
    pub(super) fn must_look(&mut self, id: Id, now: Duration) {
        let Some(node) = self.node_mut(id) else { return };
        let was_due = std::mem::replace(&mut node.next_look, now);
        self.due.remove(&(was_due, id));
        self.due.insert((now, id));
    }

    /// Notes that the cgroups above one that uses pages of a size may too, whatever was read of them: between two readings
    /// all can have changed. So the next poll comes to it.
    pub(super) fn must_reach(&mut self, id: Id, page_size: PageSize) {
        let mut above = self.node(id).and_then(|node| node.parent);
        while let Some(node) = above.and_then(|id| self.node_mut(id)) {
            if let Some((_, size)) = node.size_of(page_size) {
                size.in_use = true;
            }
            above = node.parent;
        }
    }

    /// Takes a cgroup out, with all below it; what of them was watched is to be ended.
    pub(super) fn remove(&mut self, id: Id) -> Vec<Watched> {
        let mut ended = Vec::new();
        if let Some(parent) = self.node(id).and_then(|node| node.parent)
            && let Some(parent) = self.node_mut(parent)
        {
            parent.children.retain(|child| *child != id);
        }
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            if let Some(node) = self.nodes.get_mut(id.0).and_then(Option::take) {
                self.vacant.push(id.0);
                self.due.remove(&(node.next_look, id));
                pending.extend(node.children);
                ended.extend(node.watches.into_all());
            }
        }
        self.disordered = true;
        ended
    }

    /// Puts them in order again; false if they are.
    pub(super) fn put_in_order(&mut self) -> bool {
        if !std::mem::take(&mut self.disordered) {
            return false;
        }
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        let mut pending = vec![Self::ROOT];
        while let Some(id) = pending.pop() {
            if let Some(node) = self.node(id) {
                order.push(id);
                pending.extend(node.children.iter().rev());
            }
        }
        self.order = order;
        self.edition += 1;
        true
    }

    /// The child of that name.
    pub(super) fn child(&self, parent: Id, child: &Child) -> Option<(Id, &Node)> {
        let siblings = &self.node(parent)?.children;
        let place = siblings
            .binary_search_by(|sibling| {
                self.node(*sibling).map(Node::name).cmp(&Some(&*child.name))
            })
            .ok()?;
        let id = *siblings.get(place)?;
        Some((id, self.node(id)?))
    }

    /// The outermost cgroups that have hugetlb files: v1's root, and on v2, whose root has none, those below it.
    pub(super) fn outermost(&self) -> Vec<Id> {
        match self.node(Self::ROOT) {
            Some(root) if root.names.is_empty() => root.children.clone(),
            Some(_) => vec![Self::ROOT],
            None => Vec::new(),
        }
    }

    /// A cgroup and all above it, the innermost first.
    pub(super) fn chain(&self, id: Id) -> impl Iterator<Item = (Id, &Node)> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let id = next?;
            let node = self.node(id)?;
            next = node.parent;
            Some((id, node))
        })
    }
}
