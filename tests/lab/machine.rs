//! The machine: its pool, its mounts, its hugetlb hierarchy, and putting them back.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hugetlb_exporter::host::{cgroups, lock, pool};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::unistd::geteuid;
use testkit::mounts::{give_back, have_own_mounts, mount_at, mount_v1};

use crate::Lab;
use crate::cgroup::remove_all;
use crate::deadline::Deadline;
use crate::evidence;
use crate::postgres;
use crate::refusals;

const CGROUP: &str = "/sys/fs/cgroup";

/// The pool of all scenarios, in pages of 2 MiB.
pub const POOL_PAGES: u64 = 500;

/// Controllers that runc wants beside hugetlb on v1.
const V1_CONTROLLERS: [&str; 8] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

/// How the machine's cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// As the machine has it; here: v1 mounts, and hugetlb on v2 at a sub-mount.
    AsFound,
    /// cgroup2 on /sys/fs/cgroup.
    V2,
    /// hugetlb at /sys/fs/cgroup/hugetlb.
    V1,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AsFound => "as_found",
            Self::V2 => "v2",
            Self::V1 => "v1",
        })
    }
}

/// What keeps the lab from being had here.
pub fn missing() -> Option<String> {
    if !geteuid().is_root() {
        return Some("root".to_owned());
    }
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    if !controllers.lines().any(|line| line.starts_with("hugetlb\t") && line.ends_with("\t1")) {
        return Some("CONFIG_CGROUP_HUGETLB".to_owned());
    }
    if !pool::is_there() {
        return Some("huge pages of 2 MiB".to_owned());
    }
    let mut programs = vec![
        "prometheus",
        "promtool",
        "prometheus-alertmanager",
        "runc",
        "crun",
        "buildah",
        "setpriv",
        "unshare",
        "ipcrm",
        "php",
    ];
    if evidence::is_long() {
        programs.extend(["java", "javac"]);
    }
    let missing = programs.into_iter().find(|program| !on_path(program));
    let mimalloc = || (!refusals::mimalloc().exists()).then_some("libmimalloc2.0");
    missing
        .or_else(mimalloc)
        .or_else(|| postgres::PROGRAMS.into_iter().find(|name| postgres::program(name).is_none()))
        .map(str::to_owned)
}

/// Whether that program is installed.
pub fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).exists())
}

/// The machine while the lab has it.
pub struct Machine {
    phase: Phase,
    deadline: Deadline,
    _lock: Flock<File>,
}

impl Machine {
    /// Takes the machine: alone, in a mount namespace of its own, with the pool set.
    pub fn enter() -> Self {
        let lock = lock(FlockArg::LockExclusive).expect("the machine to ourselves");
        // What System V segments are left go with the namespace too.
        have_own_mounts(CloneFlags::CLONE_NEWIPC).expect("namespaces");
        let roots = V1_CONTROLLERS.map(|controller| Path::new(CGROUP).join(controller));
        if pool::is_noted() {
            // An earlier run was killed: the pool's size is not the machine's, and these cgroups are its.
            for root in [unified()].into_iter().chain(roots) {
                cgroups::remove_left(&root).expect("what an earlier run left removed");
            }
            pool::give_back().expect("the pool's size");
        } else {
            let kubelet = [Path::new(CGROUP), &unified()].into_iter().any(cgroups::has_kubepods);
            assert!(!kubelet, "a kubelet runs here; the lab wants a machine of its own");
            pool::note().expect("the pool's size noted");
        }
        free_v1_hierarchy();
        pool::set(POOL_PAGES).expect("the pool's size");
        let size = pool::read("nr_hugepages").expect("the pool");
        assert_eq!(size, POOL_PAGES, "the machine has too little memory for the pool");
        // The record stays: the scenario's cgroups are left, and the next start removes them.
        let deadline = Deadline::watched(|| pool::give_back().expect("the pool's size"));
        Self { phase: Phase::AsFound, deadline, _lock: lock }
    }

