//! What probing costs others, and what it leaves behind: nothing.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Named;
use super::probe::{children, exporter, has_word, verdict};
use crate::Lab;
use crate::evidence::{self, Section};
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::machine::POOL_PAGES;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("probe::takes_no_page_that_was_promised", takes_no_page_that_was_promised),
    ("probe::leaves_nothing_behind", leaves_nothing_behind),
    ("probe::a_child_that_is_stopped_keeps_nobody", a_child_that_is_stopped_keeps_nobody),
    ("probe::a_scratch_cgroup_proves_the_exact_limit", scratch),
    ("probe::a_killed_exporters_scratch_cgroup_is_removed", killed),
];

const SECTION: Section = Section { title: "The touch-probe", scenarios: "probe::" };
const ZERO: (Option<u64>, Option<u64>) = (Some(0), None);
const NO: (Option<u64>, Option<u64>) = (None, None);

/// How often the probe has tried something, by what it showed.
fn runs(scrape: &Exposition, labels: &[(&str, &str)]) -> f64 {
    scrape.with("hugetlb_probe_runs_total", labels).map(|sample| sample.value).sum()
}

/// Two pods that map all they were granted and give it back, over and over, while a probe waits in the middle of
/// each check. They are never refused, though nothing but the spare pages is left.
fn takes_no_page_that_was_promised(lab: &Lab) {
    // So many pages were promised to nobody, and what a probe that nothing limits makes of it.
    for (limits, spare, verdict_on_fault) in
        [(ZERO, 0, "enforced"), (NO, 2, "not_enforced"), (NO, 0, "inconclusive")]
    {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let grants = [200, POOL_PAGES - 200 - spare];
        let pods = ["t-0", "t-1"].map(|name| kubepods.pod_in("kubepods/burstable", name));
        // Dropped after their tenants.
        let mut containers = Vec::new();
        let mut tenants: Vec<(Tenant, u64)> = Vec::new();
        for ((pod, grant), digit) in pods.iter().zip(grants).zip(["a", "b"]) {
            pod.cgroup.limit(grant);
            let container = kubepods.container(pod, "c", &id(digit), 0);
            tenants.push((Tenant::new(&container, "private"), grant));
            containers.push(container);
        }
        let (_pod, _container, agent) =
            exporter(&kubepods, "exporter", [NO, limits], &["--probe.pause=100ms"]);
        let labels = [("check", "fault"), ("verdict", verdict_on_fault), ("pagesize", "2Mi")];
        let mut step: u64 = 1;
        while runs(&agent.scrape(), &labels) < 12.0 {
            for (tenant, grant) in &mut tenants {
                // A sequence without a pattern that the probe's could fall in step with.
                step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pages = (step >> 33) % *grant + 1;
                let said = tenant.tell(&format!("map {pages}"));
                assert_eq!(said.as_deref(), Some("mapped"), "{pages} of {grant}, {limits:?}");
                assert!(tenant.survives_touching(pages.min(3)), "{limits:?}");
            }
            // With all of the grants mapped only the spare pages are left.
            for (tenant, grant) in &mut tenants {
                let said = tenant.tell(&format!("map {grant}"));
                assert_eq!(said.as_deref(), Some("mapped"), "all {grant}, {limits:?}");
            }
        }
        let other = runs(&agent.scrape(), &[("check", "fault"), ("pagesize", "2Mi")]);
        let expected = runs(&agent.scrape(), &labels);
        let limited = if limits == NO { "without a limit" } else { "with a limit of 0" };
        evidence::tell(
            SECTION,
            format!(
                "{}: {limited}, {spare} pages to spare, two pods that map all they were granted: {expected} of {other} touches {verdict_on_fault}; no pod was refused",
                lab.phase
            ),
        );
    }
}

/// 500 checks; 10,000 with HUGETLB_LAB=long.
fn leaves_nothing_behind(lab: &Lab) {
    let checks = if evidence::is_long() { 10_000.0 } else { 500.0 };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let (_pod, container, agent) = exporter(&kubepods, "exporter", [NO, ZERO], &[]);
    let settled = agent.after("hugetlb_exporter_polls_total", 5.0);
    let descriptors = |scrape: &Exposition| scrape.value("process_open_fds", &[]);
    let threads = |scrape: &Exposition| scrape.value("process_threads", &[]);
    let (before, begun) = (children_cpu(agent.pid()), runs(&settled, &[]));
    let mut asked = 0;
    while runs(&agent.scrape(), &[]) < checks {
        asked += 1;
        assert!(asked < 20_000, "it does not get on");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let cpu = children_cpu(agent.pid()) - before;
    let scrape = agent.fresh();
    let tried = runs(&scrape, &[]) - begun;
    let each = 1_000.0 * cpu / tried;
    evidence::tell(
        SECTION,
        format!(
            "{}: {tried} checks, {each:.2} ms of CPU each in the processes that try; nothing left",
            lab.phase
        ),
    );
    assert_eq!(runs(&scrape, &[("verdict", "inconclusive")]), 0.0);
    // A child may be on its way, with its two pipes.
    wait_for("the last child to end", || children(agent.pid()).is_empty().then_some(()));
    let settle = || {
        let now = agent.scrape();
        (descriptors(&now) <= descriptors(&settled) && threads(&now) <= threads(&settled))
            .then_some(())
    };
    wait_for("descriptors and threads to be as they were", settle);
    let usage = container.read("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes");
    assert_eq!(usage, "0");
}

/// Processor time of the children that a process has reaped, in seconds.
fn children_cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
    let fields: Vec<&str> =
        stat.rsplit_once(") ").expect("a name").1.split_ascii_whitespace().collect();
    // cutime and cstime, the 16th and 17th; `fields` begins with the third.
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("a number");
    (ticks(16) + ticks(17)) / 100.0
}

