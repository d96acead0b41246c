//! The running agent on a machine that changes under it.

use std::fs;
use std::path::{Path, PathBuf};

use hugetlb_exporter::{Looking, look};
use nix::sys::signal::Signal;

use crate::harness::agent::{Agent, Start};
use crate::harness::wait_for;
use crate::machine::Machine;

const A: &str = "aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567";
const B: &str = "bbbbbbbb0123456789abcdef0123456789abcdef0123456789abcdef01234567";
const UID: &str = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
const POSTGRES: [(&str, &str); 3] =
    [("namespace", "prod"), ("pod", "db-0"), ("container", "postgres")];

struct Node {
    machine: Machine,
    agent: Agent,
}

impl Node {
    fn seed() -> Self {
        let machine = Machine::named("seed");
        let agent = Start::new(&machine.flags()).go();
        Self { machine, agent }
    }

    fn pod(&self) -> PathBuf {
        let slice = "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice";
        let pod = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
        self.machine.root().join(slice).join(pod)
    }

    fn scope(&self, id: &str) -> PathBuf {
        self.pod().join(format!("cri-containerd-{id}.scope"))
    }

    fn container(&self, family: &str) -> Option<f64> {
        self.agent.fresh().value(family, &POSTGRES)
    }

    /// A container's cgroup as the runtime makes it.
    fn add(&self, id: &str, usage: u64, failures: u64) {
        let scope = self.scope(id);
        fs::create_dir(&scope).expect("made");
        write(&scope.join("hugetlb.2MB.max"), "134217728");
        write(&scope.join("hugetlb.2MB.events"), &format!("max {failures}"));
        write(&scope.join("hugetlb.2MB.current"), &usage.to_string());
    }

    /// The link that the kubelet makes a moment later.
    fn name(&self, id: &str, container: &str, attempt: u32) {
        let links = self.machine.root().join("var/log/containers");
        let target = format!("/var/log/pods/prod_db-0_{UID}/{container}/{attempt}.log");
        std::os::unix::fs::symlink(target, links.join(format!("db-0_prod_{container}-{id}.log")))
            .expect("linked");
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("written");
}

#[test]
fn a_source_that_fails_is_said_once_and_costs_no_other_its_figures() {
    let node = Node::seed();
    let limit = node.pod().join("hugetlb.2MB.max");
    write(&limit, "rubbish");
    let broken = node.agent.fresh();
    assert_eq!(broken.value("hugetlb_exporter_source_up", &[("source", "cgroups")]), Some(0.0));
    assert_eq!(
        broken.value("hugetlb_pod_limit_bytes", &[]),
        None,
        "no figure is better than a wrong one"
    );
    assert_eq!(broken.value("hugetlb_container_limit_bytes", &POSTGRES), Some(134_217_728.0));
    assert_eq!(broken.value("hugetlb_exporter_source_up", &[("source", "pools")]), Some(1.0));
    node.agent.fresh();
    write(&limit, "134217728");
    let mended = node.agent.fresh();
    assert_eq!(mended.value("hugetlb_exporter_source_up", &[("source", "cgroups")]), Some(1.0));
    assert_eq!(mended.value("hugetlb_pod_limit_bytes", &[]), Some(134_217_728.0));

    let log = node.agent.log();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("cgroups")).collect();
    assert_eq!(lines.len(), 2, "one line down, one line up: {log:?}");
    assert!(lines[0].contains("hugetlb.2MB.max") && lines[0].contains("rubbish"), "{}", lines[0]);
    assert!(lines[0].contains("expected `max` or bytes"), "{}", lines[0]);
}

