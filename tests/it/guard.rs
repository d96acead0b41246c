//! What the exporter makes of the guard's report: in metrics, report, JSON and on the page; and that it does not believe it
//! by itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::command::program;
use crate::harness::agent::Start;
use crate::harness::wait_for;
use crate::machine::Machine;

const BOOT: &str = "6fd03c33-5cf8-4f0b-9c4c-64f4f9d1a2b3";
const UID: &str = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
const POD: &str = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice";
const CONTAINER: &str =
    "cri-containerd-aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567.scope";

const GRANTED: u64 = 134_217_728;
const RESERVED: u64 = 209_715_200;

/// The machine of the story, with a guard that has raised both limits; what it is not mentioned is as it was.
struct Node {
    machine: Machine,
}

impl Node {
    fn rescued() -> Self {
        let node = Self { machine: Machine::named("seed") };
        let random = node.machine.root().join("proc/sys/kernel/random");
        fs::create_dir_all(&random).expect("made");
        fs::write(random.join("boot_id"), format!("{BOOT}\n")).expect("written");
        fs::create_dir(node.reports()).expect("made");
        node.limit(RESERVED);
        node.report(BOOT, u64::MAX / 2);
        node
    }

    fn reports(&self) -> PathBuf {
        self.machine.root().join("guard")
    }

    /// Both limits of both cgroups.
    fn limit(&self, bytes: u64) {
        let pod = self.machine.root().join("sys/fs/cgroup").join(POD);
        for cgroup in [pod.clone(), pod.join(CONTAINER)] {
            for file in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"] {
                fs::write(cgroup.join(file), format!("{bytes}\n")).expect("written");
            }
        }
    }

    /// Says so, in that boot, to be renewed by then.
    fn report(&self, boot: &str, due: u64) {
        let entries = [format!("/{POD}"), format!("/{POD}/{CONTAINER}")].map(|cgroup| {
            let entry = |action: &str, old: Value| {
                json!({
                    "cgroup": cgroup, "pod_uid": UID, "container_id": null, "action": action, "page_size": "2Mi",
                    "value": RESERVED, "old": old, "result": "written", "reason": null,
                })
            };
            [entry("bound", json!("max")), entry("rescue", json!(GRANTED))]
        });
        let writes = |action: &str, result: &str, reason: Value, count: u64| json!({"action": action, "result": result, "reason": reason, "count": count});
        let report = json!({
            "schema": "hugetlb-guard", "version": 1, "boot": boot, "written_ms": 1, "due_ms": due,
            "content": {
                "mode": "enforce",
                "policy": {
                    "refuse": "ungranted", "rescue": true, "rescue_bound": true,
                    "excluded_namespaces": ["kube-system"],
                },
                "paused": false, "started": 1, "trouble": null,
                "entries": entries.concat(), "left_out": 0,
                "writes": [
                    writes("rescue", "written", Value::Null, 2),
                    writes("rescue", "skipped", json!("pool-short"), 1),
                ],
            },
        });
        let file = self.reports().join("guard.json");
        fs::write(file.with_extension("new"), report.to_string()).expect("written");
        fs::rename(file.with_extension("new"), file).expect("renamed");
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = self.machine.flags();
        flags.push(format!("--collector.guard={}", self.reports().display()));
        flags
    }

    /// What `report` writes to stdout, its complaint and its exit code.
    fn told(&self, output: &str) -> (String, String, i32) {
        let mut command = Command::new(program());
        let told = command.args(["report", output]).args(self.flags()).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(told.stdout), text(told.stderr), told.status.code().expect("an exit"))
    }
}

