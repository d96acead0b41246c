//! The guard as a program: killed, paused, taken back, on a full disk, among strangers, and what it costs.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::keeper::{
    ask, command, limit, reservation_limit, wait_for_limit, wait_for_reservation_limit,
};
use super::{Keeper, Places, SECTION};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods};
use crate::tenant::Tenant;

const RESCUE: &str = "--guard.rescue=on";

/// Killed while it writes, again and again: the next one goes on where it was, and forgets nothing.
pub fn killed(lab: &Lab) {
    let runs = if evidence::is_long() { 100 } else { 12 };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    for run in 0..runs {
        let keeper = Keeper::start(&kubepods, &places, &[RESCUE]);
        let over = kubepods.pod(&format!("over-{run}"), 4);
        let mut tenant = Tenant::new(&over.cgroup, "shared");
        tenant.map(9);
        let pods: Vec<_> =
            (0..4).map(|number| kubepods.pod(&format!("p-{run}-{number}"), 0)).collect();
        std::thread::park_timeout(random(Duration::from_millis(25)));
        keeper.kill();
        let keeper = Keeper::start(&kubepods, &places, &[RESCUE]);
        for pod in &pods {
            wait_for_reservation_limit(&pod.cgroup, Some(0));
        }
        wait_for_limit(&over.cgroup, 9);
        tenant.touch(9);
        tenant.stop();
        std::thread::park_timeout(random(Duration::from_millis(25)));
        keeper.kill();
        let keeper = Keeper::start(&kubepods, &places, &[RESCUE]);
        wait_for_limit(&over.cgroup, 4);
        wait_for_reservation_limit(&over.cgroup, None);
        keeper.stop();
        for pod in pods.iter().chain([&over]) {
            pod.cgroup.remove();
            kubepods.remove_logs(pod);
        }
    }
    evidence::tell(
        SECTION,
        format!(
            "{}: killed at any moment, {} times: the next start forgets nothing",
            lab.phase,
            runs * 2
        ),
    );
}

fn random(most: Duration) -> Duration {
    let part = RandomState::new().hash_one(0) % 1_000;
    most * u32::try_from(part).expect("few") / 1_000
}

/// A rollout, an uninstall and rescue=off with a rescued server each kill nobody.
pub fn undone(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let keeper = Keeper::start(&kubepods, &places, &[RESCUE]);
    let (none, over) = (kubepods.pod("none", 0), kubepods.pod("over", 4));
    let mut tenant = Tenant::new(&over.cgroup, "shared");
    tenant.map(9);
    wait_for_limit(&over.cgroup, 9);
    wait_for_reservation_limit(&none.cgroup, Some(0));
    keeper.stop();
    assert_eq!((limit(&over.cgroup), reservation_limit(&none.cgroup)), (Some(9), Some(0)));
    let keeper = Keeper::start(&kubepods, &places, &["--guard.rescue=off", "--guard.refuse=off"]);
    tenant.touch(6);
    // An uninstall: its hook runs beside the guard.
    let said = ask(&kubepods, &places, &["--undo"]);
    let words = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{words}{}", String::from_utf8_lossy(&said.stderr));
    assert!(words.contains("undone: 2Mi of") && words.contains("left: 2Mi of"), "{words}");
    assert!(words.contains("a process lives by it"), "{words}");
    assert_eq!((limit(&over.cgroup), reservation_limit(&none.cgroup)), (Some(9), None));
    tenant.touch(9);
    keeper.stop();
    tenant.stop();
    let said = ask(&kubepods, &places, &["--undo"]);
    let words = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(words.contains("undone: 2Mi of") && !words.contains("left:"), "{words}");
    assert_eq!((limit(&over.cgroup), reservation_limit(&over.cgroup)), (Some(4), None));
    let words = String::from_utf8_lossy(&ask(&kubepods, &places, &["--undo"]).stdout).into_owned();
    assert_eq!(words, "nothing to undo\n");
    evidence::tell(
        SECTION,
        format!(
            "{}: a rollout, rescue=off and an uninstall kill nobody who was rescued; --undo lists what it leaves",
            lab.phase
        ),
    );
}

