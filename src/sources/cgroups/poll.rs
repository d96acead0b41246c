//! One poll: what it reads with, and what all of its steps do.

use std::time::Duration;

use super::read::Files;
use super::tree::{Id, Tree};
use super::watch::Watch;
use crate::snapshot::{Pool, Reading};
use crate::sources::parse::Format;
use crate::units::PageSize;

/// One call of [`Cgroups::read`](super::Cgroups::read).
pub(super) struct Poll<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) now: Duration,
    /// The node's pools, as far as they are known.
    pub(super) pools: &'a [Pool],
    pub(super) files: Files<'a>,
    /// Where the kernel keeps the sums, and notifies.
    pub(super) watch: Option<&'a mut Watch>,
}

impl Poll<'_> {
    /// Whether the machine has several NUMA nodes: on others numa_stat repeats the usage.
    pub(super) fn has_numa_nodes(&self) -> bool {
        self.pools.iter().any(|pool| pool.nodes.len() > 1)
    }

    /// Whether anybody can have a page of that size. On most nodes all sizes but one have an empty pool.
    pub(super) fn can_be_had(&self, page_size: PageSize) -> bool {
        !self.pools.iter().any(|pool| pool.page_size == page_size && pool.is_empty())
    }

    /// The outermost cgroups, with each page size that somebody may have pages of, or has.
    pub(super) fn outermost(&self) -> Vec<(Id, PageSize)> {
        let mut outermost = Vec::new();
        for id in self.tree.outermost() {
            let is_in_use = |size| self.tree.node(id).is_some_and(|node| node.is_in_use(size));
            let sizes = self.tree.sizes(id).into_iter();
            let sizes = sizes.filter(|size| self.can_be_had(*size) || is_in_use(*size));
            outermost.extend(sizes.map(|size| (id, size)));
        }
        outermost
    }

    /// Reads a cgroup's file that may be missing: of a controller that is not passed down. Where the cgroup is gone by now,
    /// another file tells.
    pub(super) fn file<T>(&mut self, id: Id, name: &str, of: Format<T>) -> Reading<T> {
        let read = self.tree.node(id).map(|node| self.files.read(node.below_root(), name, of));
        read.and_then(Result::ok).unwrap_or_default()
    }

    /// A cgroup is gone. Its directory may still be there, without the controller: that of the one above tells.
    pub(super) fn forget(&mut self, id: Id) {
        self.tree.unlisted.extend(self.tree.node(id).and_then(|node| node.parent));
        self.tree.remove(id);
    }
}
