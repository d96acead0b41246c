//! Removing cgroups.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

/// A process that was just killed keeps its cgroup for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one of us makes below a hierarchy's root. Nothing else is called so on a machine without a kubelet.
const OURS: [&str; 3] = ["kubepods", "lab-", "hugetlb-exporter-scratch-"];

/// Whether pods have cgroups below a hierarchy's root: a kubelet's, or those that a killed one of us has left.
pub fn has_kubepods(root: &Path) -> bool {
    ["kubepods", "kubepods.slice"].iter().any(|name| root.join(name).exists())
}

/// Removes what a killed one of us has left below a hierarchy's root.
pub fn remove_left(root: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if OURS.iter().any(|start| name.starts_with(start)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a cgroup of ours with all below it, and ends the processes in it.
pub fn remove(cgroup: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    let began = Instant::now();
    while let Err(error) = fs::remove_dir(cgroup) {
        if error.kind() == io::ErrorKind::NotFound {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(error).with_context(|| format!("{} is left", cgroup.display()));
        }
        end_processes(cgroup);
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Ends the processes of a cgroup but ourselves.
pub fn end_processes(cgroup: &Path) {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let processes = processes.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw);
    for process in processes.filter(|process| *process != getpid()) {
        // It may end by itself at any time.
        let _ = kill(process, Signal::SIGKILL);
    }
}