pub fn paused_and_dry(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let keeper = Keeper::start(&kubepods, &places, &[]);
    assert!(ask(&kubepods, &places, &["--pause"]).status.success());
    wait_for("the pause to be told", || (places.told()["paused"] == true).then_some(()));
    let pod = kubepods.pod("none", 0);
    wait_for("its word", || {
        places.told()["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .any(|it| it["reason"] == "paused")
            .then_some(())
    });
    assert_eq!(reservation_limit(&pod.cgroup), None);
    assert!(ask(&kubepods, &places, &["--resume"]).status.success());
    wait_for_reservation_limit(&pod.cgroup, Some(0));
    keeper.stop();

    let dry = Places::new();
    let (other, over) = (kubepods.pod("other", 0), kubepods.pod("over", 4));
    let system = kubepods.pod("excluded", 0);
    let flags = ["--guard.dry-run", RESCUE, "--guard.for=2s"];
    let mut tenant = Tenant::new(&over.cgroup, "shared");
    tenant.map(9);
    kubepods.remove_logs(&system);
    let output = command(&kubepods, &dry, &flags).output().expect("a dry run");
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{summary}");
    for words in [
        "lab/other: 2Mi at 0",
        "lab/over: 2Mi from 8Mi to 18Mi",
        "mappings that are too large would be refused",
    ] {
        assert!(summary.contains(words), "{words:?} is missing: {summary}");
    }
    assert_eq!(reservation_limit(&other.cgroup), None);
    assert_eq!((limit(&over.cgroup), dry.state().join("journal").exists()), (Some(4), false));
}

/// A state directory without room, a state directory full of links, and cgroups of all names.
pub fn hostile(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let none = Some("none");
    mount(none, &places.state(), Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=0700"))
        .expect("mounted");
    let full = Full(&places);
    let keeper = Keeper::start(&kubepods, &places, &[]);
    let before = kubepods.pod("before", 0);
    wait_for_reservation_limit(&before.cgroup, Some(0));
    // What is left of the room goes.
    let fill = fs::write(places.state().join("fill"), vec![0_u8; 128 * 1024]);
    assert!(fill.is_err(), "it was to be full");
    let strange: Vec<Cgroup> = strange(lab);
    let pods: Vec<_> = (0..60).map(|number| kubepods.pod(&format!("late-{number}"), 0)).collect();
    places.wait_for_count("refuse", "unrecorded", 1);
    let unwritten = pods.iter().filter(|pod| reservation_limit(&pod.cgroup).is_none()).count();
    assert!(unwritten > 0, "all were written, so none was refused its record");
    fs::remove_file(places.state().join("fill")).expect("removed");
    keeper.stop();
    let keeper = Keeper::start(&kubepods, &places, &[]);
    for pod in &pods {
        wait_for_reservation_limit(&pod.cgroup, Some(0));
    }
    for cgroup in &strange {
        assert_eq!(reservation_limit(cgroup), None, "{}", cgroup.path().display());
    }
    keeper.stop();
    drop(full);
    // Links in the places of its files are not followed.
    let target = tempfile::NamedTempFile::new().expect("a file");
    symlink(target.path(), places.state().join("journal")).expect("linked");
    let keeper = Keeper::start(&kubepods, &places, &[]);
    let after = kubepods.pod("after", 0);
    places.wait_for_count("refuse", "unrecorded", 1);
    assert_eq!(reservation_limit(&after.cgroup), None);
    assert_eq!(fs::metadata(target.path()).expect("there").len(), 0);
    keeper.stop();
    evidence::tell(
        SECTION,
        format!(
            "{}: with a full disk for its records {unwritten} of 60 writes are not made, and are once there is room; links and strange cgroups are left alone",
            lab.phase
        ),
    );
}

struct Full<'a>(&'a Places);

impl Drop for Full<'_> {
    fn drop(&mut self) {
        umount2(&self.0.state(), MntFlags::MNT_DETACH).expect("unmounted");
    }
}

