//! What may be wrong with a node's figures, or missing, while nothing is wrong with its pods: nothing new may be found, and
//! nobody be named who is not a pod of that node. And over an hour no alert fires.

mod hour;
mod variants;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use hugetlb_exporter::{Looking, Thresholds, look, report};
use proptest::prelude::*;
use serde_json::Value;

use crate::machine::{self, Machine};
use hour::hour_of;
use variants::{
    leftover, miscounted, renamed, without_controller, without_hugetlbfs, without_pages,
    without_pod_cgroups, without_pods,
};

/// What is found: each by its name, the pod or cgroup it is about, and the page size.
type Found = BTreeSet<(String, String, String)>;

struct Told {
    found: Found,
    /// The UIDs of all pods that a finding concerns.
    concerned: BTreeSet<String>,
    /// The UIDs of all pods that are seen.
    pods: BTreeSet<String>,
    /// The sources that are down.
    down: BTreeSet<String>,
}

fn told(text: &str) -> Told {
    let machine = Machine::from_text(text);
    let thresholds = Thresholds { show_idle: true, ..Thresholds::default() };
    let view = look(Looking { thresholds, ..Looking::at(machine.roots()) });
    let concerned = view.assessment.findings.iter().flat_map(|it| it.pods().map(str::to_owned));
    let concerned = concerned.collect();
    let json: Value = serde_json::from_str(&report::json(&view)).expect("JSON");
    let all = |list: &str| json[list].as_array().expect("a list").clone();
    let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let found = all("findings").into_iter().map(|it| {
        let whom = [text(&it, "namespace"), text(&it, "pod"), text(&it, "cgroup")].join("/");
        (text(&it, "finding"), whom, text(&it, "pagesize"))
    });
    let found = found.collect();
    let tenants = all("pods").into_iter().chain(all("containers"));
    let down = all("sources").into_iter().filter(|it| it["up"] != true);
    Told {
        found,
        concerned,
        pods: tenants.map(|it| text(&it, "uid")).collect(),
        down: down.map(|it| text(&it, "source")).collect(),
    }
}

fn node(name: &str) -> String {
    fs::read_to_string(machine::nodes().join(format!("{name}.node"))).expect("a node")
}

/// Nothing that was not there before, and nobody who is not there.
#[track_caller]
fn check(what: &str, before: &Told, after: &Told) {
    let new: Vec<_> = after.found.difference(&before.found).collect();
    assert!(new.is_empty(), "{what}: {new:?}");
    let strangers: Vec<_> = after.concerned.difference(&before.pods).collect();
    assert!(strangers.is_empty(), "{what}: {strangers:?} are concerned");
    let down: Vec<_> = after.down.difference(&before.down).collect();
    assert!(down.is_empty(), "{what}: {down:?} are down");
}

const UID: &str = "0f0f0f0f-1111-4222-8333-444444444444";

fn any_node() -> impl Strategy<Value = String> {
    prop::sample::select(machine::all())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_a_node_without_pages_lacks_is_not_missed(
        name in any_node(),
        lacks in prop::sample::subsequence(vec!["controller", "hugetlbfs", "pods"], 1..=3),
    ) {
        let before = told(&node(&name));
        let mut text = without_pages(&node(&name));
        for what in &lacks {
            text = match *what {
                "controller" => without_controller(&text),
                "hugetlbfs" => without_hugetlbfs(&text),
                _ => without_pods(&text),
            };
        }
        let after = told(&text);
        check(&format!("{name} without pages and {lacks:?}"), &before, &after);
        if lacks.contains(&"hugetlbfs") {
            prop_assert!(after.found.is_empty(), "{:?}", after.found);
        }
    }

    #[test]
    fn what_a_pod_left_behind_promises_nothing(
        name in any_node(),
        limit in prop::sample::select(vec!["0", "2097152", "1073741824", "9223372036854771712"]),
        number in 1..4_u32,
        with_container: bool,
    ) {
        let before = told(&node(&name));
        let mut text = node(&name);
        for number in 0..number {
            let uid = format!("{}{number}", &UID[..UID.len() - 1]);
            text = leftover(&text, &uid, limit, with_container).unwrap_or(text);
        }
        check(&format!("{name} and {number} of {limit}"), &before, &told(&text));
    }

    #[test]
    fn what_the_kernel_miscounts_is_nobodys_fault(
        name in any_node(),
        counter in prop::sample::select(vec!["resv_hugepages", "surplus_hugepages"]),
        off in 1..200_u64,
    ) {
        let before = told(&node(&name));
        let value = (u64::MAX - off + 1).to_string();
        let after = told(&miscounted(&node(&name), counter, &value));
        check(&format!("{name} with {counter} of -{off}"), &before, &after);
        let after = told(&miscounted(&node(&name), counter, "0"));
        check(&format!("{name} with {counter} of 0"), &before, &after);
    }

    #[test]
    fn who_it_is_the_id_tells(
        name in any_node(),
        prefix in prop::sample::select(vec!["/docker-", "/crio-", "/libpod-"]),
    ) {
        let before = told(&node(&name));
        let after = told(&renamed(&node(&name), prefix));
        check(&format!("{name} with {prefix}"), &before, &after);
    }
}

#[test]
fn containers_without_pods_cgroups_are_known_by_their_ids() {
    for name in ["seed", "v2-systemd-runc", "v2-cgroupfs-runc", "restarted-container"] {
        let before = told(&node(name));
        for above in ["k8s.io", "docker", "system.slice"] {
            let after = told(&without_pod_cgroups(&node(name), above));
            let strange = after.found.iter().find(|(finding, whom, _)| {
                let crash = ["will-crash", "uncertain"].contains(&finding.as_str());
                finding == "controller-missing"
                    || finding == "outside-pod-cgroup"
                    || (crash && !before.found.iter().any(|(_, other, _)| other == whom))
            });
            assert_eq!(strange, None, "{name} below {above}");
            assert!(after.concerned.is_subset(&before.pods), "{name}: {:?}", after.concerned);
            assert!(!after.pods.is_empty(), "{name}: nobody is known");
        }
    }
}

#[test]
fn no_alert_fires_in_an_hour_of_a_healthy_node() {
    let healthy = node("resv-underflow");
    let nodes = [
        ("leaked", node("leaked-pod-cgroups")),
        ("no-controller", node("no-controller-no-pages")),
        ("no-hugetlbfs", node("no-hugetlbfs")),
        ("underflow", healthy.clone()),
        ("leftover", leftover(&healthy, UID, "1073741824", true).expect("a node with pods")),
        ("no-pods", without_pods(&healthy)),
        ("no-pages", without_controller(&without_pages(&healthy))),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let files = nodes.map(|(name, text)| {
        let file = directory.path().join(format!("{name}.yaml"));
        fs::write(&file, hour_of(name, &text)).expect("written");
        file
    });
    // `.ci/run` sees to it that there is one.
    let output = match Command::new("promtool").args(["test", "rules"]).args(files).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        output => output.expect("it runs"),
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