#[test]
fn a_restart_is_one_series_and_loses_no_failures() {
    let node = Node::seed();
    assert_eq!(node.container("hugetlb_container_failures_total"), Some(1.0));
    node.name(B, "postgres", 1);
    fs::remove_dir_all(node.scope(B)).expect("the pause container goes");
    node.add(B, 2_097_152, 3);
    wait_for("both instances as one", || {
        let usage = node.container("hugetlb_container_usage_bytes");
        (usage == Some(136_314_880.0)).then_some(())
    });
    assert_eq!(node.container("hugetlb_container_failures_total"), Some(4.0));
    fs::remove_dir_all(node.scope(A)).expect("the first instance goes");
    wait_for("the first to be gone", || {
        (node.container("hugetlb_container_usage_bytes") == Some(2_097_152.0)).then_some(())
    });
    assert_eq!(node.container("hugetlb_container_failures_total"), Some(4.0));
    assert_eq!(node.container("hugetlb_container_peak_usage_bytes"), Some(134_217_728.0));
    let scrape = node.agent.scrape();
    let info: Vec<_> = scrape.with("hugetlb_container_info", &POSTGRES).collect();
    assert_eq!(info.len(), 1);
    assert_eq!(info[0].labels["container_id"], format!("containerd://{B}"), "the newest");
}

#[test]
fn what_was_refused_is_remembered_after_its_cgroup_is_gone() {
    let node = Node::seed();
    fs::remove_dir_all(node.pod()).expect("the pod goes");
    let scrape = wait_for("the pod to be gone", || {
        Some(node.agent.fresh())
            .filter(|scrape| scrape.value("hugetlb_pod_usage_bytes", &[]).is_none())
    });
    assert_eq!(
        scrape.value("hugetlb_pod_failures_total", &[("uid", UID), ("pod", "db-0")]),
        Some(1.0)
    );
    assert_eq!(scrape.value("hugetlb_container_failures_total", &POSTGRES), Some(1.0));
    assert_eq!(
        scrape.value("hugetlb_container_usage_bytes", &POSTGRES),
        None,
        "what is gone uses nothing"
    );
    assert_eq!(scrape.value("hugetlb_container_info", &POSTGRES), None);
}

#[test]
fn a_new_container_waits_for_its_name_and_what_it_is_refused_is_told_of_its_pod() {
    let node = Node::seed();
    let usage = |scrape: &crate::harness::exposition::Exposition, container: &str| {
        scrape.value("hugetlb_container_usage_bytes", &[("container", container)])
    };
    let late = "c".repeat(64);
    node.add(&late, 2_097_152, 0);
    assert_eq!(usage(&node.agent.fresh(), &late[..12]), None, "its name may still come");
    node.name(&late, "sidecar", 0);
    wait_for("the name", || usage(&node.agent.fresh(), "sidecar"));
    assert_eq!(usage(&node.agent.fresh(), &late[..12]), None, "it never had another");

    let urgent = "d".repeat(64);
    node.add(&urgent, 2_097_152, 1);
    write(&node.pod().join("hugetlb.2MB.events"), "max 2");
    wait_for("what was refused", || {
        let refused = node.agent.fresh().value("hugetlb_pod_failures_total", &[("uid", UID)]);
        (refused == Some(2.0)).then_some(())
    });
    assert_eq!(usage(&node.agent.fresh(), &urgent[..12]), None, "its name may still come");
}

#[test]
fn a_name_once_known_outlives_its_log() {
    let node = Node::seed();
    fs::remove_dir_all(node.machine.root().join("var/log")).expect("the logs go");
    write(&node.pod().join("hugetlb.2MB.current"), "4194304");
    // Another container makes the agent look for names again.
    node.add(&"e".repeat(64), 2_097_152, 0);
    wait_for("the logs to be missed", || {
        let up = node.agent.fresh().value("hugetlb_exporter_source_up", &[("source", "pod-logs")]);
        (up == Some(0.0)).then_some(())
    });
    assert_eq!(node.container("hugetlb_container_usage_bytes"), Some(134_217_728.0));
}

#[test]
fn with_nothing_to_see_it_is_ready_and_says_what_is_missing_once() {
    let machine = Machine::named("nothing");
    let agent = Start::new(&machine.flags()).go();
    let scrape = agent.fresh();
    for source in ["pools", "cgroups"] {
        assert_eq!(
            scrape.value("hugetlb_exporter_source_up", &[("source", source)]),
            Some(0.0),
            "{source}"
        );
        let said =
            agent.log().iter().filter(|line| line.contains(&format!("source={source}"))).count();
        assert_eq!(said, 1, "{source}: {:?}", agent.log());
    }
    assert_eq!(
        scrape.value("hugetlb_exporter_source_up", &[("source", "pod-logs")]),
        None,
        "there are no pods to name"
    );
    assert_eq!(agent.get("/-/healthy").status, 200);
}

