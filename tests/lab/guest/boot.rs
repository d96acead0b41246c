//! Boots a guest, and reads what came of its scenarios.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hugetlb_exporter::host::tied;

use super::initramfs::Initramfs;
use super::kernel;
use super::line::{Line, TASK, Task};
use super::{EVIDENCE, Guest, init};
use crate::evidence;
use crate::harness::agent;
use crate::machine::on_path;

/// Programs of this machine that a guest has too, each in /bin: what starts tenants and agents, and busybox for the rest.
const PROGRAMS: [&str; 3] = ["sh", "setpriv", "busybox"];

/// A guest that says nothing for so long is stuck: longer than it takes to boot, and than a scenario may take.
const SILENCE: Duration = init::PATIENCE.saturating_add(Duration::from_secs(60));

/// So much of a console is shown.
const SHOWN: usize = 60;

/// What keeps a guest from being booted here.
pub fn missing(guest: &Guest) -> Option<String> {
    let programs = ["qemu-system-x86_64", "strip"].into_iter().chain(PROGRAMS);
    let program = programs.into_iter().find(|program| !on_path(program)).map(str::to_owned);
    let kernel = kernel::of(guest.suite);
    program.or_else(|| {
        (!kernel.exists()).then(|| format!("{}: .ci/guests {}", kernel.display(), guest.suite))
    })
}

/// What came of the scenarios that were run: of each its failure, if it has one.
pub type Outcomes = Vec<(String, Option<String>)>;

/// Boots it, and runs these scenarios in it.
pub fn run(guest: &Guest, scenarios: &[String]) -> Outcomes {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests").join(guest.name);
    fs::create_dir_all(&directory).expect("a directory for the guest");
    fs::write(directory.join("initramfs"), initramfs(guest, scenarios)).expect("an initramfs");
    let mut running = Running(start(guest, &directory));
    let port = BufReader::new(running.0.stdout.take().expect("its second serial port"));
    let (said, heard) = mpsc::channel();
    thread::spawn(move || port.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    let began = Instant::now();
    let mut lines = Vec::new();
    let end = loop {
        match heard.recv_timeout(SILENCE) {
            Ok(text) => lines.extend(Line::parse(&text)),
            Err(RecvTimeoutError::Disconnected) => break "the guest ended before it".to_owned(),
            Err(RecvTimeoutError::Timeout) => {
                break format!("the guest has said nothing for {} s", SILENCE.as_secs());
            }
        }
    };
    drop(running);
    note(guest, &lines, began.elapsed());
    let [complaints, console] = ["qemu", "console"].map(|name| last_of(&directory.join(name)));
    let cut = || format!("{end}: {complaints}\n{console}");
    scenarios.iter().map(|name| (name.clone(), outcome(name, &lines, cut))).collect()
}

/// A guest; dropping it ends it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(guest: &Guest, directory: &Path) -> Child {
    let mut qemu = tied("qemu-system-x86_64");
    // Without KVM, which not every machine has that is a guest itself.
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35"]);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    qemu.arg("-kernel").arg(kernel::of(guest.suite));
    qemu.arg("-initrd").arg(directory.join("initramfs"));
    qemu.arg("-append").arg(format!(
        "console=ttyS0 panic=-1 nokaslr mitigations=off rdinit=/init{}",
        guest.shape.words()
    ));
    let console = format!("file:{}", directory.join("console").display());
    qemu.args(["-serial", &console, "-serial", "stdio"]);
    qemu.args(guest.shape.flags());
    let complaints = File::create(directory.join("qemu")).expect("a file for its complaints");
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints);
    qemu.spawn().expect("qemu starts")
}

fn initramfs(guest: &Guest, scenarios: &[String]) -> Vec<u8> {
    let mut initramfs = Initramfs::default();
    let this = std::env::current_exe().expect("this program");
    initramfs.program(Path::new("/init"), &this);
    // Where cargo says that it is: the tenants are started from there.
    let agent = env!("CARGO_BIN_EXE_hugetlb-exporter");
    initramfs.program(Path::new(agent), &agent::program());
    for name in PROGRAMS {
        initramfs.program(&Path::new("/bin").join(name), &found(name));
    }
    let task = Task {
        scenarios: scenarios.to_vec(),
        cgroup_options: guest.shape.accounting.then(|| "memory_hugetlb_accounting".to_owned()),
        agent: agent.to_owned(),
        is_long: evidence::is_long(),
    };
    initramfs.text(TASK, &serde_json::to_string(&task).expect("a task as JSON"));
    initramfs.archive()
}

/// Where a program is.
fn found(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&paths).map(|directory| directory.join(program));
    paths.find(|path| path.exists()).unwrap_or_else(|| panic!("{program} is not installed"))
}

/// Keeps what is evidence.
fn note(guest: &Guest, lines: &[Line], took: Duration) {
    let release = lines.iter().find_map(|line| match line {
        Line::Up { release } => Some(release.as_str()),
        _ => None,
    });
    let who = format!("{}, Linux {}", guest.name, release.unwrap_or("that did not come up"));
    let count = |failed: bool| {
        lines
            .iter()
            .filter(
                |line| matches!(line, Line::Over { failure, .. } if failure.is_some() == failed),
            )
            .count()
    };
    let (passed, failed) = (count(false), count(true));
    let seconds = took.as_secs();
    evidence::tell(
        EVIDENCE,
        format!("{who}: {passed} scenarios passed, {failed} failed, in {seconds} s"),
    );
    for line in lines {
        if let Line::Evidence { line } = line {
            evidence::tell(EVIDENCE, format!("{who}: {line}"));
        }
    }
}

/// What came of a scenario.
fn outcome(name: &str, lines: &[Line], cut: impl Fn() -> String) -> Option<String> {
    let over = lines.iter().find_map(|line| match line {
        Line::Over { scenario, failure } if scenario == name => Some(failure.clone()),
        _ => None,
    });
    over.unwrap_or_else(|| Some(cut()))
}

/// The last lines of a file.
fn last_of(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.iter().skip(lines.len().saturating_sub(SHOWN)).map(|line| format!("{line}\n")).collect()
}
