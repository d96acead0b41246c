//! Log directories that the exporter's own user may not list. Kubelets from 1.30 on make `/var/log/pods` 0750, Talos and
//! hosts with SELinux close both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::agent::{Agent, Start};
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::machine::Machine;

/// The exporter's user.
const USER: u32 = 10_270;
const OPEN: u32 = 0o755;
const CLOSED: u32 = 0o750;
const NAMED: [(&str, &str); 3] =
    [("namespace", "prod"), ("pod", "db-0"), ("container", "postgres")];

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// A machine whose `/var/log/pods` and `/var/log/containers` have these permissions, and root's group.
fn machine(pods: u32, containers: u32) -> Machine {
    let machine = Machine::named("seed");
    allow(machine.root(), OPEN);
    allow(&machine.roots().pod_logs, pods);
    allow(&machine.roots().container_logs, containers);
    machine
}

fn down(scrape: &Exposition) -> Vec<&str> {
    let all = scrape.samples().iter();
    all.filter(|sample| sample.name == "hugetlb_exporter_source_up" && sample.value != 1.0)
        .map(|sample| sample.labels["source"].as_str())
        .collect()
}

fn lines<'a>(log: &'a [String], part: &str) -> Vec<&'a String> {
    log.iter().filter(|line| line.contains(part)).collect()
}

#[track_caller]
fn is_named(agent: &Agent) -> Exposition {
    wait_for("the name", || {
        let scrape = agent.fresh();
        scrape.value("hugetlb_container_usage_bytes", &NAMED).is_some().then_some(scrape)
    })
}

#[test]
fn no_source_fails_with_any_kubelets_log_directories() {
    for (kubelet, pods, said) in [("before 1.30", OPEN, 0), ("from 1.30 on", CLOSED, 1)] {
        let machine = machine(pods, OPEN);
        let agent = Start::new(&machine.flags()).user(USER).go();
        let scrape = is_named(&agent);
        assert_eq!(down(&scrape), [""; 0], "kubelet {kubelet}");
        assert_eq!(
            scrape.value("hugetlb_exporter_source_up", &[("source", "pod-logs")]),
            Some(1.0)
        );
        // A new search for names does not say it again.
        fs::create_dir(machine.root().join("sys/fs/cgroup/kubepods.slice/new")).expect("made");
        agent.after_polls(15.0);
        let log = agent.log();
        let lines = lines(&log, "supplementalGroups: [0]");
        assert_eq!(lines.len(), said, "kubelet {kubelet}: {log:?}");
        assert!(lines.iter().all(|line| line.contains("/var/log/pods: Permission denied")));
    }
}

#[test]
fn group_0_may_list_it() {
    let machine = machine(CLOSED, OPEN);
    let agent = Start::new(&machine.flags()).user(USER).with_group(0).go();
    is_named(&agent);
    assert_eq!(lines(&agent.log(), "supplementalGroups"), [""; 0]);
}

#[test]
fn where_no_name_is_to_be_found_the_source_is_down_and_says_who_knows_them() {
    let closed = machine(CLOSED, CLOSED);
    let unlinked = machine(CLOSED, OPEN);
    fs::remove_dir_all(unlinked.roots().container_logs).expect("removed");
    let empty = machine(CLOSED, OPEN);
    for link in fs::read_dir(empty.roots().container_logs).expect("links") {
        fs::remove_file(link.expect("a link").path()).expect("removed");
    }
    for machine in [closed, unlinked, empty] {
        let agent = Start::new(&machine.flags()).user(USER).go();
        assert_eq!(down(&agent.fresh()), ["pod-logs"]);
        let log = agent.log();
        let said = lines(&log, "source=pod-logs");
        assert!(said.iter().all(|line| line.contains("kubelet.enabled")), "{log:?}");
        assert_eq!((said.len(), lines(&log, "supplementalGroups").len()), (1, 0), "{log:?}");
    }
}

#[test]
fn names_of_pods_alone_are_not_enough() {
    let machine = machine(OPEN, CLOSED);
    let agent = Start::new(&machine.flags()).user(USER).go();
    assert_eq!(down(&agent.fresh()), ["pod-logs"], "no container has a name");
}
