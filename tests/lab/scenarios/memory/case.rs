//! One case of the truth table: a pod of one container that maps eight pages and has touched one.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hugetlb_exporter::{Looking, Roots, look, report};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::mounts::mount_at;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

const MI: u64 = 1 << 20;
const PAGE: u64 = 2 * MI;
/// Mapped.
const PAGES: u64 = 8;
/// Of these so many are touched before it is judged.
const TOUCHED: u64 = 1;
/// What a limit of huge pages that is too small allows.
const SHORT_PAGES: u64 = 5;
/// So much other memory.
const OTHER: u64 = 8;
/// Room for the kernel's own need to map the rest: page tables and what it charges in advance.
const SLACK: u64 = MI;
/// Eight pages are cleared in less, also without KVM.
const DEADLINE: Duration = Duration::from_secs(3);

/// How much memory there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// 32 MiB more than needed.
    Ample,
    /// What is needed, and 1 MiB.
    Exact,
    /// One huge page less.
    OneShort,
    /// Room for two of the seven pages that are to come.
    FarShort,
}

/// Whose limit of memory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Container,
    Pod,
}

/// What else is charged, 8 MiB of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    None,
    /// Of another process of the container.
    Anon,
    /// A file.
    Tmpfs,
}

/// What may be touched of huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HugeLimit {
    /// All.
    Ample,
    /// Five of eight pages.
    Short,
}

/// What became of it, or what was said to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finishes,
    Hangs,
    Sigbus,
}

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub memory: MemoryLimit,
    pub level: Level,
    pub other: Other,
    pub huge: HugeLimit,
}

impl MemoryLimit {
    pub const ALL: [Self; 4] = [Self::Ample, Self::Exact, Self::OneShort, Self::FarShort];

    /// The limit where so much is charged and stays.
    fn bytes(self, charged: u64) -> u64 {
        let needed = charged + (PAGES - TOUCHED) * PAGE + SLACK;
        match self {
            Self::Ample => needed + 32 * MI,
            Self::Exact => needed,
            Self::OneShort => needed - PAGE,
            Self::FarShort => charged + 2 * PAGE + SLACK,
        }
    }
}

impl Other {
    pub const ALL: [Self; 3] = [Self::None, Self::Anon, Self::Tmpfs];
}

impl HugeLimit {
    pub const ALL: [Self; 2] = [Self::Ample, Self::Short];
}

impl Case {
    /// What was said of it, and what became of it.
    pub fn run(&self, lab: &Lab) -> (Outcome, Outcome) {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let pod = kubepods.pod("db-0", 4 * PAGES);
        let container = kubepods.container(&pod, "postgres", &id("db"), 0);
        container.limit(match self.huge {
            HugeLimit::Ample => 2 * PAGES,
            HugeLimit::Short => SHORT_PAGES,
        });
        let mut tenant = Tenant::new(&container, "shared");
        tenant.map(PAGES);
        tenant.touch(TOUCHED);
        let other = Held::new(self.other, &container);
        let limited = match self.level {
            Level::Container => &container,
            Level::Pod => &pod.cgroup,
        };
        let limit = self.memory.bytes(charged(limited));
        fs::write(limited.path().join("memory.max"), limit.to_string()).expect("a limit of memory");
        let judged = judge(&kubepods);
        let outcome = touch_to_the_end(tenant, limited);
        drop(other);
        container.kill_all();
        (judged, outcome)
    }
}

/// What is charged to a cgroup and can't be reclaimed, whether huge pages count or not: files in the page cache aside.
fn charged(cgroup: &Cgroup) -> u64 {
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    let stat = cgroup.read("memory.stat", "memory.stat");
    let of = |key: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        number(line.expect("a key of memory.stat"))
    };
    let reclaimable = of("inactive_file") + of("active_file") + of("slab_reclaimable");
    number(&cgroup.read("memory.current", "memory.current")).saturating_sub(reclaimable)
}

