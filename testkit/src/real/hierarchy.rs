//! What the benchmarks do with the hugetlb hierarchy.

use std::fs;
use std::path::PathBuf;

use hugetlb_exporter::host::cgroups;
use hugetlb_exporter::host::hierarchy::Hierarchy;
use nix::sched::CloneFlags;

use crate::mounts::{MOUNT_POINT, give_back, have_own_mounts, mount_v1};

/// A hierarchy that a benchmark uses for a while.
pub trait OnLoan: Sized {
    /// The one that is mounted, for the process inside.
    fn enter() -> Self;
    /// "v1" or "v2".
    fn version(&self) -> &'static str;
    /// The controller on v1, if no cgroup of v2 holds it.
    fn as_v1(&self) -> Option<Self>;
    /// Removes what we, or one that was killed, have made, and gives the controller back to where it was.
    fn put_back(&self) -> anyhow::Result<()>;
}

impl OnLoan for Hierarchy {
    fn enter() -> Self {
        have_own_mounts(CloneFlags::empty()).expect("a mount namespace");
        Self::find().expect("it was there a moment ago")
    }

    fn version(&self) -> &'static str {
        if self.v1 { "v1" } else { "v2" }
    }

    fn as_v1(&self) -> Option<Self> {
        if self.v1 {
            return None;
        }
        withhold(self);
        fs::create_dir_all(MOUNT_POINT).expect("a mount point");
        let root = PathBuf::from(MOUNT_POINT);
        mount_v1(&root).ok().map(|()| Self { root, v1: true })
    }

    fn put_back(&self) -> anyhow::Result<()> {
        cgroups::remove_left(&self.root)?;
        if !self.v1 {
            give_back(&self.root)?;
            withhold(self);
        }
        Ok(())
    }
}

fn withhold(hierarchy: &Hierarchy) {
    // Where others need it, it stays, and there is no v1.
    let _ = fs::write(hierarchy.root.join("cgroup.subtree_control"), "-hugetlb");
}
