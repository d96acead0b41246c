//! What may be wrong with a node's figures, or missing, while nothing is wrong with its pods: nothing new may be found, and
//! nobody be named who is not a pod of that node. And over an hour no alert fires.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use hugetlb_exporter::{Looking, Thresholds, look, metrics, report};
use proptest::prelude::*;
use serde_json::Value;

use crate::harness::exposition::Exposition;
use crate::machine::{self, Machine};

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

/// The directories of a node, each with its lines; what comes before the first is left out.
fn sections(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((path, Vec::new()));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line);
        }
    }
    sections
}

/// The same with other lines: `change` gets a directory and a line, and gives the line that there is to be, if any.
fn with_lines(text: &str, change: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut changed = String::new();
    for (path, lines) in sections(text) {
        let lines: Vec<String> = lines.into_iter().filter_map(|line| change(path, line)).collect();
        let _ = writeln!(changed, "[{path}]\n{}", lines.join("\n"));
    }
    changed
}

fn is_pool(path: &str) -> bool {
    path.contains("/hugepages/hugepages-") || path.contains("/mm/hugepages")
}

fn without(text: &str, drop: impl Fn(&str) -> bool) -> String {
    let kept = sections(text).into_iter().filter(|(path, _)| !drop(path));
    kept.fold(String::new(), |mut text, (path, lines)| {
        let _ = writeln!(text, "[{path}]\n{}", lines.join("\n"));
        text
    })
}

/// No page in any pool, so none in any cgroup.
fn without_pages(text: &str) -> String {
    with_lines(text, |path, line| {
        let name = line.split(" = ").next().unwrap_or_default();
        let is_page =
            is_pool(path) || ["current", "usage_in_bytes"].iter().any(|end| name.ends_with(end));
        Some(if is_page && line.contains(" = ") { format!("{name} = 0") } else { line.to_owned() })
    })
}

/// A kernel without the hugetlb controller.
fn without_controller(text: &str) -> String {
    with_lines(text, |_, line| match line {
        _ if line.starts_with("hugetlb.") => None,
        _ if line.starts_with("cgroup.") => Some(line.replace(" hugetlb", "")),
        _ if line.starts_with("mountinfo") => Some(line.replace(",hugetlb", ",memory")),
        _ => Some(line.to_owned()),
    })
}

/// A kernel without huge pages at all.
fn without_hugetlbfs(text: &str) -> String {
    let text = without(&without_controller(text), is_pool);
    with_lines(&text, |_, line| match line.split(" = ").next() {
        Some("meminfo") => Some("meminfo = MemTotal: 2000000 kB".to_owned()),
        Some("vmstat") => Some("vmstat = nr_free_pages 100".to_owned()),
        _ => Some(line.to_owned()),
    })
}

fn without_pods(text: &str) -> String {
    let is_pods = |path: &str| path.contains("-pod") || path.contains("/pod");
    with_lines(&without(text, is_pods), |path, line| {
        (!path.starts_with("/var/log/")).then(|| line.to_owned())
    })
}

/// The last directory above pods, and whether systemd made it.
fn above_pods(text: &str) -> Option<(String, bool)> {
    let paths = sections(text).into_iter().map(|(path, _)| path.to_owned());
    let mut above = paths.filter(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        !path.contains("-pod") && !path.contains("/pod") && name.contains("kubepods")
            || ["burstable", "besteffort"].contains(&name)
    });
    above.next_back().map(|path| {
        let is_systemd = path.ends_with(".slice");
        (path, is_systemd)
    })
}

