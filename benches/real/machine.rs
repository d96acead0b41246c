//! The machine: whether it will do, its pool, and putting that back.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;

use super::hierarchy::{self, Hierarchy};
use super::memory;

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
/// Shared with tests/lab: one of us has the machine, and each undoes what a killed one left.
const LOCK: &str = "/run/hugetlb-exporter-lab.lock";
/// The size of the pool before we came; there while we are.
const RECORD: &str = "/run/hugetlb-exporter-lab.pool";
/// What everything else may need, in kB.
const SPARE: u64 = 2 << 20;
const TRIES: u32 = 5;
const HUGE_PAGE: u64 = 2 << 10;

/// The machine while we have it.
pub struct Machine {
    hierarchy: Hierarchy,
    signals: SigSet,
    _lock: Flock<File>,
}

impl Machine {
    /// Takes it, once nobody else has it, with a pool as large as is wanted and can be had; or what keeps it from being had.
    pub fn take(least: u64, most: u64) -> Result<Self, String> {
        if !geteuid().is_root() {
            return Err("it wants root, to make cgroups and set the pool's size".to_owned());
        }
        if !Path::new(POOL).exists() {
            return Err("this kernel has no huge pages of 2 MiB".to_owned());
        }
        let hierarchy = hierarchy::find()
            .ok_or("no cgroup hierarchy with hugetlb is mounted (CONFIG_CGROUP_HUGETLB)")?;
        let file = File::create(LOCK).map_err(|error| format!("can't make {LOCK}: {error}"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
        let lock = lock.map_err(|error| format!("can't lock {LOCK}: {error}"))?;
        // From here on no signal ends us before the machine is put back.
        let signals = signals();
        signals.thread_block().map_err(|error| format!("can't block signals: {error}"))?;
        let machine = Self { hierarchy, signals, _lock: lock };
        machine.take_pool(least, most)?;
        Ok(machine)
    }

    fn take_pool(&self, least: u64, most: u64) -> Result<(), String> {
        // Where a run was killed.
        self.put_back();
        for name in ["kubepods", "kubepods.slice"] {
            let kubelet = self.hierarchy.root.join(name);
            if kubelet.exists() {
                return Err(format!("{} is there: a kubelet runs here", kubelet.display()));
            }
        }
        let room = available().unwrap_or_default().saturating_sub(SPARE) / HUGE_PAGE;
        let before = fs::read_to_string(POOL).map_err(|error| format!("{POOL}: {error}"))?;
        fs::write(RECORD, before).map_err(|error| format!("{RECORD}: {error}"))?;
        let wanted = most.min(room);
        // Memory that caches hold is given up by and by.
        for _ in 0..TRIES {
            set_pool(&wanted.to_string());
            if pool() >= wanted {
                break;
            }
        }
        match pool() {
            got if got >= least => Ok(()),
            got => Err(format!("{least} huge pages are wanted, and there is memory for {got}")),
        }
    }

    /// Runs this program anew, and ends it where a signal asks for that.
    pub fn run_inside(self, mark: &str) -> ExitCode {
        let program = std::env::current_exe().expect("this program");
        let mut inside = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(mark, "1")
            .spawn()
            .expect("setpriv, to start this program anew");
        self.wait(&mut inside)
    }

    fn wait(&self, inside: &mut Child) -> ExitCode {
        loop {
            if let Some(status) = inside.try_wait().expect("its status") {
                return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
            if self.signals.wait().is_ok_and(|signal| signal != Signal::SIGCHLD) {
                // It may have ended by itself.
                let _ = inside.kill();
                let _ = inside.wait();
                return ExitCode::FAILURE;
            }
        }
    }

    /// Removes what we made and gives the pool its size, if the record says that we have come: what else is called like
    /// pods is a kubelet's.
    fn put_back(&self) {
        let Ok(before) = fs::read_to_string(RECORD) else { return };
        self.hierarchy.put_back();
        memory::remove_left();
        set_pool(before.trim());
        fs::remove_file(RECORD).expect("the record");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// Those that end a program at a terminal, and the one that says that the process inside has ended.
fn signals() -> SigSet {
    SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD])
}

/// The memory that programs can still have, in kB.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// How many pages the pool has.
pub fn pool() -> u64 {
    let text = fs::read_to_string(POOL).expect("the pool");
    text.trim().parse().expect("a number of pages")
}

fn set_pool(pages: &str) {
    fs::write(POOL, pages).expect("the pool's size");
}
