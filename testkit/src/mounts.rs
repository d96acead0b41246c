//! The hugetlb controller on v1 for a while, and mount namespaces.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hugetlb_exporter::host::cgroups;
use hugetlb_exporter::host::hierarchy::has_controller;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Where v1 is mounted for a moment, or for a while in a mount namespace of our own.
pub const MOUNT_POINT: &str = "/run/hugetlb-exporter-lab.mount";
/// Dying cgroups keep the controller for about a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mount namespace of our own: what is mounted there goes with us.
pub fn have_own_mounts(more: CloneFlags) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | more)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
}

/// Mounts a file system of that kind on a directory.
pub fn mount_at(target: &Path, kind: &str, options: Option<&str>) -> io::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), options).map_err(io::Error::from)
}

/// Mounts v1 with the hugetlb controller, once no cgroup of v2 holds that.
pub fn mount_v1(target: &Path) -> io::Result<()> {
    patiently(|| mount_at(target, "cgroup", Some("hugetlb")))
}

/// Gives the controller back to v2: a v1 hierarchy whose mount is gone lives on while cgroups of it die, and
/// goes only when it is mounted and unmounted once more.
pub fn give_back(v2: &Path) -> io::Result<()> {
    let scratch = Path::new(MOUNT_POINT);
    let given = patiently(|| {
        if has_controller(v2) {
            return Ok(());
        }
        fs::create_dir_all(scratch)?;
        mount_at(scratch, "cgroup", Some("hugetlb"))?;
        let removed = cgroups::remove_left(scratch);
        umount2(scratch, MntFlags::empty())?;
        removed.map_err(io::Error::other)?;
        Err(io::Error::other("hugetlb is still on v1"))
    });
    // It is there only if it was needed.
    let _ = fs::remove_dir(scratch);
    given
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