fn a_child_that_is_stopped_keeps_nobody(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let more = ["--probe.pause=300ms", "--probe.deadline=1s"];
    let (_pod, _container, agent) = exporter(&kubepods, "exporter", [NO, ZERO], &more);
    let late = [("verdict", "inconclusive")];
    let polls = |scrape: &Exposition| scrape.value("hugetlb_exporter_polls_total", &[]);
    let before = polls(&agent.scrape());
    let mut stopped = Vec::new();
    wait_for("one to be given up", || {
        // One that has answered already is not late, so all are stopped; but none before it is executed, since until
        // then the thread that starts it is stopped with it.
        let all = children(agent.pid()).into_iter().map(|(pid, _)| pid);
        for pid in all.filter(|pid| has_word(*pid, "touch-child")) {
            let _ = kill(Pid::from_raw(pid.try_into().expect("a pid")), Signal::SIGSTOP);
            stopped.push(pid);
        }
        (runs(&agent.scrape(), &late) > 0.0).then_some(())
    });
    // The log is written by a thread of its own.
    wait_for("that to be logged", || {
        agent.log().iter().any(|line| line.contains("did not answer in time")).then_some(())
    });
    assert!(polls(&agent.scrape()) > before, "polling went on");
    wait_for("them to be gone, and no zombie", || {
        let left = children(agent.pid());
        (!left.iter().any(|(pid, state)| stopped.contains(pid) || *state == 'Z')).then_some(())
    });
    wait_for("the next probe to tell", || {
        (verdict(&agent, "2Mi", "fault") == "enforced").then_some(())
    });
}

/// The scratch cgroups that are there.
pub fn scratch_cgroups(lab: &Lab) -> Vec<PathBuf> {
    let entries = fs::read_dir(&lab.root).expect("the root").flatten();
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("hugetlb-exporter-scratch-"))
    };
    entries.map(|entry| entry.path()).filter(ours).collect()
}

fn scratch(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let flags = ["--probe.target=scratch", "--probe.interval=100ms", "--probe.scratch-pages=3"];
    let agent = kubepods.agent(&flags);
    assert_eq!(verdict(&agent, "2Mi", "fault"), "enforced");
    assert_eq!(verdict(&agent, "2Mi", "reserve"), "enforced, by the reservation limit");
    let gigantic =
        "not applicable: gigantic pages are left alone unless --probe.scratch-gigantic is set";
    assert_eq!(verdict(&agent, "1Gi", "fault"), gigantic);
    wait_for("some more", || {
        (runs(&agent.scrape(), &[("verdict", "enforced")]) > 9.0).then_some(())
    });
    agent.end();
    assert_eq!(scratch_cgroups(lab), Vec::<PathBuf>::new());
    // One page fewer than it wants to be left, and it does not try.
    let ballast = crate::cgroup::Cgroup::new(lab, "lab-ballast");
    let mut sunk = Tenant::new(&ballast, "private");
    sunk.map(POOL_PAGES - 10);
    let agent = kubepods.agent(&flags);
    let tight = "inconclusive: not tried, since it might take a page that somebody was promised";
    assert_eq!(verdict(&agent, "2Mi", "fault"), tight);
    sunk.map(POOL_PAGES - 11);
    wait_for("it to try", || (verdict(&agent, "2Mi", "fault") == "enforced").then_some(()));
}

/// Killed at any moment of a probe, it leaves what the next one removes.
fn killed(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let flags = ["--probe.target=scratch", "--probe.interval=100ms"];
    let paused = [&flags[..], &["--probe.pause=100ms"]].concat();
    let mut left = 0;
    for round in 0..12_u64 {
        let agent = kubepods.agent(&paused);
        wait_for("a scratch cgroup", || (!scratch_cgroups(lab).is_empty()).then_some(()));
        std::thread::park_timeout(std::time::Duration::from_millis(round * 17));
        agent.signal(Signal::SIGKILL);
        drop(agent);
        left += scratch_cgroups(lab).len();
    }
    assert!(left > 0, "no moment was one at which something is left");
    let agent: Agent = kubepods.agent(&flags);
    assert_eq!(verdict(&agent, "2Mi", "fault"), "enforced");
    let others = |own: &Path| {
        let own = own.to_owned();
        scratch_cgroups(lab).into_iter().filter(move |path| *path != own).count()
    };
    let own = lab.root.join(format!("hugetlb-exporter-scratch-{}", agent.pid()));
    assert_eq!(others(&own), 0, "{:?}", scratch_cgroups(lab));
    agent.end();
    assert_eq!(scratch_cgroups(lab), Vec::<PathBuf>::new());
}
