//! A node on which everything comes and goes, for minutes or hours: nothing of the agent's grows, and nothing it shows
//! becomes wrong.
//!
//! Two minutes; half an hour with `HUGETLB_LAB=long`; as long as `HUGETLB_LAB_SOAK` says (`5m`, `8h`), but no less than two
//! minutes: incidents and what is remembered of those that are gone fills up in the first 40 s (from 2 MB of its own to 10), and then
//! no more. At the end of each round all that came has gone, and what the agent takes then is compared.

mod footprint;
mod life;
mod scrapers;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Named;
use super::figures::{Files, compare_pools, compare_sums};
use super::probe::limit;
use crate::Lab;
use crate::evidence::{self, Section};
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::machine::Phase;
use footprint::Footprint;
use life::Life;
use scrapers::Scrapers;

pub const V2: &[Named] = &[("soak::nothing_grows", nothing_grows)];

/// Where there is time for both versions.
pub const V1: &[Named] = &[("soak::nothing_grows", nothing_grows)];

const SECTION: Section = Section { title: "The soak", scenarios: "soak::" };
/// As in the DaemonSet.
const USER: u32 = 10_270;
const MINUTE: Duration = Duration::from_secs(60);
const MOST_GROWTH: u64 = 2_000_000;

fn length(lab: &Lab) -> Duration {
    let usual = if evidence::is_long() && lab.phase == Phase::V2 { 30 } else { 2 };
    match std::env::var("HUGETLB_LAB_SOAK") {
        Ok(wish) => humantime::parse_duration(&wish)
            .expect("HUGETLB_LAB_SOAK: a time like 5m")
            .max(2 * MINUTE),
        Err(_) => MINUTE * usual,
    }
}

fn nothing_grows(lab: &Lab) {
    let length = length(lab);
    lab.deadline.extend(length);
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod_in("kubepods.slice/kubepods-burstable.slice", "exporter");
    let container = kubepods.container(&pod, "exporter", &id("e0"), 0);
    limit(&pod.cgroup, (Some(0), Some(0)));
    let mut life = Life::new(&kubepods);
    let flags = ["--collector.idle", "--probe.interval=200ms"];
    let agent = kubepods.start(&flags).user(USER).in_cgroup(container.path());
    // As in the image.
    let agent = agent.with_variable("MALLOC_ARENA_MAX", "1").go();
    agent.fresh();
    life.rest();
    let started = Footprint::at_rest(&agent);
    let rounds = (length.as_secs() / MINUTE.as_secs()).clamp(2, 10_000);
    let mut at_rest = Vec::new();
    let mut answers = 0;
    let began = Instant::now();
    for round in 1..=u32::try_from(rounds).expect("few") {
        let scrapers = Scrapers::of(agent.address());
        life.go_on(began + length / u32::try_from(rounds).expect("few") * round);
        answers += scrapers.stop();
        life.rest();
        let footprint = Footprint::at_rest(&agent);
        eprintln!("{} s: {footprint}", began.elapsed().as_secs());
        at_rest.push(footprint);
    }
    let lived = began.elapsed();
    life.tell(SECTION, lab, lived);
    let scrape = agent.fresh();
    tell_answers(lab, &scrape, answers);
    // The first minute makes room for what is remembered of the dead.
    let settled = if at_rest.len() > 2 { 1 } else { 0 };
    compare_footprints(lab, &started, &at_rest[settled..]);
    wait_for("threads to end that were made for a crowd", || {
        (Footprint::now(&agent).threads <= started.threads).then_some(())
    });
    compare_figures(&life, &pod, &agent);
    let rate = f64::from(life.made()) / lived.as_secs_f64();
    assert!(rate > f64::from(life::RATE) / 2.0, "{rate} a second: the machine was too busy");
}

fn tell_answers(lab: &Lab, scrape: &Exposition, answers: u64) {
    let sum = |labels: &[(&str, &str)]| -> f64 {
        scrape.with("hugetlb_probe_runs_total", labels).map(|sample| sample.value).sum()
    };
    let value = |name: &str| scrape.value(name, &[]).expect(name);
    evidence::tell(
        SECTION,
        format!(
            "{}: {answers} answers (text, gzip, the page, JSON), {} probes, {} polls of which {} were woken; {:.1} s of CPU",
            lab.phase,
            sum(&[]),
            value("hugetlb_exporter_polls_total"),
            value("hugetlb_exporter_woken_polls_total"),
            value("process_cpu_seconds_total"),
        ),
    );
    assert_eq!(sum(&[("verdict", "inconclusive")]), 0.0);
    assert_eq!(sum(&[("verdict", "not_enforced")]), 0.0);
}

/// What is taken at the end is what was taken at the start, and memory has not grown since it had settled.
fn compare_footprints(lab: &Lab, started: &Footprint, since: &[Footprint]) {
    let (settled, last) = (&since[0], &since[since.len() - 1]);
    let most = since.iter().map(|footprint| footprint.resident).max().expect("some");
    evidence::tell(
        SECTION,
        format!(
            "{}: at the start {started}; once settled {settled}; at the end {last}; never more than {:.2} MB at rest",
            lab.phase,
            footprint::megabytes(most),
        ),
    );
    assert!(last.descriptors <= started.descriptors, "descriptors: {started}, then {last}");
    assert!(last.watches <= started.watches, "watches: {started}, then {last}");
    assert_eq!(last.children, 0, "{last}");
    let growth = last.resident.saturating_sub(settled.resident);
    assert!(growth < MOST_GROWTH, "resident memory grew: {settled}, then {last}");
}

/// Whoever is there is shown, by name and as the kernel has it; of those that are gone nothing is said to be in use.
fn compare_figures(life: &Life<'_>, own: &Pod, agent: &Agent) {
    let scrape = agent.fresh();
    let shown: BTreeSet<&str> = scrape
        .with("hugetlb_pod_usage_bytes", &[])
        .filter_map(|sample| Some(sample.labels.get("uid")?.as_str()))
        .collect();
    let mut there = BTreeSet::from([own.uid.as_str()]);
    for (pod, containers) in life.stayers() {
        there.insert(&pod.uid);
        for (size, label) in [("2MB", "2Mi"), ("1GB", "1Gi")] {
            let (uid, size_label) = (("uid", pod.uid.as_str()), ("pagesize", label));
            let of_pod = [uid, ("pod", &pod.name), ("namespace", "lab"), size_label];
            Files::of(&pod.cgroup, size).compare(&scrape, "pod", &of_pod);
            for (name, cgroup) in &containers {
                let of_container = [uid, ("container", name), ("namespace", "lab"), size_label];
                Files::of(cgroup, size).compare(&scrape, "container", &of_container);
            }
        }
    }
    assert_eq!(shown, there);
    compare_pools(&scrape);
    compare_sums(&scrape);
    let down: Vec<_> =
        agent.log().into_iter().filter(|line| line.contains("source is down")).collect();
    assert!(down.is_empty(), "{down:?}");
}
