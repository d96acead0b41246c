//! One read of all cgroups: what it reads with.

use std::path::Path;
use std::sync::Arc;
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

    /// Does something with the outermost cgroups, for each page size that they have files for, which all have.
    pub(super) fn for_outermost(
        &mut self,
        mut what: impl FnMut(&mut Self, Id, PageSize, &Directory),
    ) {
        for id in self.tree.outermost() {
            let Some(node) = self.tree.node(id) else { continue };
            let (directory, names) = (Directory::open(&node.location), Arc::clone(&node.names));
            names.iter().for_each(|names| what(self, id, names.page_size, &directory));
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
