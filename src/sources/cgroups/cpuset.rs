//! Which NUMA nodes a container's memory may come from.

use super::poll::Poll;
use super::read::Files;
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Hierarchy, Reading};
use crate::sources::parse;

impl Poll<'_> {
    /// Adds to each container that has mapped more than it touched the nodes that the rest may come from. The
    /// memory manager binds containers, not pods; where the controller is not passed down, what is above counts.
    pub(super) fn read_memory_nodes(&mut self) {
        let Hierarchy { version, root } = &self.tree.hierarchy;
        let (root, name) = match version {
            CgroupVersion::V2 => (root.clone(), "cpuset.mems.effective"),
            // v1's controllers are mounted side by side.
            CgroupVersion::V1 => (root.with_file_name("cpuset"), "cpuset.effective_mems"),
        };
        let Files { files, problems, .. } = &mut self.files;
        for id in self.tree.ids() {
            let Some(node) = self.tree.node_mut(id) else { continue };
            if !matches!(*node.facts.owner, Owner::Container(_)) {
                continue;
            }
            let mut nodes = Reading::Absent;
            if node.facts.hugetlb.iter().any(|it| it.reserved.present() > it.usage.present()) {
                // Of the cgroup, or of the nearest one above that has the file.
                let at = node.below_root().ancestors().map(|at| root.join(at).join(name));
                let mut read = at.map(|file| files.read(&file, parse::NODE_LIST, problems));
                nodes = read.find(|it| *it != Reading::Absent).unwrap_or_default();
            }
            if nodes != node.facts.memory_nodes {
                node.facts.memory_nodes = nodes;
                self.tree.changed = true;
            }
        }
    }
}
