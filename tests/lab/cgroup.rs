//! Cgroups that the lab makes, through cgroups-rs' controller (its file layer takes any path).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups_rs::CgroupPid;
use cgroups_rs::fs::Controller;
use cgroups_rs::fs::hugetlb::HugeTlbController;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Lab;
use crate::harness::wait_for;
use crate::machine::Phase;

/// A cgroup of the lab's; dropping it removes it and what is below.
pub struct Cgroup {
    path: PathBuf,
    phase: Phase,
    controller: HugeTlbController,
}

impl Cgroup {
    /// A cgroup at that path below the hierarchy's root, its parents made as needed (and left to their owners).
    pub fn new(lab: &Lab, path: &str) -> Self {
        let path = lab.root.join(path);
        if lab.phase != Phase::V1 {
            let parents: Vec<&Path> = path
                .ancestors()
                .skip(1)
                .take_while(|parent| parent.starts_with(&lab.root))
                .collect();
            for parent in parents.into_iter().rev() {
                fs::create_dir_all(parent).expect("a parent");
                fs::write(parent.join("cgroup.subtree_control"), lab.controllers)
                    .expect("the controllers for the children");
            }
        }
        let controller =
            HugeTlbController::new(path.clone(), PathBuf::new(), lab.phase != Phase::V1);
        controller.create().expect("a cgroup");
        Self { path, phase: lab.phase, controller }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the fault limit, in pages of 2 MiB.
    pub fn limit(&self, pages: u64) {
        self.set("2MB", pages << 21);
    }

    /// Sets the reservation limit, as runtimes since runc 1.1.10 do and Debian's do not.
    pub fn reservation_limit(&self, pages: u64) {
        // The controller knows no reservations; the file's name is made of the size and so can be reached.
        self.set("2MB.rsvd", pages << 21);
    }

    /// The same where it may be refused: what is mapped is not taken away.
    pub fn try_reservation_limit(&self, pages: u64) -> cgroups_rs::fs::error::Result<()> {
        self.controller.set_limit_in_bytes("2MB.rsvd", pages << 21)
    }

    /// Writes a limit in bytes.
    pub fn set(&self, size: &str, bytes: u64) {
        self.controller.set_limit_in_bytes(size, bytes).expect("a limit");
    }

    /// Puts a process into it.
    pub fn add(&self, pid: u32) {
        self.controller.add_task_by_tgid(&CgroupPid::from(u64::from(pid))).expect("a process");
    }

    /// A file's text, by its v2 or its v1 name.
    pub fn read(&self, v2: &str, v1: &str) -> String {
        let file = if self.phase == Phase::V1 { v1 } else { v2 };
        let path = self.path.join(file);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    }

    /// Ends what is left of its processes; none of them is anyone's but the lab's.
    pub fn kill_all(&self) {
        wait_for("its processes to end", || {
            let processes = self.read("cgroup.procs", "cgroup.procs");
            for pid in processes.lines().filter_map(|line| line.parse().ok()) {
                // It may end by itself at any time.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            processes.is_empty().then_some(())
        });
    }

    /// Removes it, and waits until its processes are gone.
    pub fn remove(&self) {
        remove_all(&self.path);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove_all(&self.path);
    }
}

/// Removes a cgroup with all below it. A process that was just killed keeps its own for a moment.
pub fn remove_all(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&entry.path());
        }
    }
    let gone = || fs::remove_dir(path).is_ok() || !path.exists();
    if std::thread::panicking() {
        // A second panic would end the lab before it has put the machine back; a few tries must do.
        let left = (0..100).all(|_| {
            std::thread::park_timeout(Duration::from_millis(10));
            !gone()
        });
        if left {
            eprintln!("{} is left", path.display());
        }
    } else if path.exists() {
        wait_for(&format!("{} to be empty", path.display()), || gone().then_some(()));
    }
}
