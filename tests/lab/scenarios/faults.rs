//! What goes wrong around an agent without privilege, and takes root to make it go wrong; the oracle is that of
//! tests/it/faults.rs. With `HUGETLB_LAB=long` all faults come and go at random for ten minutes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::Named;
use super::probe::limit;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence::{self, Section};
use crate::harness::faults::{LogTo, ROOTS_FAULTS, Scene, Shuffle, Stage};
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::tenant::Tenant;

pub const V2: &[Named] = &[
    ("faults::each_at_each_of_its_moments", each_at_each_of_its_moments),
    ("faults::all_of_them_at_random", all_of_them_at_random),
    ("faults::without_a_thread_it_does_not_start_and_says_so", without_a_thread),
];

const SECTION: Section = Section { title: "Faults", scenarios: "faults::" };
/// The agent's own.
const USER: u32 = 10_270;

/// A pod whose container may map more than it may touch, and the agent's own, whose probe has something to try.
struct Ground<'a> {
    container: Cgroup,
    _pod: Pod,
    own_container: Cgroup,
    _own_pod: Pod,
    kubepods: Kubepods<'a>,
}

impl<'a> Ground<'a> {
    fn new(lab: &'a Lab) -> Self {
        let kubepods = Kubepods::new(lab, Driver::Systemd);
        let pod = kubepods.pod("db-0", 8);
        let container = kubepods.container(&pod, "postgres", &id("aa"), 0);
        let own_pod = kubepods.pod_in("kubepods.slice/kubepods-burstable.slice", "exporter");
        let own_container = kubepods.container(&own_pod, "exporter", &id("e0"), 0);
        limit(&own_pod.cgroup, (Some(0), Some(0)));
        Self { container, _pod: pod, own_container, _own_pod: own_pod, kubepods }
    }

    /// The agent in its own pod, without privilege; the other's tenant comes with it.
    fn scene(&self, labels: &[(&'static str, &'static str)]) -> Scene {
        let mut tenant = Tenant::new(&self.container, "private");
        let probe = ["--probe.interval=200ms", "--probe.deadline=1s"];
        Scene {
            flags: self.kubepods.flags(&probe),
            logs: Path::new(&self.kubepods.logs("")).to_owned(),
            through: as_user_in(&self.own_container),
            find: Box::new(move |found| tenant.map(if found { 16 } else { 1 })),
            labels: labels.to_vec(),
        }
    }
}

/// In that cgroup, then without any privilege, and gone with us.
fn as_user_in(cgroup: &Cgroup) -> Vec<String> {
    let enter = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
    let procs = cgroup.path().display().to_string();
    let enter = ["sh".to_owned(), "-c".to_owned(), enter.to_owned(), procs];
    let user = format!("setpriv --reuid={USER} --regid={USER} --clear-groups --pdeathsig=KILL --");
    enter.into_iter().chain(user.split(' ').map(str::to_owned)).collect()
}

/// The pod is called by its name, whichever log directory it is that fails.
fn each_at_each_of_its_moments(lab: &Lab) {
    let ground = Ground::new(lab);
    for fault in ROOTS_FAULTS {
        fault.check(|| ground.scene(&[("pod", "db-0"), ("namespace", "lab")]));
    }
}

/// Minutes of it where there is time.
fn all_of_them_at_random(lab: &Lab) {
    let length = Duration::from_secs(if evidence::is_long() { 600 } else { 20 });
    lab.deadline.extend(length);
    let seed = std::env::var("HUGETLB_LAB_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = seed.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("a clock").as_secs().max(1)
    });
    eprintln!("HUGETLB_LAB_SEED={seed}");
    let ground = Ground::new(lab);
    let what = Shuffle::new(ground.scene(&[]), seed).run(length);
    evidence::tell(SECTION, format!("{} s, HUGETLB_LAB_SEED={seed}: {what}", length.as_secs()));
}

/// Nobody but root may have one process more.
fn without_a_thread(lab: &Lab) {
    let ground = Ground::new(lab);
    let mut stage = Stage::new(ground.scene(&[]), LogTo::Pipe);
    stage.start_through(&["prlimit", "--nproc=1:1"]);
    for command in ["serve", "report"] {
        let output = stage.command(&[command]).stderr(Stdio::piped()).output().expect("it runs");
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(text.lines().count() == 1 && text.contains("thread"), "{command}: {text}");
    }
}
