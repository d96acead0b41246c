//! One read of all cgroups: what it reads with.

use std::path::Path;
use std::time::Duration;

use super::tree::{Id, Tree};
use super::watch::{Watch, Watched};
use crate::snapshot::{Pool, Problems};
use crate::sources::kernel_file::{Directory, KernelFiles};
use crate::units::PageSize;

/// One read of all.
pub(super) struct Round<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) now: Duration,
    /// The node's pools, as far as they are known.
    pub(super) pools: &'a [Pool],
    pub(super) files: &'a mut KernelFiles,
    pub(super) problems: &'a mut Problems,
    /// Where the kernel keeps the sums, and notifies.
    pub(super) watch: Option<&'a mut Watch>,
}

impl Round<'_> {
    /// Whether the machine has several NUMA nodes: on others numa_stat repeats the usage.
    pub(super) fn numa(&self) -> bool {
        self.pools.iter().any(|pool| pool.nodes.len() > 1)
    }

    /// The root of the hierarchy.
    pub(super) fn root(&self) -> Directory {
        Directory::open(&self.tree.root)
    }

    /// Whether anybody can have a page of that size. On most nodes all sizes but one have an empty pool.
    pub(super) fn can_be_had(&self, page_size: PageSize) -> bool {
        !self.pools.iter().any(|pool| pool.page_size == page_size && pool.is_empty())
    }

    /// Does something with the outermost cgroups, for each page size that somebody may have pages of, or has.
    pub(super) fn for_outermost(
        &mut self,
        mut what: impl FnMut(&mut Self, Id, PageSize, &Directory),
    ) {
        let root = self.root();
        for id in self.tree.outermost() {
            let Some(node) = self.tree.node(id) else { continue };
            let directory = root.below(node.name()).reopened();
            let sizes: Vec<PageSize> = node.names.iter().map(|names| names.page_size).collect();
            for size in sizes {
                if self.can_be_had(size) || self.tree.node(id).is_some_and(|it| it.is_in_use(size))
                {
                    what(self, id, size, &directory);
                }
            }
        }
    }

    /// Watches something of a cgroup, where the kernel notifies; false where that failed.
    pub(super) fn watch(
        &mut self,
        id: Id,
        path: &Path,
        how: impl FnOnce(&mut Watch, &Path, Id) -> Option<Watched>,
    ) -> bool {
        let watched = self.watch.as_deref_mut().and_then(|watch| how(watch, path, id));
        if let (Some(node), Some(watched)) = (self.tree.node_mut(id), watched)
            && !node.watches.contains(&watched)
        {
            node.watches.push(watched);
        }
        watched.is_some()
    }

    /// A cgroup is gone. Its directory may still be there, without the controller: that of the one above tells.
    pub(super) fn forget(&mut self, id: Id) {
        self.tree.unlisted.extend(self.tree.node(id).and_then(|node| node.parent));
        self.remove(id);
    }

    /// Takes a cgroup out of the tree, with all below it, and ends its watches.
    pub(super) fn remove(&mut self, id: Id) {
        for watched in self.tree.remove(id) {
            self.watch.iter_mut().for_each(|watch| watch.end(watched));
        }
    }
}
