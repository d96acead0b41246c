//! What refusals and limits of a node of today (kubelet 1.29 and newer) are said to be: the table, from what the kernel, the
//! kubelet and PostgreSQL do, and no other finding.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hugetlb_exporter::{Looking, look};

use crate::harness::agent::{Agent, Start};
use crate::harness::{
    exposition::{Exposition, Sample},
    wait_within,
};
use crate::machine::Machine;

/// One look: what it finds.
#[test]
fn one_look_at_a_node_of_today() {
    let table: [(&str, &[(&str, &str)]); 5] = [
        ("v2-cgroupfs-kubelet1.36-containerd-default", &[]),
        (
            "v2-systemd-kubelet1.36-container-limits",
            &[("will-crash", "critical"), ("trap-armed", "warning")],
        ),
        (
            "v1-cgroupfs-kubelet1.36-resized-container-limits",
            &[("will-crash", "critical"), ("limit-dropped", "critical"), ("trap-armed", "warning")],
        ),
        ("resized-in-place", &[("will-crash", "critical"), ("limit-dropped", "critical")]),
        ("php-rollout-modern-kubelet", &[]),
    ];
    for (name, expected) in table {
        let view = look(Looking::at(Machine::named(name).roots()));
        let found: Vec<_> = view
            .assessment
            .findings
            .iter()
            .map(|finding| (finding.name, finding.severity.to_string()))
            .collect();
        let found: Vec<_> = found.iter().map(|(name, severity)| (*name, &**severity)).collect();
        assert_eq!(found, expected, "{name}: {:#?}", view.assessment.findings);
    }
}

/// A node that changes under the agent.
struct Story {
    machine: Machine,
    agent: Agent,
}

impl Story {
    fn on(machine: Machine) -> Self {
        let agent = Start::new(&machine.flags()).go();
        agent.after_polls(3.0);
        Self { machine, agent }
    }

    fn cgroup(&self, path: &str) -> PathBuf {
        self.machine.root().join("sys/fs/cgroup").join(path)
    }

    /// The findings, by name, severity, and the container's name.
    fn found(&self) -> Vec<(String, String, String)> {
        found(&self.agent.fresh())
    }

    fn wait_for(&self, what: &str, is_there: impl Fn(&[(String, String, String)]) -> bool) {
        wait_within(what, Duration::from_secs(30), || is_there(&self.found()).then_some(()));
    }
}

fn found(exposition: &Exposition) -> Vec<(String, String, String)> {
    let label = |sample: &Sample, name: &str| sample.labels.get(name).cloned().unwrap_or_default();
    let samples = exposition.samples().iter().filter(|it| it.name == "hugetlb_finding");
    let mut found: Vec<_> = samples
        .map(|it| {
            let [name, severity, container] =
                ["finding", "severity", "container"].map(|name| label(it, name));
            (name, severity, container)
        })
        .collect();
    found.sort();
    found
}

fn add_one(file: &Path) {
    let text = fs::read_to_string(file).expect("a counter");
    let count: u64 = text.trim().trim_start_matches("max ").parse().expect("a number");
    fs::write(file, format!("max {}\n", count + 1)).expect("written");
}

fn each_directory(root: &Path, what: &mut impl FnMut(&Path)) {
    what(root);
    for entry in fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_directory(&path, what);
        }
    }
}

/// Sixty healthy pods that try: one piece of information, for the node.
#[test]
fn a_rollout_of_programs_that_only_try() {
    let story = Story::on(Machine::named("php-rollout-modern-kubelet"));
    each_directory(&story.cgroup("kubepods.slice"), &mut |directory| {
        add_one(&directory.join("hugetlb.2MB.events"));
        if directory.extension().is_some_and(|it| it == "scope") {
            add_one(&directory.join("hugetlb.2MB.events.local"));
        }
    });
    let one = |it: &str| it.to_owned();
    let expected = [(one("refused-without-grant"), one("info"), String::new())];
    story.wait_for("the information", |found| found == expected);
    story.agent.after_polls(3.0);
    assert_eq!(story.found(), expected);
}

const POD: &str = "kubepods/pod076d6a80-acee-4eeb-98a8-a40059f10d5b";

fn write(directory: &Path, limit: &str, events: u32) {
    fs::create_dir_all(directory).expect("made");
    for (file, text) in [
        ("current", "0".to_owned()),
        ("events", format!("max {events}")),
        ("max", limit.to_owned()),
        ("rsvd.current", "0".to_owned()),
        ("rsvd.max", limit.to_owned()),
    ] {
        fs::write(directory.join(format!("hugetlb.2MB.{file}")), text + "\n").expect("written");
    }
}

/// Three instances that insist and are refused, each gone before its log link is seen: one container, one finding.
#[test]
fn a_start_that_is_refused_and_loops() {
    let machine = Machine::named("resized-in-place");
    let root = machine.root().to_owned();
    let pod = root.join("sys/fs/cgroup").join(POD);
    fs::remove_dir_all(&pod).expect("removed");
    for entry in fs::read_dir(root.join("var/log/containers")).expect("links") {
        fs::remove_file(entry.expect("a link").path()).expect("removed");
    }
    write(&pod, "134217728", 0);
    let story = Story::on(machine);
    for attempt in 0..3_u32 {
        let id = format!("{:02x}", 0x34 + attempt).repeat(32);
        write(&pod.join(&id), "max", 1);
        write(&pod, "134217728", attempt + 1);
        story.agent.after_polls(2.0);
        fs::remove_dir_all(pod.join(&id)).expect("removed");
        let target = format!(
            "/var/log/pods/t_rs_076d6a80-acee-4eeb-98a8-a40059f10d5b/postgres/{attempt}.log"
        );
        let link = root.join(format!("var/log/containers/rs_t_postgres-{id}.log"));
        symlink(target, link).expect("a link");
        story.agent.after_polls(2.0);
    }
    let one = |it: &str| it.to_owned();
    let expected = [(one("mapping-refused"), one("critical"), one("postgres"))];
    story.wait_for("the finding", |found| found == expected);
    wait_within("all three", Duration::from_secs(10), || {
        let exposition = story.agent.fresh();
        let mut series = exposition.with("hugetlb_container_failures_total", &[]);
        let one = series.next().filter(|it| (it.value - 3.0).abs() < 0.1)?;
        (one.labels.get("container").is_some_and(|it| it == "postgres")).then_some(())?;
        assert!(series.next().is_none(), "{exposition:?}");
        Some(())
    });
    assert_eq!(story.found(), expected);
}
