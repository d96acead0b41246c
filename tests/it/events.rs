//! The agent and an API server that keeps Events, refuses, is slow, talks nonsense, goes away and comes back.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Request, status};

use crate::harness::agent::{Agent, Start};
use crate::harness::exposition::Exposition;
use crate::harness::kubelet::{Says, certificates};
use crate::harness::{project, wait_for, wait_within};
use crate::machine::Machine;

/// A pod of that machine will crash.
const MACHINE: &str = "resv-too-low-will-crash";

struct Node {
    machine: Machine,
    server: ApiServer,
    agent: Agent,
}

impl Node {
    fn new() -> Self {
        Self::with(ApiServer::start(), &[])
    }

    fn with(server: ApiServer, more: &[&str]) -> Self {
        let machine = Machine::named(MACHINE);
        let agent = start(&machine, &server, more);
        Self { machine, server, agent }
    }

    /// The agent anew, which remembers nothing.
    fn restart(self) -> Self {
        let Self { machine, server, agent } = self;
        agent.end();
        let agent = start(&machine, &server, &[]);
        Self { machine, server, agent }
    }

    fn count(&self, result: &str) -> f64 {
        count(&self.agent.scrape(), result)
    }

    #[track_caller]
    fn wait_for_count(&self, result: &str, least: f64) {
        wait_for(result, || (self.count(result) >= least).then_some(()));
    }

    #[track_caller]
    fn says(&self, part: &str) -> String {
        wait_for(part, || self.agent.log().into_iter().find(|line| line.contains(part)))
    }
}

fn start(machine: &Machine, server: &ApiServer, more: &[&str]) -> Agent {
    let mut flags = machine.flags();
    flags.extend(server.flags());
    flags.extend(["--node.name=node-1", "--probe.target=off"].map(str::to_owned));
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    Start::new(&flags).go()
}

fn count(scrape: &Exposition, result: &str) -> f64 {
    scrape.value("hugetlb_exporter_events_total", &[("result", result)]).expect("a counter")
}

/// What keeps no request from being one of Kubernetes' API.
fn faults(requests: &[Request]) -> Vec<String> {
    let text = fs::read_to_string(project().join("tests/events.schema.json")).expect("a schema");
    let schema = serde_json::from_str(&text).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    let mut faults = Vec::new();
    for Request { method, kind, body, path, .. } in requests {
        let expected =
            if method == "POST" { "application/json" } else { "application/merge-patch+json" };
        if kind != expected {
            faults.push(format!("{method}: {kind}"));
        }
        faults.extend(schema.iter_errors(body).map(|fault| format!("{method} {path}: {fault}")));
        if method == "POST" {
            let namespace = body["regarding"]["namespace"].as_str().unwrap_or("default");
            if body["metadata"]["namespace"] != namespace
                || !path.contains(&format!("/{namespace}/"))
            {
                faults.push(format!("{path}: another namespace than {namespace}"));
            }
            if body["note"].as_str().is_none_or(|note| note.len() > 1024) {
                faults.push(format!("{path}: the note has too many bytes"));
            }
        }
    }
    faults
}

fn will_crash(events: &[Value]) -> Option<&Value> {
    events.iter().find(|event| event["reason"] == "WillCrash")
}

#[test]
fn a_finding_is_an_event_on_its_pod_and_keeps_to_the_schema() {
    let node = Node::new();
    node.wait_for_count("created", 1.0);
    let events = node.server.events();
    let event = will_crash(&events).expect("an event");
    let regarding = &event["regarding"];
    assert_eq!(
        (&regarding["kind"], &regarding["namespace"], &regarding["name"]),
        (&json!("Pod"), &json!("prod"), &json!("db-0"))
    );
    assert_eq!(
        (&event["type"], &event["reportingInstance"]),
        (&json!("Warning"), &json!("node-1"))
    );
    let note = event["note"].as_str().expect("a note");
    assert!(
        note.contains("will be killed by SIGBUS") && note.contains("To do: Set hugepages-2Mi"),
        "{note}"
    );
    let requests = node.server.requests();
    assert_eq!(faults(&requests), [""; 0]);
    assert_eq!(requests[0].authorization.as_deref(), Some("Bearer first"));
    // It can fail.
    let mut wrong = requests;
    wrong[0].body["regardin"] = json!({});
    wrong[0].body["note"] = json!("x".repeat(1025));
    assert!(faults(&wrong).len() >= 2, "{:?}", faults(&wrong));
}

#[test]
fn nothing_is_told_unless_asked_for() {
    let (server, machine) = (ApiServer::start(), Machine::named(MACHINE));
    let mut flags = machine.flags();
    flags.extend(server.flags().into_iter().filter(|flag| flag != "--kubernetes.events"));
    let agent = Start::new(&flags).go();
    let scrape = agent.after_polls(5.0);
    assert_eq!(server.requests().len(), 0);
    assert_eq!(scrape.value("hugetlb_exporter_events_total", &[("result", "created")]), None);
}

#[test]
fn without_an_api_server_it_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
        .args(["--kubernetes.events", "--web.listen-address=127.0.0.1:0"])
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("expected --kubernetes.api-server=https://HOST:PORT"), "{said}");
}

#[test]
fn an_agent_that_is_restarted_makes_no_second_event() {
    let node = Node::new();
    node.wait_for_count("created", 1.0);
    let before = node.server.events().len();
    let node = node.restart();
    node.wait_for_count("repeated", 1.0);
    let node = node.restart();
    node.wait_for_count("repeated", 1.0);
    let events = node.server.events();
    assert_eq!(events.len(), before);
    assert_eq!(will_crash(&events).expect("an event")["series"]["count"], 3);
    assert_eq!(faults(&node.server.requests()), [""; 0]);
    // A patch that changes nothing reads the count: there is no right to get.
    assert!(node.server.requests().iter().all(|request| request.method != "GET"));
}

