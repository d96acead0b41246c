//! The status page and its JSON, as a browser and a program get them.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use expect_test::expect_file;
use flate2::read::GzDecoder;
use hugetlb_exporter::{Looking, look, page};
use serde_json::Value;

use crate::harness::agent::{Start, program};
use crate::harness::{http, wait_for};
use crate::machine::{self, Machine};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Of these the whole page is kept, of the others no more is asked than that there is one.
const KEPT: [&str; 5] =
    ["hostile-names", "no-controller", "numa-five-nodes", "seed", "unreadable-files"];

/// What is between the head and what the exporter says of itself, one tag a line, without times.
#[test]
fn every_machine_has_a_page_and_some_are_shown_as_they_were() {
    for name in machine::all() {
        let machine = Machine::named(&name);
        let page = page::status(&look(Looking::at(machine.roots())), "/metrics", page::Refresh::On);
        let (_, page) = page.split_once("<main>").expect("a beginning");
        let (page, _) = page.split_once("<section aria-labelledby=\"exporter\">").expect("an end");
        let mut pieces = page.split("<time ");
        let mut text = pieces.next().expect("text").to_owned();
        for piece in pieces {
            text += "<time>";
            text += piece.split_once("</time>").expect("its end").1;
        }
        if !KEPT.contains(&&*name) {
            continue;
        }
        let text = text.replace(&machine.root().display().to_string(), "ROOT");
        expect_file![root().join(format!("tests/golden/{name}.html"))]
            .assert_eq(&(text.replace("><", ">\n<") + "\n"));
    }
}

#[test]
fn the_page_may_load_and_run_nothing_and_refreshes_itself_unless_it_is_to_stand_still() {
    let machine = Machine::named("seed");
    let mut flags = machine.flags();
    flags.push("--node.name=worker-7".to_owned());
    let agent = Start::new(&flags).go();
    for (path, refresh) in [("/", Some("10")), ("/?still", None), ("/?stil", Some("10"))] {
        let answer = agent.get(path);
        assert_eq!(answer.header("refresh"), refresh, "{path}");
        // Both forms of the page are kept, and neither is taken for the other.
        let chosen = if refresh.is_some() { "every 10 s" } else { "never" };
        let chosen = format!(" aria-current=\"true\">{chosen}</a>");
        assert!(answer.text().contains(&chosen), "{path}");
        assert!(answer.text().contains("<title>worker-7: "), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; "), "{policy}");
        for part in policy.split("; ").filter(|part| !part.starts_with("style-src ")) {
            assert!(part.ends_with(" 'none'"), "{policy}");
        }
    }
    wait_for("the finding, which takes two polls", || {
        let headline = "<h1><bdi>prod/db-0</bdi> will crash: 72Mi of 2Mi pages too little</h1>";
        agent.get("/").text().contains(headline).then_some(())
    });
    for path in ["/", "/api/v1/view"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let head = http::request(agent.address(), &request);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{head:?}");
    }
}

#[test]
fn its_json_is_the_reports_and_keeps_to_the_schema() {
    let schema = std::fs::read_to_string(root().join("docs/report.schema.json"));
    let schema = serde_json::from_str(&schema.expect("a schema")).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    for name in ["seed", "numa-five-nodes", "hostile-names"] {
        let machine = Machine::named(name);
        let mut command = Command::new(program());
        let report = command.args(["report", "--output=json"]).args(machine.flags()).output();
        let report = String::from_utf8(report.expect("a report").stdout).expect("text");
        let agent = Start::new(&machine.flags()).go();
        // A finding takes two polls, in both.
        wait_for("the report's words", || {
            (agent.get("/api/v1/view").text() == report).then_some(())
        });
        let view: Value = serde_json::from_str(&report).expect("JSON");
        assert!(schema.is_valid(&view), "{name}");
        let gzip = "GET /api/v1/view HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
        let gzip = http::request(agent.address(), gzip);
        assert_eq!(gzip.header("content-encoding"), Some("gzip"));
        assert_eq!(gzip.header("cache-control"), Some("no-store"));
        let mut text = String::new();
        GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, report, "{name}");
    }
}

#[test]
fn what_happened_is_told_with_the_figures_before_it_and_keeps_to_its_schema() {
    let schema = std::fs::read_to_string(root().join("docs/incidents.schema.json"));
    let schema = serde_json::from_str(&schema.expect("a schema")).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    let machine = Machine::named("seed");
    let agent = Start::new(&machine.flags()).go();
    let incidents = || -> Value {
        let text = agent.get("/api/v1/incidents").text();
        serde_json::from_str(&text).expect("JSON")
    };
    let raised = wait_for("the finding", || {
        Some(incidents())
            .filter(|told| told["incidents"][0]["events"][0]["finding"] == "will-crash")
    });
    assert_eq!(raised["incidents"][0]["pod"], "db-0");
    let slice = "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice";
    let pod = "kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice";
    let pod = machine.root().join(slice).join(pod);
    std::fs::write(pod.join("hugetlb.2MB.events"), "max 3\n").expect("written");
    let refused = wait_for("the refusals", || {
        let told = incidents();
        let events = told["incidents"][0]["events"].as_array().expect("events").clone();
        events.iter().any(|event| event["refused"] == 2).then_some(told)
    });
    let faults: Vec<String> = schema.iter_errors(&refused).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let frames = refused["incidents"][0]["frames"].as_array().expect("frames");
    assert!(frames.len() > 1 && frames[0]["usage_bytes"] == 134_217_728, "{frames:?}");
    assert!(agent.get("/").text().contains("2 pages were refused."), "the page tells it, too");
}

#[test]
fn what_is_fixed_is_critical_nowhere_any_more() {
    let machine = Machine::named("seed");
    let agent = Start::new(&machine.flags()).go();
    let severity = |wanted: &str| {
        let text = agent.get("/metrics").text();
        let finding = "hugetlb_finding{finding=\"faults-refused\",";
        let mut found = text.lines().filter(|line| line.starts_with(finding));
        let wanted = format!("severity=\"{wanted}\"");
        found.next().filter(|line| line.contains(&wanted) && found.next().is_none()).map(|_| ())
    };
    wait_for("the prediction", || agent.get("/").text().contains("will crash").then_some(()));
    let slice = "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice";
    let pod = "kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice";
    let pod = machine.root().join(slice).join(pod);
    let id = format!(
        "cri-containerd-{}.scope",
        "aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567"
    );
    let write = |name: &str, text: &str| {
        for cgroup in [&pod, &pod.join(&id)] {
            std::fs::write(cgroup.join(name), text).expect("written");
        }
    };
    write("hugetlb.2MB.events", "max 2\n");
    wait_for("the refusal", || severity("critical"));
    assert!(agent.get("/").text().contains("2 times at a limit of 128Mi"));
    write("hugetlb.2MB.max", "209715200\n");
    wait_for("that it is fixed", || severity("info"));
    let page = agent.get("/").text();
    assert!(page.contains("Fixed since: limit raised to 200Mi."), "{page}");
    assert!(page.contains("<h1>Nothing critical was found.</h1>"), "{page}");
    assert!(!page.contains("Set hugepages-2Mi"), "what has been done is not asked for");
    let log = agent.log();
    let told = |part: &str| {
        let lines = log.iter().filter(|line| line.contains("finding=\"faults-refused\""));
        lines.filter(|line| line.contains(part)).count()
    };
    assert_eq!((told("ERROR"), told("now info: Container postgres")), (1, 1), "{log:?}");
}
