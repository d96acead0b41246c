//! Where the hugetlb controller is, and having it on v1 for a while.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use procfs::process::{MountInfo, Process};

use super::cgroups;

/// Where v1 is mounted, in a mount namespace of our own; the lab clears it too.
const MOUNT_POINT: &str = "/run/hugetlb-exporter-lab.mount";
/// Dying cgroups keep the controller for about a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hierarchy that has the hugetlb controller.
#[derive(Clone)]
pub struct Hierarchy {
    pub root: PathBuf,
    pub v1: bool,
}

/// The one that is mounted.
pub fn find() -> Option<Hierarchy> {
    let mounts = Process::myself().and_then(|process| process.mountinfo()).ok()?;
    mounts.0.into_iter().find_map(|mount| {
        let v1 = mount.fs_type == "cgroup" && mount.super_options.contains_key("hugetlb");
        (v1 || has_hugetlb(&mount)).then_some(Hierarchy { root: mount.mount_point, v1 })
    })
}

/// Whether that is cgroup v2, and has the controller.
fn has_hugetlb(mount: &MountInfo) -> bool {
    let controllers = fs::read_to_string(mount.mount_point.join("cgroup.controllers"));
    mount.fs_type == "cgroup2"
        && controllers.is_ok_and(|text| text.split_whitespace().any(|name| name == "hugetlb"))
}

impl Hierarchy {
    /// The one that is mounted, for the process inside.
    pub fn enter() -> Self {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        find().expect("it was there a moment ago")
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
        patiently(|| mount_v1(&root)).ok().map(|()| Self { root, v1: true })
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

    /// Removes what we, or a run of the lab's that was killed, have made, and gives the controller back to where it was: a v1 hierarchy whose mount is gone lives on while cgroups of it die,
    /// and goes only when it is mounted and unmounted once more.
    pub fn put_back(&self) {
        cgroups::remove_left(&self.root);
        if self.v1 {
            return;
        }
        let scratch = Path::new(MOUNT_POINT);
        let controllers = self.root.join("cgroup.controllers");
        let is_back =
            || fs::read_to_string(&controllers).is_ok_and(|text| text.contains("hugetlb"));
        let result = patiently(|| {
            if is_back() {
                return Ok(());
            }
            fs::create_dir_all(scratch)?;
            mount_v1(scratch)?;
            cgroups::remove_left(scratch);
            umount2(scratch, MntFlags::empty())?;
            Err(io::Error::other("hugetlb is still on v1"))
        });
        if let Err(error) = result {
            eprintln!("{error}");
        }
        self.withhold();
        // It is there only if it was needed.
        let _ = fs::remove_dir(scratch);
    }
}

fn mount_v1(target: &Path) -> io::Result<()> {
    mount(Some("cgroup"), target, Some("cgroup"), MsFlags::empty(), Some("hugetlb"))
        .map_err(io::Error::from)
}

fn patiently(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(_) if began.elapsed() < PATIENCE => {
                thread::park_timeout(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}
