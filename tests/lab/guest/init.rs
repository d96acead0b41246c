//! Inside a guest: process 1, and the process that runs one scenario.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hugetlb_exporter::host::cgroups;
use nix::sys::signal::{Signal, kill};
use nix::sys::utsname::uname;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::line::{Line, TASK, Task};
use crate::Lab;
use crate::deadline::Deadline;
use crate::harness::mounts::mount_at;
use crate::machine::{self, Phase};

/// No scenario takes longer.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What cgroups in a guest have beside hugetlb.
pub const CONTROLLERS: &str = "+hugetlb +memory +cpuset +pids";

const CGROUP: &str = "/sys/fs/cgroup";

/// Names the scenario that a process is to run.
const MARK: &str = "HUGETLB_LAB_GUEST_SCENARIO";

/// So many last lines of what a failed scenario said are told.
const TOLD: usize = 40;

/// Whether this process is in a guest.
pub fn is_inside() -> bool {
    std::env::var_os(MARK).is_some() || std::process::id() == 1 && Path::new(TASK).exists()
}

/// What this process does there.
pub fn run() -> ExitCode {
    if let Ok(name) = std::env::var(MARK) {
        run_scenario(&name);
        return ExitCode::SUCCESS;
    }
    // Process 1 must not end: that is a panic of the kernel's.
    if let Err(error) = run_all() {
        eprintln!("the guest: {error}");
    }
    let power_off = Command::new("/bin/busybox").args(["poweroff", "-f"]).status();
    eprintln!("poweroff: {power_off:?}");
    ExitCode::FAILURE
}

fn run_all() -> io::Result<()> {
    let task = Task::read()?;
    set_up(&task)?;
    Line::Up { release: uname()?.release().display().to_string() }.send()?;
    for scenario in task.scenarios.clone() {
        Line::Begun { scenario: scenario.clone() }.send()?;
        let began = Instant::now();
        let failure = watch(&scenario, &task)?;
        eprintln!("{scenario} took {:.1} s", began.elapsed().as_secs_f64());
        Line::Over { scenario, failure }.send()?;
        clean_up();
    }
    Ok(())
}

fn set_up(task: &Task) -> io::Result<()> {
    for directory in ["/run", "/tmp"] {
        fs::create_dir_all(directory)?;
    }
    let mounts = [
        ("/proc", "proc", None),
        ("/sys", "sysfs", None),
        ("/dev", "devtmpfs", None),
        (CGROUP, "cgroup2", task.cgroup_options.as_deref()),
    ];
    for (target, kind, options) in mounts {
        fs::create_dir_all(target)?;
        mount_at(Path::new(target), kind, options)
            .map_err(|error| io::Error::other(format!("{target}: {error}")))?;
    }
    fs::write(Path::new(CGROUP).join("cgroup.subtree_control"), CONTROLLERS)?;
    let loopback = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status()?;
    if loopback.success() { Ok(()) } else { Err(io::Error::other("loopback is not up")) }
}

/// Runs a scenario in a process of its own, and returns what is wrong, if anything is.
fn watch(name: &str, task: &Task) -> io::Result<Option<String>> {
    let mut child = Command::new("/proc/self/exe")
        .env(MARK, name)
        .env("PATH", "/bin")
        .env("HUGETLB_LAB", if task.is_long { "long" } else { "require" })
        .env("HUGETLB_EXPORTER_BINARY", &task.agent)
        .env("CARGO_BIN_EXE_hugetlb-exporter", &task.agent)
        .stderr(Stdio::piped())
        .spawn()?;
    let said = said_by(&mut child);
    let began = Instant::now();
    let pid = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
    let end = loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive if began.elapsed() > PATIENCE => {
                break format!("it took longer than {} s", PATIENCE.as_secs());
            }
            WaitStatus::StillAlive => thread::park_timeout(Duration::from_millis(20)),
            WaitStatus::Exited(ended, 0) if ended == pid => return Ok(None),
            status if status.pid() == Some(pid) => break format!("{status:?}"),
            // An orphan's end.
            _ => {}
        }
    };
    // The last lines may be under way.
    thread::park_timeout(Duration::from_millis(200));
    let said = said.lock().map(|said| said.clone()).unwrap_or_default();
    let told = said.get(said.len().saturating_sub(TOLD)..).unwrap_or_default();
    Ok(Some(format!("{end}; it said:\n{}", told.join("\n"))))
}

/// What a process says, as it goes to the console.
fn said_by(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let (pipe, kept) = (child.stderr.take(), Arc::clone(&said));
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
            let Ok(line) = line else { break };
            eprintln!("{line}");
            if let Ok(mut said) = kept.lock() {
                said.push(line);
            }
        }
    });
    said
}

/// Ends whatever a scenario has left, so that the next finds the guest as it was.
fn clean_up() {
    // All but process 1.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    if let Err(error) = cgroups::remove_left(Path::new(CGROUP)) {
        eprintln!("{error:#}");
    }
}

/// One scenario; it panics where something is wrong.
fn run_scenario(name: &str) {
    let (_, run) = super::scenario(name).expect("a scenario of a guest's");
    let lab = Lab {
        phase: Phase::V2,
        root: CGROUP.into(),
        controllers: CONTROLLERS,
        deadline: Deadline::unwatched(),
    };
    run(&lab);
    machine::is_clean().expect("all pages given back");
    for line in crate::evidence::lines() {
        Line::Evidence { line }.send().expect("told to the host");
    }
}
