//! Where the hugetlb controller is.

use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, Process};

/// A mounted hierarchy that has the hugetlb controller.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// Its mount point.
    pub root: PathBuf,
    /// Whether it is cgroup v1.
    pub v1: bool,
}

impl Hierarchy {
    /// The one that is mounted, as mountinfo and `cgroup.controllers` say.
    pub fn find() -> Option<Self> {
        let mounts = Process::myself().and_then(|process| process.mountinfo()).ok()?;
        mounts.0.into_iter().find_map(|mount| {
            let v1 = mount.fs_type == "cgroup" && mount.super_options.contains_key("hugetlb");
            (v1 || is_v2(&mount)).then_some(Self { root: mount.mount_point, v1 })
        })
    }
}

fn is_v2(mount: &MountInfo) -> bool {
    mount.fs_type == "cgroup2" && has_controller(&mount.mount_point)
}

/// Whether the children of a v2 hierarchy's root may be given the controller.
pub fn has_controller(root: &Path) -> bool {
    let controllers = fs::read_to_string(root.join("cgroup.controllers"));
    controllers.is_ok_and(|text| text.split_whitespace().any(|name| name == "hugetlb"))
}
