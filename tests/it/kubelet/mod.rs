//! The agent and a kubelet that answers, refuses, is slow, talks nonsense, goes away and comes back.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::harness::agent::{Agent, Start};
use crate::harness::exposition::Exposition;
use crate::harness::kubelet::{Kubelet, Request, Says, certificates};
use crate::harness::wait_for;
use crate::machine::Machine;

mod granted;
mod whereabouts;

/// A static pod of that machine, and its container that holds pages.
const MACHINE: &str = "v2-cgroupfs-containerd-default";
const UID: &str = "4f66d3b007ade35a602c7629163cd4d3";
const ID: &str = "a097129616d577cbd29c121565923c7d830c1e2bb2e74ae30ea418bb2d72caea";
const USAGE: &str = "hugetlb_container_usage_bytes";
const NAMED: [(&str, &str); 3] =
    [("namespace", "kube-system"), ("pod", "etcd-node-1"), ("container", "etcd")];

/// The kubelet's list with that one pod in it.
fn pods(pod: &str, container: &str, id: &str) -> Says {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [{
        "metadata": {
            "name": pod, "namespace": "kube-system", "uid": UID, "creationTimestamp": null,
            "annotations": {
                "kubernetes.io/config.hash": UID,
                "kubernetes.io/config.seen": "2026-01-01T00:00:00.000000000Z",
                "kubernetes.io/config.source": "file",
            },
        },
        "spec": {"containers": [{
            "name": container,
            "resources": {"limits": {"hugepages-2Mi": "64Mi"}, "requests": {"hugepages-2Mi": "64Mi"}},
        }]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": container, "containerID": format!("containerd://{id}"), "restartCount": 2,
        }]},
    }]});
    Says::ok(list.to_string())
}

fn etcd() -> Says {
    pods("etcd-node-1", "etcd", ID)
}

/// A machine whose log directories tell nothing.
fn without_logs() -> Machine {
    let machine = Machine::named(MACHINE);
    fs::remove_dir_all(machine.root().join("var/log")).expect("removed");
    machine
}

struct Node {
    machine: Machine,
    kubelet: Kubelet,
    agent: Agent,
}

impl Node {
    fn new(says: Says) -> Self {
        Self::with(without_logs(), Kubelet::start(says), &[])
    }

    fn with(machine: Machine, kubelet: Kubelet, more: &[&str]) -> Self {
        let mut flags = machine.flags();
        flags.extend(kubelet.flags());
        let replaced = |flag: &&str| flag.split('=').next().expect("a name").to_owned();
        let more_names: Vec<_> = more.iter().map(replaced).collect();
        flags.retain(|flag| !more_names.contains(&replaced(&flag.as_str())));
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let agent = Start::new(&flags).go();
        Self { machine, kubelet, agent }
    }

    /// Waits until the kubelet's source is up or down.
    #[track_caller]
    fn wait_until(&self, up: bool) -> Exposition {
        wait_for(if up { "the kubelet to be up" } else { "the kubelet to be down" }, || {
            Some(self.agent.scrape())
                .filter(|scrape| is_up(scrape) == Some(f64::from(u8::from(up))))
        })
    }

    /// The newest log line about the kubelet.
    fn said(&self) -> String {
        let lines = self.agent.log();
        let about = lines.iter().rev().find(|line| line.contains("source=kubelet"));
        about.cloned().unwrap_or_default()
    }

    /// Waits until that line has a certain text.
    #[track_caller]
    fn says(&self, part: &str) -> String {
        wait_for(part, || Some(self.said()).filter(|said| said.contains(part)))
    }
}

fn is_up(scrape: &Exposition) -> Option<f64> {
    scrape.value("hugetlb_exporter_source_up", &[("source", "kubelet")])
}

#[track_caller]
fn has_names(scrape: &Exposition) {
    assert_eq!(scrape.value(USAGE, &NAMED), Some(67_108_864.0));
    // Names are remembered by others too; the runtime is known from the last answer alone.
    let info: Vec<_> = scrape.with("hugetlb_container_info", &NAMED).collect();
    assert_eq!(info.len(), 1);
    assert_eq!(info[0].labels["container_id"], format!("containerd://{ID}"));
    assert_eq!(info[0].labels["runtime"], "containerd");
}

#[test]
fn it_names_static_pods_and_bare_containers() {
    let node = Node::new(etcd());
    let scrape = node.wait_until(true);
    has_names(&scrape);
    let pod = [("namespace", "kube-system"), ("pod", "etcd-node-1"), ("uid", UID)];
    assert_eq!(scrape.value("hugetlb_pod_usage_bytes", &pod), Some(67_108_864.0));
    assert_eq!(
        scrape.value("hugetlb_exporter_source_up", &[("source", "pod-logs")]),
        None,
        "nobody needs them"
    );
    let first = Request {
        line: "GET /pods HTTP/1.1".to_owned(),
        authorization: Some("Bearer first".to_owned()),
    };
    assert_eq!(node.kubelet.asked().first(), Some(&first));
}