/// A cgroup that a pod left behind: nobody is in it, and it has its limits.
fn leftover(text: &str, uid: &str, limit: &str, with_container: bool) -> Option<String> {
    let (above, is_systemd) = above_pods(text)?;
    let is_v1 = text.contains("limit_in_bytes");
    let tier = above.rsplit('/').next()?.trim_end_matches(".slice");
    let pod = if is_systemd {
        format!("{above}/{tier}-pod{}.slice", uid.replace('-', "_"))
    } else {
        format!("{above}/pod{uid}")
    };
    let mut sizes: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("hugetlb.")?.split('.').next()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = text.to_owned();
    let container = format!("{pod}/cri-containerd-{}.scope", "d".repeat(64));
    for path in [Some(pod), with_container.then_some(container)].into_iter().flatten() {
        let _ = writeln!(text, "\n[{path}]\ncgroup.procs =\n");
        for size in &sizes {
            let files: &[(&str, &str)] = if is_v1 {
                &[
                    ("usage_in_bytes", "0"),
                    ("rsvd.usage_in_bytes", "0"),
                    ("limit_in_bytes", limit),
                    ("rsvd.limit_in_bytes", "9223372036854771712"),
                    ("failcnt", "0"),
                    ("rsvd.failcnt", "0"),
                ]
            } else {
                &[
                    ("current", "0"),
                    ("rsvd.current", "0"),
                    ("max", limit),
                    ("rsvd.max", "max"),
                    ("events", "max 0"),
                    ("events.local", "max 0"),
                ]
            };
            for (file, value) in files {
                let _ = writeln!(text, "hugetlb.{size}.{file} = {value}");
            }
        }
        if !is_v1 {
            let _ = writeln!(text, "cgroup.events = populated 0\\nfrozen 0");
        }
    }
    Some(text)
}

/// The counters that kernels have taken below zero, or too low, and nobody's use of pages.
fn miscounted(text: &str, counter: &str, value: &str) -> String {
    with_lines(text, |path, line| {
        let is_it = path.contains("/mm/hugepages/") && line.starts_with(&format!("{counter} = "));
        Some(if is_it { format!("{counter} = {value}") } else { line.to_owned() })
    })
}

/// Every container in a cgroup that another runtime would have made.
fn renamed(text: &str, prefix: &str) -> String {
    text.replace("/cri-containerd-", prefix)
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

/// The pods' cgroups are gone, and each container is where a runtime puts it by itself, with the limit it had there.
fn without_pod_cgroups(text: &str, above: &str) -> String {
    let mut changed = String::new();
    let all = sections(text);
    let root = all.iter().find(|(path, _)| path.contains("kubepods")).map(|(_, lines)| lines);
    let _ = writeln!(changed, "[/sys/fs/cgroup/{above}]\n{}", root.expect("kubepods").join("\n"));
    for (path, lines) in &all {
        let id = path.rsplit(['/', '-']).next().unwrap_or_default().trim_end_matches(".scope");
        let is_container = id.len() == 64 && path.contains("pod");
        let is_above = path.contains("kubepods") && !is_container;
        if is_above {
            continue;
        }
        let path =
            if is_container { format!("/sys/fs/cgroup/{above}/{id}") } else { (*path).to_owned() };
        let _ = writeln!(changed, "[{path}]\n{}", lines.join("\n"));
    }
    changed
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

/// Every alert of the rules.
fn alerts() -> Vec<String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/chart/files/rules.yaml");
    let rules = fs::read_to_string(rules).expect("rules");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// A test of the rules: what a node says, said for an hour, and no alert.
fn hour_of(name: &str, text: &str) -> String {
    let machine = Machine::from_text(text);
    let exposition = Exposition::parse(&metrics::encode(&look(Looking::at(machine.roots()))));
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/chart/files/rules.yaml");
    let own = "cluster=\"eu\", node=\"n1\", instance=\"10.0.0.1:10270\", job=\"hugetlb-exporter\"";
    let mut test = format!(
        "rule_files: [{}]\nevaluation_interval: 30s\n\
         group_eval_order: [hugetlb-findings, hugetlb-trends, hugetlb-exporter, hugetlb-fleet]\n\
         tests:\n- name: {name}\n  interval: 1m\n  input_series:\n  - series: 'up{{{own}}}'\n    values: 1+0x60\n",
        rules.display()
    );
    for sample in exposition.samples() {
        let labels = sample.labels.iter().map(|(label, value)| format!("{label}=\"{value}\", "));
        let labels: String = labels.collect();
        let values = match sample.name.as_str() {
            "hugetlb_exporter_snapshot_timestamp_seconds" => "0+60x60".to_owned(),
            _ => format!("{}+0x60", sample.value),
        };
        let name = &sample.name;
        let _ = writeln!(test, "  - series: '{name}{{{labels}{own}}}'\n    values: {values}");
    }
    test.push_str("  alert_rule_test:\n");
    for alert in alerts() {
        for minute in [20, 60] {
            let _ =
                writeln!(test, "  - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: []}}");
        }
    }
    test
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
