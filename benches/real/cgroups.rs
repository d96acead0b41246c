//! Removing cgroups.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

/// A process that was just killed keeps its cgroup for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes what a benchmark makes below a hierarchy's root, and what the lab does. Nothing else is called so on a machine
/// without a kubelet.
pub fn remove_left(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["kubepods", "lab-", "hugetlb-exporter-scratch-"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            remove_all(&entry.path());
        }
    }
}

/// Removes a cgroup with all below it, and ends the processes that are left there: none is anyone's but ours.
pub fn remove_all(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&entry.path());
        }
    }
    let began = Instant::now();
    while let Err(error) = fs::remove_dir(cgroup) {
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        if began.elapsed() > PATIENCE {
            eprintln!("{} is left: {error}", cgroup.display());
            return;
        }
        let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        let processes = processes.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw);
        for process in processes.filter(|process| *process != getpid()) {
            // It may end by itself at any time.
            let _ = kill(process, Signal::SIGKILL);
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}