/// Cgroups below kubepods that nobody knows, with the limit of a pod that was granted nothing.
fn strange(lab: &Lab) -> Vec<Cgroup> {
    let long = "x".repeat(200);
    let names = ["system", "crio-conmon-1.scope", "pod", "pod\u{1b}[2J", "po d", "..pod..", &long];
    let made = names.iter().map(|name| {
        let cgroup = Cgroup::new(lab, &format!("kubepods/burstable/x{name}"));
        cgroup.limit(0);
        cgroup
    });
    let made: Vec<_> = made.collect();
    let service = Cgroup::new(lab, "lab-service");
    service.limit(0);
    made.into_iter().chain([service]).collect()
}

/// No socket, little memory, hardly any time.
pub fn at_rest(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _pods: Vec<_> =
        (0..30).map(|number| kubepods.pod(&format!("p-{number}"), (number % 2) * 8)).collect();
    let traced = places.state().join("trace");
    let inner = command(&kubepods, &places, &[RESCUE, "--guard.for=3s"]);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "trace=%network", "-o"])
        .arg(&traced)
        .arg(inner.get_program())
        .args(inner.get_args());
    let mut strace = strace.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("strace");
    wait_for("its report", || places.report().join("guard.json").exists().then_some(()));
    let pod = kubepods.pod("late", 0);
    wait_for_reservation_limit(&pod.cgroup, Some(0));
    assert!(strace.wait().expect("its end").success());
    let calls = fs::read_to_string(&traced).expect("a trace");
    let calls: Vec<&str> = calls.lines().filter(|line| !line.contains("+++")).collect();
    assert!(calls.is_empty(), "it asks for the network: {calls:?}");

    let seconds = if evidence::is_long() { 60 } else { 10 };
    let (rest, memory) = cost(&kubepods, &["--guard.rescue=off"], seconds);
    let (polling, _) = cost(&kubepods, &[RESCUE], seconds);
    evidence::tell(
        SECTION,
        format!(
            "{}: 31 pods, {seconds} s: {:.4} % of a core at rest, {:.3} % while it looks for what to rescue every 20 ms; {memory} kB resident ({}); no call that has to do with the network",
            lab.phase,
            rest,
            polling,
            if cfg!(debug_assertions) { "a debug build" } else { "a release build" }
        ),
    );
    // The clock of a process's time ticks every 10 ms.
    assert!(rest <= 0.02 + 1.0 / f64::from(seconds), "{rest} %");
    if !cfg!(debug_assertions) {
        assert!(memory < 6_000, "{memory} kB");
    }
}

/// The share of a core in per cent, and what is resident, in kB.
fn cost(kubepods: &Kubepods<'_>, flags: &[&str], seconds: u32) -> (f64, u64) {
    let places = Places::new();
    let keeper = Keeper::start(kubepods, &places, flags);
    std::thread::park_timeout(Duration::from_secs(1));
    let before = schedstat(&keeper);
    std::thread::park_timeout(Duration::from_secs(seconds.into()));
    let spent = schedstat(&keeper) - before;
    let status = fs::read_to_string(format!("/proc/{}/status", keeper.pid())).expect("its status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let resident = resident.trim().trim_end_matches("kB").trim().parse().expect("kB");
    (spent as f64 / 1e9 / f64::from(seconds) * 100.0, resident)
}

/// The nanoseconds that all its threads have run.
fn schedstat(keeper: &Keeper) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", keeper.pid())).expect("its threads");
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).expect("a thread's time");
        text.split(' ').next().expect("a number").parse::<u64>().expect("nanoseconds")
    };
    tasks.map(|task| of(task.expect("a thread"))).sum()
}
