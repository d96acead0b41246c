//! What the benchmarks do with the hugetlb hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use super::host::cgroups;
use super::host::hierarchy::{Hierarchy, MOUNT_POINT, give_back, have_own_mounts, mount_v1};

impl Hierarchy {
    /// The one that is mounted, for the process inside.
    pub fn enter() -> Self {
        have_own_mounts(CloneFlags::empty()).expect("a mount namespace");
        Self::find().expect("it was there a moment ago")
    }

    /// "v1" or "v2".
    pub fn version(&self) -> &'static str {
        if self.v1 { "v1" } else { "v2" }
    }

    /// The controller on v1, if no cgroup of v2 holds it.
    pub fn as_v1(&self) -> Option<Self> {
        if self.v1 {
            return None;
        }
        self.withhold();
        fs::create_dir_all(MOUNT_POINT).expect("a mount point");
        let root = PathBuf::from(MOUNT_POINT);
        mount_v1(&root).ok().map(|()| Self { root, v1: true })
    }

    /// Lets the cgroups below that one have the controller.
    pub fn give(&self, directory: &Path) {
        if !self.v1 {
            fs::write(directory.join("cgroup.subtree_control"), "+hugetlb")
                .expect("the controller for the cgroups below");
        }
    }

    fn withhold(&self) {
        // Where others need it, it stays, and v1 can't be had.
        let _ = fs::write(self.root.join("cgroup.subtree_control"), "-hugetlb");
    }

    /// Removes what we, or one that was killed, have made, and gives the controller back to where it was.
    pub fn put_back(&self) -> anyhow::Result<()> {
        cgroups::remove_left(&self.root)?;
        if !self.v1 {
            give_back(&self.root)?;
            self.withhold();
        }
        Ok(())
    }
}
