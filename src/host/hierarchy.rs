//! Where the hugetlb controller is, and making cgroups there.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
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

    /// Makes the cgroup at that path below the root, and those above it that are missing; what it is called then.
    pub fn make(&self, path: impl AsRef<Path>) -> anyhow::Result<PathBuf> {
        let mut directory = self.root.clone();
        for name in path.as_ref() {
            self.give(&directory)?;
            directory.push(name);
            fs::create_dir_all(&directory)
                .with_context(|| format!("can't make {}", directory.display()))?;
        }
        Ok(directory)
    }

    /// Lets the cgroups below that one have the controller; on v1 all have it.
    pub fn give(&self, directory: &Path) -> anyhow::Result<()> {
        if self.v1 {
            return Ok(());
        }
        write(&directory.join("cgroup.subtree_control"), "+hugetlb")
    }

    /// A cgroup's file of the limit for `2MB`, or for `2MB.rsvd`: what may be touched, or what may be mapped.
    pub fn limit(&self, cgroup: &Path, of: &str) -> PathBuf {
        let name = if self.v1 { "limit_in_bytes" } else { "max" };
        cgroup.join(format!("hugetlb.{of}.{name}"))
    }
}

/// Writes to a cgroup's file.
pub fn write(path: &Path, value: impl Display) -> anyhow::Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("can't write {}", path.display()))
}

fn is_v2(mount: &MountInfo) -> bool {
    mount.fs_type == "cgroup2" && has_controller(&mount.mount_point)
}

/// Whether the children of a v2 hierarchy's root may be given the controller.
pub fn has_controller(root: &Path) -> bool {
    let controllers = fs::read_to_string(root.join("cgroup.controllers"));
    controllers.is_ok_and(|text| text.split_whitespace().any(|name| name == "hugetlb"))
}