/// What the findings say of the container or its pod.
fn judge(kubepods: &Kubepods<'_>) -> Outcome {
    let roots = Roots {
        proc: "/proc".into(),
        sys: "/sys".into(),
        cgroup: None,
        pod_logs: kubepods.logs("pods").into(),
        container_logs: kubepods.logs("containers").into(),
    };
    let said: Value =
        serde_json::from_str(&report::json(&look(Looking::at(roots)))).expect("the report");
    let found = said["findings"].as_array().expect("findings").iter();
    let found: Vec<&str> = found.filter_map(|it| it["finding"].as_str()).collect();
    match (found.contains(&"memory-short"), found.contains(&"will-crash")) {
        (true, _) => Outcome::Hangs,
        (false, true) => Outcome::Sigbus,
        (false, false) => Outcome::Finishes,
    }
}

/// Touches all that is mapped; who does not come back, and met the limit of memory meanwhile, hangs, and is ended.
pub fn touch_to_the_end(mut tenant: Tenant, limited: &Cgroup) -> Outcome {
    let met = || {
        let events = limited.read("memory.events", "memory.events");
        let max = events.lines().find_map(|line| line.strip_prefix("max "));
        max.expect("max").parse::<u64>().expect("a number")
    };
    let (before, pid) = (met(), tenant.pid());
    let (send, answer) = mpsc::channel();
    let touching = thread::spawn(move || {
        // Nobody waits any more for who was ended.
        let _ = send.send(tenant.tell(&format!("touch {PAGES}")));
        tenant
    });
    let outcome = match answer.recv_timeout(DEADLINE) {
        Ok(Some(_)) => Outcome::Finishes,
        Ok(None) => Outcome::Sigbus,
        Err(_) => {
            let meets = met() - before;
            kill(Pid::from_raw(pid.try_into().expect("a pid")), Signal::SIGKILL).expect("ended");
            assert!(meets > 100, "it did not come back, and met its limit {meets} times");
            Outcome::Hangs
        }
    };
    drop(touching.join().expect("the tenant"));
    outcome
}

/// Other memory of the container's.
struct Held {
    process: Option<Child>,
    directory: Option<tempfile::TempDir>,
}

impl Held {
    fn new(other: Other, container: &Cgroup) -> Self {
        let mut held = Self { process: None, directory: None };
        let before = charged(container);
        match other {
            Other::None => {}
            // It is stopped once it has its buffer.
            Other::Anon => {
                let words = ["if=/dev/zero", "of=/dev/null", &format!("bs={OTHER}M")];
                held.process = Some(inside(container, "dd", &words));
                // Less, since what is charged in advance comes and goes.
                wait_for("anonymous memory", || {
                    (charged(container) >= before + (OTHER - 1) * MI).then_some(())
                });
                let pid = held.process.as_ref().expect("started").id();
                let pid = Pid::from_raw(pid.try_into().expect("a pid"));
                kill(pid, Signal::SIGSTOP).expect("stopped");
            }
            Other::Tmpfs => {
                let directory = tempfile::tempdir().expect("a directory");
                mount_at(directory.path(), "tmpfs", None).expect("a tmpfs");
                let file = format!("of={}", directory.path().join("file").display());
                let words = ["if=/dev/zero", &file, "bs=1M", &format!("count={OTHER}")];
                let written = inside(container, "dd", &words).wait().expect("written");
                assert!(written.success(), "{written}");
                held.directory = Some(directory);
            }
        }
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(directory) = &self.directory {
            let _ = umount2(directory.path(), MntFlags::MNT_DETACH);
        }
    }
}

/// Starts a program of busybox's in a cgroup.
fn inside(container: &Cgroup, program: &str, words: &[&str]) -> Child {
    let procs = Path::join(container.path(), "cgroup.procs");
    let enter = format!("echo $$ > {} && exec busybox \"$@\"", procs.display());
    let mut command = Command::new("sh");
    command.args(["-c", &enter, "sh", program]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}
