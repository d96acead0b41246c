//! A container's corner of the hierarchy.
//!
//! In a cgroup namespace of its own a container sees its own cgroup as if it were the root, and nobody outside it. The
//! files tell: on v2 the root alone has no `cgroup.events` and no hugetlb files, on v1 the root alone has a `release_agent`
//! (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst). A node of kind is such a container, and a whole
//! node all the same: its kubelet's cgroups are in it.

use std::fs;

use crate::snapshot::{CgroupVersion, Hierarchy};
use crate::sources::cgroups::list;

/// Whether a node's pods may be outside of what is mounted there.
pub(in crate::sources) fn is_corner(hierarchy: &Hierarchy) -> bool {
    is_part(hierarchy) && !has_kubelet(hierarchy)
}

/// Whether what is mounted there is a part of the machine's hierarchy: a container's corner, or a node of kind.
pub(in crate::sources) fn is_part(hierarchy: &Hierarchy) -> bool {
    let has = |name: &str| hierarchy.root.join(name).exists();
    match hierarchy.version {
        CgroupVersion::V1 => has("cgroup.procs") && !has("release_agent"),
        CgroupVersion::V2 => {
            has("cgroup.events")
                || list(&hierarchy.root, CgroupVersion::V2).is_ok_and(|it| !it.files.is_empty())
        }
    }
}

/// Whether it is a hierarchy of v2, with the controller or without.
pub(in crate::sources) fn is_unified(hierarchy: &Hierarchy) -> bool {
    hierarchy.version == CgroupVersion::V2 && hierarchy.root.join("cgroup.controllers").exists()
}

/// What is wrong with it.
pub(in crate::sources) fn complaint(hierarchy: &Hierarchy) -> String {
    format!(
        "{} is a container's corner of the cgroup hierarchy: no pod outside it is seen; mount the host's and name it with --path.cgroupfs",
        hierarchy.root.display()
    )
}

/// `kubepods`, `kubepods.slice`, on kind `kubelet` or `kubelet.slice` around it.
fn has_kubelet(hierarchy: &Hierarchy) -> bool {
    fs::read_dir(&hierarchy.root).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b"kube"))
        })
    })
}