    /// Remounts if need be.
    pub fn change_to(&mut self, phase: Phase) -> io::Result<()> {
        if phase == self.phase {
            return Ok(());
        }
        self.leave_phase()?;
        match phase {
            Phase::AsFound => {}
            Phase::V2 => mount_at(Path::new(CGROUP), "cgroup2", None)?,
            Phase::V1 => {
                mount_at(Path::new(CGROUP), "tmpfs", None)?;
                let hugetlb = Path::new(CGROUP).join("hugetlb");
                fs::create_dir(&hugetlb)?;
                mount_v1(&hugetlb)?;
                for controller in V1_CONTROLLERS {
                    let path = Path::new(CGROUP).join(controller);
                    fs::create_dir(&path)?;
                    // One that lives on v2 can't be had on v1; runc then does without.
                    let _ = mount_at(&path, "cgroup", Some(controller));
                }
            }
        }
        self.phase = phase;
        Ok(())
    }

    fn leave_phase(&mut self) -> io::Result<()> {
        if self.phase == Phase::AsFound {
            return Ok(());
        }
        if self.phase == Phase::V1 {
            // runc makes a container's cgroup in every hierarchy, and removes only the last component.
            for controller in V1_CONTROLLERS {
                remove_all(&Path::new(CGROUP).join(controller).join("kubepods"));
            }
        }
        // With all that is mounted below it.
        umount2(CGROUP, MntFlags::MNT_DETACH)?;
        if self.phase == Phase::V1 {
            free_v1_hierarchy();
        }
        self.phase = Phase::AsFound;
        Ok(())
    }

    /// Runs a scenario; if it takes too long, the machine is put back and the lab ends.
    pub fn within_deadline(&self, run: impl FnOnce(&Lab)) {
        let root = match self.phase {
            Phase::AsFound => unified(),
            Phase::V2 => PathBuf::from(CGROUP),
            Phase::V1 => PathBuf::from(CGROUP).join("hugetlb"),
        };
        self.deadline.begin();
        let deadline = self.deadline.clone();
        run(&Lab { phase: self.phase, root, controllers: "+hugetlb", deadline });
        self.deadline.end();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The mounts go with the namespace; the controller has to be freed by hand, and the pool put back.
        if let Err(error) = self.leave_phase() {
            eprintln!("the mounts could not be put back: {error}");
        }
        if let Err(error) = pool::put_back() {
            eprintln!("the pool could not be put back: {error:#}");
        }
    }
}

/// Whether the last scenario gave all pages back.
pub fn is_clean() -> Result<(), String> {
    let pages = |name| pool::read(name).map_err(|error| format!("{error:#}"));
    let began = Instant::now();
    while (pages("free_hugepages")?, pages("resv_hugepages")?) != (POOL_PAGES, 0) {
        if began.elapsed() > Duration::from_secs(5) {
            return Err(format!(
                "pages were left: free {:?}, reserved {:?}",
                pages("free_hugepages"),
                pages("resv_hugepages")
            ));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Ok(())
}

/// A larger pool than that of all scenarios, where there is memory for it; dropping it takes the rest back.
pub struct LargerPool {
    /// What it has got.
    pub pages: u64,
}

impl LargerPool {
    pub fn of(wish: u64) -> Self {
        pool::set(wish).expect("a larger pool");
        Self { pages: pool::read("nr_hugepages").expect("the pool") }
    }
}

impl Drop for LargerPool {
    fn drop(&mut self) {
        // Whatever a scenario that failed has left goes to the pool of the next.
        if let Err(error) = pool::set(POOL_PAGES) {
            eprintln!("the pool keeps its size: {error:#}");
        }
    }
}

/// Where this machine has cgroup2.
fn unified() -> PathBuf {
    let below = Path::new(CGROUP).join("unified");
    if below.join("cgroup.controllers").exists() { below } else { CGROUP.into() }
}

/// Gives hugetlb back to v2; where the machine has it on v1 for good, v2 is not to be had.
fn free_v1_hierarchy() {
    if let Err(error) = give_back(&unified()) {
        eprintln!("{error}");
    }
}
