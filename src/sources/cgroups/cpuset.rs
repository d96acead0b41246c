//! Which NUMA nodes a container's memory may come from.

use std::path::{Path, PathBuf};

use super::round::Round;
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Hierarchy, Problems, Reading};
use crate::sources::kernel_file::KernelFiles;
use crate::sources::parse;
use crate::units::NumaNode;

const EXPECTED: &str = "a list of NUMA nodes such as 0-1,3";

impl Round<'_> {
    /// Adds to each container that has mapped more than it touched the nodes that the rest may come from. The
    /// memory manager binds containers, not pods; where the controller is not passed down, what is above counts.
    pub(super) fn read_memory_nodes(&mut self, hierarchy: &Hierarchy) {
        let (root, name) = match hierarchy.version {
            CgroupVersion::V2 => (hierarchy.root.clone(), "cpuset.mems.effective"),
            // v1's controllers are mounted side by side.
            CgroupVersion::V1 => (beside(&hierarchy.root), "cpuset.effective_mems"),
        };
        for id in self.tree.ids() {
            let Some(node) = self.tree.node(id) else { continue };
            if !matches!(*node.facts.owner, Owner::Container(_)) {
                continue;
            }
            let mut figures = node.facts.hugetlb.iter();
            let nodes = if figures.any(|it| it.reserved.present() > it.usage.present()) {
                // As it is called; in its path odd characters are escaped.
                nearest(&root, &self.tree.below_root(id), name, self.files, self.problems)
            } else {
                Reading::Absent
            };
            if let Some(node) = self.tree.node_mut(id)
                && nodes != node.facts.memory_nodes
            {
                node.facts.memory_nodes = nodes;
                self.tree.changed = true;
            }
        }
    }
}

fn beside(root: &Path) -> PathBuf {
    root.parent().unwrap_or(root).join("cpuset")
}

/// The file of the cgroup, or of the nearest one above that has it.
fn nearest(
    root: &Path,
    below: &Path,
    name: &str,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> Reading<Vec<NumaNode>> {
    for above in below.ancestors() {
        let file = root.join(above).join(name);
        let nodes = files.read(&file, EXPECTED, parse::node_list, problems);
        if nodes != Reading::Absent {
            return nodes;
        }
    }
    Reading::Absent
}
