//! The machine: its pool, its mounts, its hugetlb hierarchy, and putting them back.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::Lab;
use crate::cgroup::remove_all;
use crate::deadline::Deadline;
use crate::postgres;

const CGROUP: &str = "/sys/fs/cgroup";
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const RESERVED: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
const LOCK: &str = "/run/hugetlb-exporter-lab.lock";
/// The size of the pool before we came; there while we are.
const RECORD: &str = "/run/hugetlb-exporter-lab.pool";

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
    if !Path::new(POOL).exists() {
        return Some("huge pages of 2 MiB".to_owned());
    }
    let on_path = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|directory| directory.join(program).exists())
    };
    let programs = [
        "prometheus",
        "promtool",
        "prometheus-alertmanager",
        "runc",
        "crun",
        "buildah",
        "setpriv",
        "unshare",
        "ipcrm",
    ];
    let missing = programs.into_iter().find(|program| !on_path(program));
    missing
        .or_else(|| postgres::PROGRAMS.into_iter().find(|name| postgres::program(name).is_none()))
        .map(str::to_owned)
}

/// The machine while the lab has it.
pub struct Machine {
    phase: Phase,
    deadline: Deadline,
    _lock: Flock<OwnedFd>,
}

impl Machine {
    /// Takes the machine: alone, in a mount namespace of its own, with the pool set.
    pub fn enter() -> Self {
        let file = File::create(LOCK).expect("a lock file");
        let lock =
            Flock::lock(OwnedFd::from(file), FlockArg::LockExclusive).map_err(|(_, error)| error);
        let lock = lock.expect("the machine to ourselves");
        // What System V segments are left go with the namespace too.
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC).expect("namespaces");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        if let Ok(before) = fs::read_to_string(RECORD) {
            // An earlier run was killed: the pool's size is not the machine's, and these cgroups are its.
            remove_leftovers(&unified());
            for controller in V1_CONTROLLERS {
                remove_leftovers(&Path::new(CGROUP).join(controller));
            }
            set_pool(before.trim());
        } else {
            for root in [Path::new(CGROUP), &unified()] {
                let kubelet =
                    ["kubepods", "kubepods.slice"].iter().any(|name| root.join(name).exists());
                assert!(!kubelet, "a kubelet runs here; the lab wants a machine of its own");
            }
            fs::write(RECORD, fs::read_to_string(POOL).expect("the pool")).expect("the record");
        }
        free_v1_hierarchy();
        set_pool(&POOL_PAGES.to_string());
        let pool = fs::read_to_string(POOL).expect("the pool");
        assert_eq!(
            pool.trim(),
            POOL_PAGES.to_string(),
            "the machine has too little memory for the pool"
        );
        // The record stays: the scenario's cgroups are left, and the next start removes them.
        let deadline = Deadline::watched(|| {
            if let Ok(before) = fs::read_to_string(RECORD) {
                set_pool(before.trim());
            }
        });
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
            Phase::V2 => mount_at(CGROUP, "cgroup2", None)?,
            Phase::V1 => {
                mount_at(CGROUP, "tmpfs", None)?;
                let hugetlb = format!("{CGROUP}/hugetlb");
                fs::create_dir(&hugetlb)?;
                // Dying cgroups keep the controller on v2 for about a second.
                patiently(|| mount_at(&hugetlb, "cgroup", Some("hugetlb")))?;
                for controller in V1_CONTROLLERS {
                    let path = format!("{CGROUP}/{controller}");
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
        run(&Lab { phase: self.phase, root, deadline: self.deadline.clone() });
        self.deadline.end();
    }

    /// Whether the last scenario gave all pages back.
    pub fn is_clean(&self) -> Result<(), String> {
        let pages =
            |path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let clean =
            || (pages(FREE) == Some(POOL_PAGES) && pages(RESERVED) == Some(0)).then_some(());
        let began = Instant::now();
        while clean().is_none() {
            if began.elapsed() > Duration::from_secs(5) {
                return Err(format!(
                    "pages were left: free {:?}, reserved {:?}",
                    pages(FREE),
                    pages(RESERVED)
                ));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The mounts go with the namespace; the controller has to be freed by hand, and the pool put back.
        if let Err(error) = self.leave_phase() {
            eprintln!("the mounts could not be put back: {error}");
        }
        put_pool_back();
    }
}

/// Where this machine has cgroup2.
fn unified() -> PathBuf {
    let below = Path::new(CGROUP).join("unified");
    if below.join("cgroup.controllers").exists() { below } else { CGROUP.into() }
}

fn mount_at(target: &str, kind: &str, options: Option<&str>) -> io::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), options).map_err(io::Error::from)
}

fn patiently(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(_) if began.elapsed() < Duration::from_secs(20) => {
                std::thread::park_timeout(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// Gives the controller back to v2: a v1 hierarchy whose mount is gone lives on while cgroups of it die, and
/// goes only when it is mounted and unmounted once more.
fn free_v1_hierarchy() {
    let scratch = "/run/hugetlb-exporter-lab.mount";
    let is_free = || {
        fs::read_to_string(unified().join("cgroup.controllers"))
            .is_ok_and(|text| text.contains("hugetlb"))
    };
    let freed = patiently(|| {
        if is_free() {
            return Ok(());
        }
        fs::create_dir_all(scratch)?;
        mount_at(scratch, "cgroup", Some("hugetlb"))?;
        remove_leftovers(Path::new(scratch));
        umount2(scratch, MntFlags::empty())?;
        Err(io::Error::other("hugetlb is still on v1"))
    });
    if let Err(error) = freed {
        eprintln!("{error}");
    }
    // It is there only if it was needed.
    let _ = fs::remove_dir(scratch);
}

/// Removes the cgroups that a killed run made below a hierarchy's root.
fn remove_leftovers(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let marks = ["lab-", "hugetlb-exporter-scratch-"];
        if ["kubepods", "kubepods.slice"].contains(&name.as_str())
            || marks.iter().any(|mark| name.starts_with(mark))
        {
            kill_below(&entry.path());
            remove_all(&entry.path());
        }
    }
}

/// Ends the processes of a cgroup and of those below it: a container outlives the runtime that was killed with us.
fn kill_below(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_below(&entry.path());
        }
    }
    let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn set_pool(pages: &str) {
    fs::write(POOL, pages).expect("the pool's size");
}

fn put_pool_back() {
    if let Ok(before) = fs::read_to_string(RECORD) {
        set_pool(before.trim());
        fs::remove_file(RECORD).expect("the record");
    }
}
