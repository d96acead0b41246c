//! The machine: whether it will do, its pool, and putting that back.

use std::fs::{self, File};
use std::process::{Child, Command, ExitCode};

use anyhow::{Context, bail, ensure};
use hugetlb_exporter::host::hierarchy::Hierarchy;
use hugetlb_exporter::host::{cgroups, lock, pool};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;

use super::hierarchy::OnLoan;
use super::memory;

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
    pub fn take(least: u64, most: u64) -> anyhow::Result<Self> {
        ensure!(geteuid().is_root(), "it wants root, to make cgroups and set the pool's size");
        ensure!(pool::is_there(), "this kernel has no huge pages of 2 MiB");
        let hierarchy = Hierarchy::find()
            .context("no cgroup hierarchy with hugetlb is mounted (CONFIG_CGROUP_HUGETLB)")?;
        let lock = lock(FlockArg::LockExclusive)?;
        // From here on no signal ends us before the machine is put back.
        let signals = signals();
        signals.thread_block().context("can't block signals")?;
        let machine = Self { hierarchy, signals, _lock: lock };
        machine.take_pool(least, most)?;
        Ok(machine)
    }

    fn take_pool(&self, least: u64, most: u64) -> anyhow::Result<()> {
        // Where a run was killed.
        self.put_back()?;
        let root = &self.hierarchy.root;
        ensure!(!cgroups::has_kubepods(root), "a kubelet runs here: it has {}", root.display());
        let room = available().unwrap_or_default().saturating_sub(SPARE) / HUGE_PAGE;
        pool::note()?;
        let wanted = most.min(room);
        // Memory that caches hold is given up by and by.
        for _ in 0..TRIES {
            pool::set(wanted)?;
            if pool::read("nr_hugepages")? >= wanted {
                break;
            }
        }
        match pool::read("nr_hugepages")? {
            got if got >= least => Ok(()),
            got => bail!("{least} huge pages are wanted, and there is memory for {got}"),
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

    /// Removes what we made and gives the pool its size, if it is noted that we have come: what else is called like pods
    /// is a kubelet's.
    fn put_back(&self) -> anyhow::Result<()> {
        if !pool::is_noted() {
            return Ok(());
        }
        self.hierarchy.put_back()?;
        memory::remove_left()?;
        pool::put_back()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            eprintln!("{error:#}");
        }
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
