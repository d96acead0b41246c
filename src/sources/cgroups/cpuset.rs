//! Which NUMA nodes a container's memory may come from.

use std::path::{Path, PathBuf};

use super::tree::Tree;
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Hierarchy, Problems, Reading};
use crate::sources::kernel_file::KernelFiles;
use crate::sources::parse;
use crate::units::NumaNode;

const EXPECTED: &str = "a list of NUMA nodes such as 0-1,3";

/// Adds to each container that has mapped more than it touched the nodes that the rest may come from. The
/// memory manager binds containers, not pods; where the controller is not passed down, what is above counts. Whether
/// anything is not as it was.
pub(super) fn read(
    tree: &mut Tree,
    hierarchy: &Hierarchy,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> bool {
    let (root, name) = match hierarchy.version {
        CgroupVersion::V2 => (hierarchy.root.clone(), "cpuset.mems.effective"),
        // v1's controllers are mounted side by side.
        CgroupVersion::V1 => (beside(&hierarchy.root), "cpuset.effective_mems"),
    };
    let mut changed = false;
    for id in tree.order().to_vec() {
        let Some(node) = tree.node_mut(id) else { continue };
        if !matches!(*node.owner, Owner::Container(_)) {
            continue;
        }
        let to_come = node.sizes.iter().any(|size| {
            let facts = size.facts();
            facts.reserved.present() > facts.usage.present()
        });
        let nodes = if to_come {
            nearest(&root, &node.path, name, files, problems)
        } else {
            Reading::Absent
        };
        if nodes != node.memory_nodes {
            node.memory_nodes = nodes;
            node.changed = true;
            changed = true;
        }
    }
    changed
}

fn beside(root: &Path) -> PathBuf {
    root.parent().unwrap_or(root).join("cpuset")
}

/// The file of the cgroup, or of the nearest one above that has it.
fn nearest(
    root: &Path,
    path: &str,
    name: &str,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> Reading<Vec<NumaNode>> {
    let below_root = path.trim_start_matches('/');
    for above in Path::new(below_root).ancestors() {
        let file = root.join(above).join(name);
        let nodes = files.read(&file, EXPECTED, parse::node_list, problems);
        if nodes != Reading::Absent {
            return nodes;
        }
    }
    Reading::Absent
}
