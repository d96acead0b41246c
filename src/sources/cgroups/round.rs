//! One read of all cgroups: what it is to read with, and what came up.

use std::time::Duration;

use super::files::Reads;
use super::id::Id;
use super::tree::Tree;
use super::watch::{Watch, Watched};
use crate::snapshot::{CgroupVersion, Pool};
use crate::sources::parse::FileKind;
use crate::units::PageSize;

/// One read of all.
pub(super) struct Round<'a> {
    pub(super) version: CgroupVersion,
    pub(super) now: Duration,
    /// Whether the machine has several NUMA nodes.
    pub(super) numa: bool,
    /// The node's pools, as far as they are known.
    pub(super) pools: &'a [Pool],
    /// What is read at every poll of those that use pages.
    pub(super) beside_use: &'static [FileKind],
    pub(super) reads: Reads<'a>,
    pub(super) watch: Option<&'a mut Watch>,
    pub(super) to_list_again: Vec<Id>,
}

impl<'a> Round<'a> {
    /// Without notifications, on a machine with one NUMA node.
    pub(super) fn new(version: CgroupVersion, now: Duration, reads: Reads<'a>) -> Self {
        Self {
            version,
            now,
            numa: false,
            pools: &[],
            beside_use: &[],
            reads,
            watch: None,
            to_list_again: Vec::new(),
        }
    }

    /// A cgroup is gone.
    pub(super) fn forget(&mut self, tree: &mut Tree, id: Id) {
        let parent = tree.node(id).and_then(|node| node.parent);
        // Its directory may still be there, without the controller.
        self.to_list_again.extend(parent);
        self.end(tree.remove(id));
    }

    /// Notes what is to be listed again; whether anything is not as it was.
    pub(super) fn finish(self, tree: &mut Tree) -> bool {
        self.to_list_again.into_iter().for_each(|id| tree.must_list(id));
        // In order first: it has something to do.
        tree.put_in_order() || self.reads.changed
    }

    /// Whether nobody can have a page of that size.
    pub(super) fn has_none_of(&self, page_size: PageSize) -> bool {
        self.pools.iter().any(|pool| pool.page_size == page_size && pool.is_empty())
    }

    /// Ends watches.
    pub(super) fn end(&mut self, watched: Vec<Watched>) {
        if let Some(watch) = self.watch.as_deref_mut() {
            watched.into_iter().for_each(|watched| watch.end(watched));
        }
    }
}