#[test]
fn it_is_not_asked_unless_told_to() {
    let kubelet = Kubelet::start(etcd());
    let machine = without_logs();
    let mut flags = machine.flags();
    flags.extend(kubelet.flags().into_iter().filter(|flag| flag != "--collector.kubelet"));
    let agent = Start::new(&flags).go();
    let scrape = agent.fresh();
    assert_eq!((is_up(&scrape), kubelet.asked().len()), (None, 0));
    assert_eq!(scrape.value("hugetlb_exporter_source_up", &[("source", "pod-logs")]), Some(0.0));
}

#[test]
fn a_token_is_read_anew_for_every_request() {
    let node = Node::new(etcd());
    node.wait_until(true);
    node.kubelet.accept_only("second");
    has_names(&node.wait_until(false));
    let said = node.said();
    assert!(said.contains("/pods: 401 Unauthorized") && said.contains("the token"), "{said}");
    assert!(!said.contains("first"), "the token is nobody's business: {said}");
    node.kubelet.rotate_token("second");
    has_names(&node.wait_until(true));
    node.kubelet.rotate_token("");
    has_names(&node.wait_until(false));
    assert!(node.said().contains("holds no token"), "{}", node.said());
}

#[test]
fn whatever_it_says_instead_the_names_stay_and_one_line_says_what_was_expected() {
    let node = Node::new(etcd());
    node.wait_until(true);
    let forbidden =
        "Forbidden (user=system:serviceaccount:a:b, verb=get, resource=nodes, subresource=pods)";
    let refusal = |status, body: &str| Says::Answer(status, "", body.to_owned());
    let redirect =
        Says::Answer("302 Found", "Location: https://127.0.0.1:1/pods\r\n", String::new());
    for (says, parts) in [
        (
            refusal("403 Forbidden", forbidden),
            &["403 Forbidden", "subresource=pods", "nodes/pods"][..],
        ),
        (refusal("500 Internal Server Error", ""), &["500 Internal", "expected 200 OK"]),
        (redirect, &["302 Found", "redirects are not followed"]),
        (Says::ok(json!({"items": "x".repeat(1 << 20)}).to_string()), &["no list of pods"]),
        (Says::ok(" ".repeat((16 << 20) + 1)), &["the answer is larger than 16777216 bytes"]),
        (Says::ok("<html>".to_owned()), &["no list of pods", "expected JSON"]),
        (Says::ok("{\"kind\":\"Status\"}".to_owned()), &["is a Status", "expected a PodList"]),
        (Says::HangUp, &["expected an answer in HTTP"]),
        (Says::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), &["expected an answer in HTTP"]),
        (Says::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), &["broke off"]),
    ] {
        node.kubelet.say(says);
        node.wait_until(false);
        has_names(&node.agent.fresh());
        let said = node.said();
        assert!(said.len() < 1_500, "{} bytes", said.len());
        for part in [&["GET https://127.0.0.2:"][..], parts].concat() {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        node.kubelet.say(etcd());
        has_names(&node.wait_until(true));
    }
}

#[test]
fn a_pod_that_is_not_understood_costs_only_itself() {
    let Says::Answer(status, headers, body) = etcd() else { panic!("an answer") };
    let body = body.replace("\"items\":[", "\"items\":[{\"metadata\":7},");
    let node = Node::new(Says::Answer(status, headers, body));
    has_names(&node.wait_until(false));
    assert!(node.said().contains("the pod at 0 is not understood"), "{}", node.said());
}

#[test]
fn nobody_waits_for_a_slow_one() {
    let node = Node::new(etcd());
    node.wait_until(true);
    node.kubelet.say(Says::Nothing);
    let before = node.kubelet.asked().len();
    wait_for("a request to hang", || (node.kubelet.asked().len() > before).then_some(()));
    for _ in 0..3 {
        has_names(&node.agent.fresh());
    }
    assert_eq!(is_up(&node.agent.scrape()), Some(1.0), "it may still answer");
    has_names(&node.wait_until(false));
    assert!(node.said().contains("no whole answer within 10s"), "{}", node.said());
    node.kubelet.say(etcd());
    has_names(&node.wait_until(true));
}

#[test]
fn one_that_is_slow_from_the_start_is_not_waited_for_and_the_reason_is_said_in_the_end() {
    let node = Node::new(Says::Nothing);
    assert_eq!(is_up(&node.agent.scrape()), Some(0.0));
    node.says("/pods: not asked yet");
    node.says("no whole answer within 10s");
    node.kubelet.say(etcd());
    has_names(&node.wait_until(true));
}

