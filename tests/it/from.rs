//! `report --from`: several agents as one report, and what answers in their place.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use expect_test::expect_file;
use serde_json::{Value, json};
use testkit::project;
use testkit::tls::{Authority, Client};

use crate::harness::agent::Start;
use crate::harness::kubelet::{Kubelet, Says};
use crate::machine::Machine;

/// A server that says this to everyone.
fn server(says: Says) -> (Kubelet, String) {
    let server = Kubelet::without_tls(says);
    let url = format!("http://127.0.0.2:{}", server.port());
    (server, url)
}

/// The agent of a node that is recorded in tests/golden, under that name.
fn node(name: &str, golden: &str) -> (Kubelet, String) {
    let text = fs::read_to_string(project().join(format!("tests/golden/{golden}.json")));
    let mut report: Value = serde_json::from_str(&text.expect("a report")).expect("JSON");
    report["node"] = json!(name);
    server(Says::ok(report.to_string()))
}

fn report(urls: &[&str], more: &[&str]) -> Output {
    let urls = urls.iter().map(|url| format!("--from={url}"));
    Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
        .arg("report")
        .args(urls)
        .args(more)
        .env("COLUMNS", "80")
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The same without the ports, which are the system's choice.
fn without_ports(text: &str, urls: &[&str]) -> String {
    urls.iter().enumerate().fold(text.to_owned(), |text, (at, url)| {
        text.replace(url, &format!("http://10.0.0.{at}:10270"))
    })
}

#[test]
fn which_pods_of_my_cluster_will_crash() {
    let nodes = [
        node("node-a", "v2-cgroupfs-kubelet1.36-containerd-default"),
        node("node-b", "resv-too-low-will-crash"),
        node("node-c", "no-controller"),
        node("node-d", "unreadable-files"),
        node("node-e", "v2-systemd-kubelet1.36-container-limits"),
        server(Says::Answer("500 Internal Server Error", "", String::new())),
    ];
    let urls: Vec<&str> = nodes.iter().map(|(_, url)| url.as_str()).collect();
    let output = report(&urls, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let table = without_ports(&text(&output.stdout), &urls);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    expect_file![project().join("tests/golden/fleet.80-columns.txt")].assert_eq(&table);
    let output = report(&urls, &["--namespace=prod", "--pod=db-0"]);
    let table = without_ports(&text(&output.stdout), &urls);
    expect_file![project().join("tests/golden/fleet-of-a-pod.80-columns.txt")].assert_eq(&table);
}

#[test]
fn json_is_each_nodes_own_and_keeps_to_the_schema() {
    let nodes = [node("a", "seed"), node("b", "hostile-names"), server(Says::HangUp)];
    let urls: Vec<&str> = nodes.iter().map(|(_, url)| url.as_str()).collect();
    let output = report(&urls, &["--output=json"]);
    let merged: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(project().join("docs").join(name)).expect("a schema");
        serde_json::from_str(&text).expect("JSON")
    };
    let schema = jsonschema::draft202012::new(&read("fleet.schema.json")).expect("a schema");
    let of_node = jsonschema::draft202012::new(&read("report.schema.json")).expect("a schema");
    assert!(schema.is_valid(&merged), "{merged:#}");
    let reports = merged["reports"].as_array().expect("reports");
    assert_eq!((reports.len(), merged["unanswered"][0]["from"].as_str()), (2, Some(urls[2])));
    for report in reports {
        assert!(of_node.is_valid(&report["report"]), "{report:#}");
    }
    let mut wrong = merged;
    wrong["unanswered"][0]["problem"] = json!(7);
    assert!(!schema.is_valid(&wrong), "it can fail");
}

#[test]
fn the_exit_code_says_whether_all_is_known() {
    let (well, ill) = (node("a", "php-rollout-modern-kubelet"), server(Says::HangUp));
    let code = |urls: &[&str], more: &[&str]| report(urls, more).status.code();
    assert_eq!(code(&[&well.1], &[]), Some(0));
    assert_eq!(code(&[&well.1, &ill.1], &[]), Some(1));
    let said = text(&report(&[&well.1, &ill.1], &[]).stderr);
    assert!(said.contains("could not look at everything: of 2 nodes 1 did not answer"), "{said}");
    let said = report(&[&well.1, &ill.1], &["--pod=nobody"]);
    let words = text(&said.stderr);
    assert_eq!(said.status.code(), Some(1));
    assert!(words.contains("no pod nobody holds") && words.contains("1 did not answer"), "{words}");
    assert_eq!(code(&[&well.1], &["--output=prometheus"]), Some(64));
    assert_eq!(code(&["node-1"], &[]), Some(64));
    assert_eq!(code(&[], &["--from.config=/dev/null"]), Some(64));
}

#[test]
fn whatever_answers_instead_is_said_within_a_deadline() {
    let cases = [
        (Says::Nothing, "no whole answer within 5 s"),
        (Says::HangUp, "expected an answer in HTTP"),
        (Says::Answer("401 Unauthorized", "", String::new()), "expected a password or a token"),
        (
            Says::Answer("302 Found", "Location: http://127.0.0.1:1/\r\n", String::new()),
            "302; expected 200",
        ),
        (Says::ok("<html>".to_owned()), "is no JSON"),
        (Says::ok("{}".to_owned()), "has no list findings"),
        (Says::ok(" ".repeat((8 << 20) + 1)), "larger than 8388608 bytes"),
        (Says::ok("[".repeat(1 << 20)), "recursion limit"),
        (Says::ok("\u{1b}[2J".to_owned()), "is no JSON"),
        (Says::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "expected an answer in HTTP"),
    ];
    let servers: Vec<_> = cases.iter().map(|(says, _)| server(says.clone())).collect();
    let mut urls: Vec<&str> = servers.iter().map(|(_, url)| url.as_str()).collect();
    urls.extend(["http://127.0.0.1:1", "http://no-such-node.invalid:10270"]);
    let began = Instant::now();
    let output = report(&urls, &["--output=json"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(1));
    let merged: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let unanswered = merged["unanswered"].as_array().expect("a list");
    let problems: Vec<_> =
        unanswered.iter().map(|it| it["problem"].as_str().expect("text")).collect();
    let parts = cases.iter().map(|(_, part)| *part);
    for (problem, part) in
        problems.iter().zip(parts.chain(["Connection refused", "has no address"]))
    {
        assert!(problem.contains(part) && problem.len() < 400, "{part:?} is not in {problem}");
    }
    assert_eq!(problems.len(), urls.len());
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

/// A hundred that never answer, at most 32 at a time.
#[test]
fn many_are_asked_at_once_but_not_all() {
    let (silent, url) = server(Says::Nothing);
    let urls = vec![url.as_str(); 40];
    let began = Instant::now();
    assert_eq!(report(&urls, &[]).status.code(), Some(1));
    let took = began.elapsed();
    assert!((10..20).contains(&took.as_secs()), "two rounds of 5 s: {took:?}");
    assert_eq!(silent.asked().len(), 40);
}

/// A real agent with TLS, client certificates and passwords.
#[test]
fn a_real_agent_is_asked_as_its_web_configuration_wants() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let authority = Authority::new();
    let (own, ours) = (authority.sign(&["node-1", "127.0.0.1"]), authority.sign(&["us"]));
    for (name, text) in [
        ("ca.pem", &authority.pem),
        ("own.pem", &own.certificate),
        ("own.key", &own.key),
        ("ours.pem", &ours.certificate),
        ("ours.key", &ours.key),
    ] {
        write(name, text);
    }
    let hash = bcrypt::hash("secret", 4).expect("a hash");
    let web = write(
        "web.yml",
        &format!(
            "tls_server_config:\n  cert_file: own.pem\n  key_file: own.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\nbasic_auth_users:\n  us: {hash}\n"
        ),
    );
    let machine = Machine::named("resv-too-low-will-crash");
    let mut flags = machine.flags();
    flags.extend([format!("--web.config.file={web}"), "--node.name=node-1".to_owned()]);
    let agent = {
        let client = Client::showing(&authority, &ours);
        let start = Start::new(&flags).over_tls(client);
        start.go()
    };
    agent_answers(directory.path(), agent.address().port());
}

fn agent_answers(directory: &Path, port: u16) {
    let url = format!("https://127.0.0.1:{port}");
    let tls = "tls_config: {ca_file: ca.pem, cert_file: ours.pem, key_file: ours.key, server_name: node-1}";
    fs::write(directory.join("password"), "secret\n").expect("written");
    let asked = |config: &str| {
        let path = directory.join("client.yml");
        fs::write(&path, config).expect("written");
        report(&[&url], &[&format!("--from.config={}", path.display())])
    };
    let whole = format!("{tls}\nbasic_auth: {{username: us, password_file: password}}\n");
    let output = asked(&whole);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("will-crash on node-1"), "{}", text(&output.stdout));
    for (config, code, part) in [
        (tls.to_owned(), 1, "401 Unauthorized"),
        (format!("{tls}\nbasic_auth: {{username: us, password: wrong}}"), 1, "401 Unauthorized"),
        (whole.replace("node-1", "node-2"), 1, "TLS failed"),
        (whole.replace(", cert_file: ours.pem, key_file: ours.key", ""), 1, "403"),
        (
            whole.replace("password_file: password", "password_file: nowhere"),
            64,
            "basic_auth.password_file",
        ),
        (whole.replace("ca_file: ca.pem", "ca_file: password"), 64, "tls_config.ca_file"),
        (whole.replace(", key_file: ours.key", ""), 64, "key_file is missing"),
        (format!("{whole}\nproxy_url: http://a"), 64, "unknown field `proxy_url`"),
        (format!("{whole}\nauthorization: {{credentials: a}}"), 64, "one of them"),
    ] {
        let output = asked(&config);
        let said = text(&[output.stdout.as_slice(), &output.stderr].concat());
        assert_eq!(output.status.code(), Some(code), "{config}: {said}");
        assert!(
            said.contains(part) || code == 1 && said.contains("answer"),
            "{part:?} is not in {said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
}