#[test]
fn a_token_is_read_anew_and_nobody_else_sees_it() {
    let server = ApiServer::start();
    server.accept_only("second");
    let node = Node::with(server, &[]);
    node.wait_for_count("refused", 1.0);
    let said = node.says("can't tell the API server");
    assert!(said.contains("401") && said.contains("accept the token"), "{said}");
    node.server.rotate_token("second");
    node.wait_for_count("created", 1.0);
    node.says("told of findings again");
    let log = node.agent.log().concat();
    assert!(!log.contains("first") && !log.contains("second"), "{log}");
}

/// Whatever it says, the agent polls and serves, one line says why nothing gets through, and all is said in the end.
#[test]
fn whatever_it_says_instead_nobody_waits_and_all_is_told_in_the_end() {
    let forbidden = status("Forbidden", "events.events.k8s.io is forbidden").to_string();
    let of = |line, body: &str| Says::Answer(line, "", body.to_owned());
    let cases = [
        (of("403 Forbidden", &forbidden), "refused", "needs create and patch on events"),
        (of("500 Internal Server Error", ""), "failed", "500; expected 201"),
        (of("503 Service Unavailable", "x"), "failed", "503"),
        (of("302 Found", ""), "failed", "redirects are not followed"),
        (of("500 Internal Server Error", &" ".repeat(1 << 20)), "failed", "500"),
        (
            Says::Answer("429 Too Many Requests", "Retry-After: 2\r\n", String::new()),
            "throttled",
            "429",
        ),
        (Says::HangUp, "failed", "expected an answer in HTTP"),
        (Says::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "failed", "expected an answer in HTTP"),
        (Says::Nothing, "failed", "no whole answer within 10s"),
    ];
    std::thread::scope(|scope| {
        for (says, result, part) in cases {
            scope.spawn(move || {
                let server = ApiServer::start();
                server.say(says);
                let node = Node::with(server, &[]);
                node.agent.fresh();
                node.wait_for_count(result, 1.0);
                let said = node.says("can't tell the API server");
                assert!(said.contains(part) && said.len() < 1_500, "{part:?} is not in {said}");
                node.server.work();
                wait_within("an event", Duration::from_secs(30), || {
                    (node.count("created") >= 1.0).then_some(())
                });
                assert_eq!(faults(&node.server.requests()), [""; 0]);
            });
        }
    });
}

#[test]
fn what_is_not_taken_or_has_nobody_to_tell_is_not_sent_again() {
    for (line, result) in [
        ("404 Not Found", "gone"),
        ("410 Gone", "gone"),
        ("422 Unprocessable Entity", "invalid"),
        ("400 Bad Request", "invalid"),
    ] {
        let server = ApiServer::start();
        server.say(Says::Answer(line, "", status("X", "a \u{1b}[2J reason").to_string()));
        let node = Node::with(server, &["--findings.mute-namespace=kube-system"]);
        node.wait_for_count(result, 1.0);
        let sent = node.server.requests().len();
        node.agent.after_polls(20.0);
        assert_eq!(node.server.requests().len(), sent, "{line}");
        assert!(!node.agent.log().concat().contains('\u{1b}'), "{line}");
    }
}

#[test]
fn a_namespace_that_is_being_deleted_is_left_in_peace() {
    let server = ApiServer::start();
    server.terminate("prod");
    let node = Node::with(server, &[]);
    node.wait_for_count("gone", 1.0);
    assert!(will_crash(&node.server.events()).is_none());
    assert_eq!(node.count("refused"), 0.0);
}

#[test]
fn it_may_start_late_and_go_away() {
    let mut server = ApiServer::start();
    server.stop();
    let mut node = Node::with(server, &[]);
    node.wait_for_count("failed", 1.0);
    assert!(node.says("can't tell the API server").contains("Connection refused"));
    node.server.start_again();
    node.wait_for_count("created", 1.0);
    node.says("told of findings again");
}

#[test]
fn a_stranger_is_told_nothing() {
    let server = ApiServer::start();
    let right = fs::read(server.ca_file()).expect("its authority");
    fs::write(server.ca_file(), certificates().0).expect("written");
    let node = Node::with(server, &[]);
    assert!(node.says("can't tell the API server").contains("invalid peer certificate"));
    assert_eq!(node.server.requests().len(), 0, "nothing was said to a stranger");
    fs::write(node.server.ca_file(), right).expect("written");
    node.wait_for_count("created", 1.0);
}

/// A node on which much is wrong at once: one request a second.
#[test]
fn many_findings_are_told_one_a_second() {
    let server = ApiServer::start();
    let machine = Machine::named("v1-cgroupfs-kubelet1.36-resized-container-limits");
    let agent = start(&machine, &server, &[]);
    wait_for("three events", || (server.events().len() >= 3).then_some(()));
    let requests = server.requests();
    // When they came, which is not quite when they were sent.
    let took = requests[requests.len() - 1].at.duration_since(requests[0].at);
    let least =
        Duration::from_secs(requests.len() as u64 - 1).saturating_sub(Duration::from_millis(500));
    assert!(took >= least, "{} requests in {took:?}", requests.len());
    assert_eq!(faults(&requests), [""; 0]);
    wait_for("the third counted", || (count(&agent.scrape(), "created") >= 3.0).then_some(()));
}