#[test]
fn it_may_start_late_and_go_away_and_come_back() {
    let mut kubelet = Kubelet::start(etcd());
    kubelet.stop();
    let mut node = Node::with(without_logs(), kubelet, &[]);
    let scrape = node.agent.fresh();
    assert_eq!((is_up(&scrape), scrape.value(USAGE, &NAMED)), (Some(0.0), None));
    node.says("can't connect: Connection refused");
    for _ in 0..2 {
        node.kubelet.start_again();
        has_names(&node.wait_until(true));
        node.kubelet.stop();
        has_names(&node.wait_until(false));
    }
}

#[test]
fn a_certificate_of_a_strange_authority_is_refused_and_the_token_kept() {
    let kubelet = Kubelet::start(etcd());
    let right = fs::read(kubelet.ca_file()).expect("its authority");
    fs::write(kubelet.ca_file(), certificates().0).expect("written");
    let node = Node::with(without_logs(), kubelet, &[]);
    assert_eq!(is_up(&node.agent.fresh()), Some(0.0));
    let said = node.says("TLS failed");
    for part in ["invalid peer certificate", "ca.crt", "--kubelet.insecure-skip-verify"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(node.kubelet.asked(), [], "nothing was said to a stranger");
    // The authority rotates too.
    fs::write(node.kubelet.ca_file(), right).expect("written");
    has_names(&node.wait_until(true));
}

#[test]
fn any_certificate_is_taken_where_that_is_asked_for() {
    let kubelet = Kubelet::start(etcd());
    fs::remove_file(kubelet.ca_file()).expect("removed");
    let node = Node::with(without_logs(), kubelet, &["--kubelet.insecure-skip-verify"]);
    has_names(&node.wait_until(true));
    let log = node.agent.log();
    assert!(log.iter().any(|line| line.contains("certificate is not checked")), "{log:?}");
}

#[test]
fn the_read_only_port_is_given_no_token() {
    let node = Node::with(without_logs(), Kubelet::without_tls(etcd()), &[]);
    has_names(&node.wait_until(true));
    assert!(node.kubelet.asked().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn its_word_outweighs_the_log_directories() {
    let machine = Machine::named(MACHINE);
    let node = Node::with(machine, Kubelet::start(Says::HangUp), &[]);
    let logged = [("namespace", "default"), ("pod", "hp-guar-node-1"), ("uid", UID)];
    assert!(node.agent.fresh().value("hugetlb_pod_usage_bytes", &logged).is_some());
    node.kubelet.say(etcd());
    node.wait_until(true);
    let scrape = node.agent.fresh();
    has_names(&scrape);
    assert_eq!(scrape.value("hugetlb_pod_usage_bytes", &logged), None);
}

#[test]
fn a_new_container_has_it_asked_before_its_time() {
    let kubelet = Kubelet::start(etcd());
    let node = Node::with(without_logs(), kubelet, &["--kubelet.interval=1h"]);
    has_names(&node.wait_until(true));
    let late = "c".repeat(64);
    node.kubelet.say(pods("etcd-node-1", "late", &late));
    let cgroup =
        node.machine.root().join("sys/fs/cgroup/kubepods").join(format!("pod{UID}/{late}"));
    fs::create_dir(&cgroup).expect("made");
    fs::write(cgroup.join("hugetlb.2MB.current"), "2097152\n").expect("written");
    wait_for("its name", || node.agent.scrape().value(USAGE, &[("container", "late")]));
    assert_eq!(node.agent.scrape().value(USAGE, &[("container", &late[..12])]), None);
}

#[test]
fn a_report_asks_it_once() {
    let mut kubelet = Kubelet::start(etcd());
    let machine = without_logs();
    let report = |kubelet: &Kubelet| {
        let output = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
            .arg("report")
            .args(machine.flags())
            .args(kubelet.flags())
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let text = report(&kubelet);
    assert!(text.contains("kube-system/etcd-node-1"), "{text}");
    assert_eq!(kubelet.asked().len(), 1);
    kubelet.stop();
    let text = report(&kubelet);
    assert!(!text.contains("etcd-node-1") && text.contains("Not seen:"), "{text}");
    assert!(text.contains("can't connect") && text.contains(&UID[..16]), "{text}");
}

#[test]
fn a_token_that_is_no_file_is_not_waited_for() {
    let kubelet = Kubelet::start(etcd());
    let pipe = kubelet.ca_file().with_file_name("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    let flag = format!("--kubelet.token-file={}", pipe.display());
    let node = Node::with(without_logs(), kubelet, &[&flag]);
    assert_eq!(is_up(&node.agent.fresh()), Some(0.0));
    node.says("it is no regular file");
}
