//! Faults that take root: a log directory that never answers, one that may not be read, no more threads.
//! Each befalls an agent without privilege; the oracle is that of tests/it/faults.rs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

use super::Named;
use crate::Lab;
use crate::harness::agent::{Agent, program};
use crate::harness::{project, wait_for};
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

pub const V2: &[Named] = &[
    ("faults::a_log_directory_never_answers", never_answers),
    ("faults::a_log_directory_may_not_be_read", may_not_be_read),
    ("faults::no_more_threads", no_more_threads),
];

const IN_TIME: Duration = Duration::from_secs(5);
/// The agent's own.
const USER: u32 = 10_270;

/// Something is short; the agent shows that by the container's name, and goes on.
fn check<T>(lab: &Lab, befall: impl FnOnce(&Kubepods<'_>, Option<&Agent>) -> T, before: bool) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 8);
    let container = kubepods.container(&pod, "postgres", &id("aa"), 0);
    let mut befall = Some(befall);
    let early = befall.take_if(|_| before).map(|befall| befall(&kubepods, None));
    let agent = kubepods.start(&[]).user(USER).go();
    // Mended before the directories are removed.
    let fault = early.or_else(|| befall.map(|befall| befall(&kubepods, Some(&agent))));
    agent.fresh();
    let mut tenant = Tenant::new(&container, "private");
    tenant.map(16);
    wait_for("the finding", || {
        let labels = [("finding", "will-crash"), ("pod", "db-0")];
        agent.scrape().value("hugetlb_finding", &labels)
    });
    agent.fresh();
    assert_eq!(agent.get("/-/healthy").status, 200);
    let began = Instant::now();
    let mut report = Command::new(program());
    report.arg("report").args(kubepods.flags(&[])).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut report = report.spawn().expect("it runs");
    let mut lines = BufReader::new(report.stdout.take().expect("what it says")).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("db-0")));
    assert!(line.is_some() && began.elapsed() < IN_TIME, "{line:?} after {:?}", began.elapsed());
    // The kernel lets no process end that has asked a FUSE server which is stuck.
    drop((fault, lines));
    report.wait().expect("its end");
    let log = agent.log();
    assert!(!log.iter().any(|line| line.contains("panicked") || line.contains("a bug")), "{log:?}");
    let began = Instant::now();
    assert_eq!(agent.end().code(), Some(0));
    assert!(began.elapsed() < IN_TIME, "the end took {:?}", began.elapsed());
}

fn never_answers(lab: &Lab) {
    for before in [true, false] {
        check(lab, |kubepods, _| Stuck::at(kubepods.logs("pods").into()), before);
    }
}

fn may_not_be_read(lab: &Lab) {
    for before in [true, false] {
        let close = |kubepods: &Kubepods<'_>, _: Option<&Agent>| {
            let closed = fs::Permissions::from_mode(0o700);
            fs::set_permissions(kubepods.logs("pods"), closed).expect("closed");
        };
        check(lab, close, before);
    }
}

/// Nobody but root may have more threads than are there: the agent has all that it needs.
fn no_more_threads(lab: &Lab) {
    let forbid = |_: &Kubepods<'_>, agent: Option<&Agent>| {
        // As that user, who may do so to its own.
        let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
        let pid = agent.expect("it runs").pid().to_string();
        let mut prlimit = Command::new("setpriv");
        prlimit.args([&user, &group, "--clear-groups", "prlimit", "--pid", &pid, "--nproc=1:1"]);
        assert!(prlimit.status().expect("util-linux's setpriv").success());
    };
    check(lab, forbid, false);
}

/// A file system that never finishes a listing.
struct Stuck {
    place: PathBuf,
    server: Child,
}

impl Stuck {
    fn at(place: PathBuf) -> Self {
        let script = project().join("tests/lab/hang.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(&place).stdout(Stdio::piped());
        let mut server = command.spawn().expect("Debian's python3-pyfuse3");
        let mut line = String::new();
        let said = server.stdout.take().expect("what it says");
        BufReader::new(said).read_line(&mut line).expect("read");
        assert_eq!(line, "mounted\n");
        Self { place, server }
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