#[test]
fn a_hierarchy_that_comes_late_is_found() {
    let machine = Machine::named("no-controller");
    let agent = Start::new(&machine.flags()).go();
    assert_eq!(
        agent.fresh().value("hugetlb_exporter_source_up", &[("source", "cgroups")]),
        Some(0.0)
    );
    let root = machine.root().join("sys/fs/cgroup");
    write(&root.join("cgroup.controllers"), "cpu memory hugetlb");
    fs::create_dir(root.join("app")).expect("made");
    write(&root.join("app/hugetlb.2MB.current"), "2097152");
    let scrape = agent.fresh();
    assert_eq!(scrape.value("hugetlb_exporter_source_up", &[("source", "cgroups")]), Some(1.0));
    assert_eq!(
        scrape.value("hugetlb_cgroup_usage_bytes", &[("cgroup", "/app")]),
        Some(2_097_152.0)
    );
}

#[test]
fn sigterm_and_sigint_end_it_with_code_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let machine = Machine::named("seed");
        let agent = Start::new(&machine.flags()).go();
        agent.signal(signal);
        assert_eq!(agent.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn one_poll_logs_at_most_20_findings_and_how_many_more_there_are() {
    let machine = Machine::named("seed");
    let slice = machine.root().join("sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice");
    for number in 0..30 {
        let uid = format!("6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f{number:04}");
        let pod = slice.join(format!("kubepods-burstable-pod{uid}.slice"));
        fs::create_dir(&pod).expect("made");
        for (file, bytes) in [("current", "0"), ("max", "2097152"), ("rsvd.current", "4194304")] {
            write(&pod.join(format!("hugetlb.2MB.{file}")), bytes);
        }
    }
    let agent = Start::new(&machine.flags()).go();
    let more = wait_for("the line that counts the others", || {
        agent
            .log()
            .into_iter()
            .find(|line| line.contains("more findings were raised, changed or cleared"))
    });
    let lines = agent.log().iter().filter(|line| line.contains("finding=")).count();
    let raised = agent.fresh().with("hugetlb_finding", &[]).count();
    assert!(raised > 30 && lines == 20, "{lines} of {raised}");
    assert!(more.contains(&format!("and {} more", raised - lines)), "{more}");
}

#[test]
fn the_memory_nodes_of_a_container_are_read_whatever_is_above_it_is_called() {
    let machine = Machine::named("seed");
    let root = machine.root().join("sys/fs/cgroup");
    let odd = root.join("od\u{1}d");
    fs::create_dir(&odd).expect("made");
    for file in ["hugetlb.2MB.current", "hugetlb.2MB.max"] {
        fs::copy(root.join("kubepods.slice").join(file), odd.join(file)).expect("copied");
    }
    fs::rename(root.join("kubepods.slice"), odd.join("kubepods.slice")).expect("moved");
    let scope = format!(
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{A}.scope",
        UID.replace('-', "_")
    );
    write(&odd.join(scope).join("cpuset.mems.effective"), "0-1");
    let pool = |node: &str| {
        let nodes = machine.root().join("sys/devices/system/node");
        nodes.join(node).join("hugepages/hugepages-2048kB")
    };
    fs::create_dir_all(pool("node1")).expect("made");
    for file in ["nr_hugepages", "free_hugepages", "surplus_hugepages"] {
        write(&pool("node1").join(file), "0");
    }
    let snapshot = look(Looking::at(machine.roots())).snapshot;
    let container = snapshot.cgroups.iter().find(|cgroup| cgroup.path.contains(A));
    let nodes = container.expect("it is there").memory_nodes.clone().present();
    assert_eq!(nodes.map(|nodes| nodes.len()), Some(2));
}