#[test]
fn who_was_rescued_will_not_crash_and_all_say_so() {
    let node = Node::rescued();
    let (table, complaint, code) = node.told("--output=table");
    assert_eq!((complaint.as_str(), code), ("", 0), "nobody will be killed: {table}");
    let begin = "WARNING rescued\n  Container postgres of pod prod/db-0 has mapped 200Mi of 2Mi pages and was\n  granted 128Mi: it would have been killed by SIGBUS, and the guard has raised\n  its limit.\n  To do: Set hugepages-2Mi of container postgres to at least 200Mi";
    assert!(table.starts_with(begin), "{table}");
    let words: Vec<_> = table.split_whitespace().collect();
    let guard = "Guard It refuses mappings of pods that were granted none and rescues who has reserved more than may be touched. Writes since it started: rescue skipped 1, rescue written 2.";
    assert!(words.join(" ").contains(guard), "{table}");
    let (metrics, ..) = node.told("--output=prometheus");
    for line in [
        r#"hugetlb_guard_info{mode="enforce",refuse="ungranted",rescue="on"} 1"#,
        r#"hugetlb_guard_writes_total{action="rescue",result="written"} 2"#,
        r#"hugetlb_guard_skips_total{action="rescue",reason="pool-short"} 1"#,
        r#"hugetlb_pod_guarded{namespace="prod",pod="db-0",uid="6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b",pagesize="2Mi",action="rescue"} 1"#,
        r#"hugetlb_container_guarded{namespace="prod",pod="db-0",container="postgres",uid="6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b",pagesize="2Mi",action="refuse"} 1"#,
        r#"hugetlb_container_failure_mode{namespace="prod",pod="db-0",container="postgres",uid="6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b",pagesize="2Mi",mode="enomem"} 1"#,
        r#"hugetlb_exporter_source_up{source="guard"} 1"#,
        r#"hugetlb_pool_promised_bytes{pagesize="2Mi"} 134217728"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    let view: Value = serde_json::from_str(&node.told("--output=json").0).expect("JSON");
    keeps_to_its_schema(&view);
    let size = &view["containers"][0]["sizes"][0];
    assert_eq!(
        (&size["guarded"], &size["granted_limit_bytes"]),
        (&json!(["refuse", "rescue"]), &json!(GRANTED))
    );
    assert_eq!(view["guard"]["mode"], "enforce");
}

fn keeps_to_its_schema(report: &Value) {
    let schema = fs::read_to_string(testkit::project().join("docs/report.schema.json"));
    let schema = serde_json::from_str(&schema.expect("a schema")).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    let wrong: Vec<_> = schema.iter_errors(report).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_kernels_figures_outweigh_the_report() {
    let node = Node::rescued();
    // Somebody has set the limits back, and no report says so.
    node.limit(GRANTED);
    let (table, _, code) = node.told("--output=table");
    assert!(code == 2 && table.starts_with("CRITICAL will-crash\n"), "{table}");
    assert!(!table.contains("rescued"), "{table}");
    let (metrics, ..) = node.told("--output=prometheus");
    assert!(!metrics.contains("hugetlb_container_guarded"), "{metrics}");
}

#[test]
fn a_report_that_is_not_this_boots_is_not_believed() {
    let node = Node::rescued();
    node.report("another", u64::MAX / 2);
    let (table, complaint, code) = node.told("--output=table");
    assert_eq!(code, 1, "not everything could be looked at");
    let why = "guard.json: left from before the machine was booted";
    assert!(complaint.contains(why) && table.contains("Not seen:\n  guard: "), "{table}");
    assert!(!table.contains("rescued"), "{table}");
}

#[test]
fn the_agent_follows_the_guard_and_says_when_it_stops() {
    let node = Node::rescued();
    let flags = node.flags();
    let agent = Start::new(&flags).go();
    let up = |value: f64| {
        move |text: String| {
            let line = format!("hugetlb_exporter_source_up{{source=\"guard\"}} {value}");
            text.lines().any(|it| it == line).then_some(text)
        }
    };
    let found = wait_for("the finding, on the page too", || {
        let page = agent.get("/").text();
        let is_there = page.contains("rescued") && page.contains("<h2 id=\"guard\">Guard</h2>");
        is_there.then(|| agent.get("/metrics").text()).and_then(up(1.0))
    });
    assert!(found.contains("hugetlb_guard_info{"), "{found}");
    // Its writer has not renewed it: what it wrote is still there.
    node.report(BOOT, 1);
    let stopped = wait_for("word that it has stopped", || up(0.0)(agent.get("/metrics").text()));
    assert!(!stopped.contains("hugetlb_guard_info"), "{stopped}");
    assert!(stopped.contains("finding=\"rescued\""), "{stopped}");
    assert!(stopped.contains("hugetlb_guard_writes_total"), "{stopped}");
    let log = agent.log().join("\n");
    assert!(log.contains("the guard has stopped or hangs"), "{log}");
    fs::remove_file(node.reports().join("guard.json")).expect("removed");
    wait_for("word that it is gone", || {
        agent.get("/api/v1/view").text().contains("guard.json: no such file yet").then_some(())
    });
    node.report(BOOT, u64::MAX / 2);
    wait_for("it again", || up(1.0)(agent.get("/metrics").text()));
}
