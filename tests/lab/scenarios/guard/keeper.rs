//! A guard that runs as in the chart: user 0, no capability, its records in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cgroup::Cgroup;
use crate::harness::{Lines, built, wait_for};
use crate::kubepods::Kubepods;

/// Where a guard keeps its records and tells what it does; it outlives the guard.
pub struct Places {
    root: tempfile::TempDir,
}

impl Places {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["state", "report"] {
            std::fs::create_dir(root.path().join(name)).expect("made");
        }
        Self { root }
    }

    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub fn report(&self) -> PathBuf {
        self.root.path().join("report")
    }

    /// The flags that name them.
    pub fn flags(&self) -> [String; 2] {
        let flag = |name: &str, at: &Path| format!("--guard.{name}={}", at.display());
        [flag("state", &self.state()), flag("report", &self.report())]
    }

    /// What the guard last told the exporter.
    pub fn told(&self) -> Value {
        let text = std::fs::read(self.report().join("guard.json")).expect("a report");
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        value["content"].clone()
    }

    /// How many writes came to that, by the guard's own word.
    pub fn count(&self, action: &str, result: &str) -> u64 {
        let told = self.told();
        let writes = told["writes"].as_array().expect("counts");
        let of = writes.iter().filter(|it| it["action"] == action && it["result"] == result);
        of.map(|it| it["count"].as_u64().expect("a count")).sum()
    }

    /// Waits until the report says so.
    pub fn wait_for_count(&self, action: &str, result: &str, count: u64) {
        wait_for(&format!("{count} of {action} {result}: {}", self.told()), || {
            (self.count(action, result) >= count).then_some(())
        });
    }
}

/// A running guard; dropping it ends it.
pub struct Keeper {
    child: Child,
    log: Lines,
}

/// The guard's command line, without any capability.
pub fn command(kubepods: &Kubepods<'_>, places: &Places, more: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--bounding-set", "-all", "--inh-caps", "-all"]);
    command.args(["--no-new-privs", "--"]).arg(built()).arg("guard");
    command.args(kubepods.flags(more)).args(places.flags());
    command
}

impl Keeper {
    /// Starts one, and waits until it has looked at all pods.
    pub fn start(kubepods: &Kubepods<'_>, places: &Places, more: &[&str]) -> Self {
        let mut command = command(kubepods, places, more);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a guard");
        let log = Lines::of(child.stderr.take().expect("its log"));
        let keeper = Self { child, log };
        wait_for("the guard to begin", || keeper.log.with("the guard begins").map(drop));
        wait_for("its report", || places.report().join("guard.json").exists().then_some(()));
        keeper
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.so_far().join("\n")
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("its end");
    }

    /// Tells it to end, as a rollout does.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the guard's log:\n{}", self.log());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}

/// Runs the guard's command to its end: `--undo`, `--pause`.
pub fn ask(kubepods: &Kubepods<'_>, places: &Places, more: &[&str]) -> Output {
    command(kubepods, places, more).output().expect("the guard's command")
}

/// A cgroup's limit in pages of 2 MiB; nothing where there is none.
pub fn limit(cgroup: &Cgroup) -> Option<u64> {
    number(&cgroup.read("hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes"))
}

/// The same of its reservation limit.
pub fn reservation_limit(cgroup: &Cgroup) -> Option<u64> {
    number(&cgroup.read("hugetlb.2MB.rsvd.max", "hugetlb.2MB.rsvd.limit_in_bytes"))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|bytes: &u64| *bytes < 1 << 62).map(|bytes| bytes >> 21)
}

/// Waits until a limit is that.
#[track_caller]
pub fn wait_for_limit(cgroup: &Cgroup, pages: u64) {
    wait_for(&format!("a limit of {pages} pages"), || (limit(cgroup) == Some(pages)).then_some(()));
}

/// The same of a reservation limit.
#[track_caller]
pub fn wait_for_reservation_limit(cgroup: &Cgroup, pages: Option<u64>) {
    wait_for(&format!("a reservation limit of {pages:?} pages"), || {
        (reservation_limit(cgroup) == pages).then_some(())
    });
}
