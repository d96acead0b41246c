//! Answers that anyone may have made, and the order of those that are reports.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::render::report::{Layout, fleet_json, fleet_table};

fn report(name: &str, findings: &Value) -> Value {
    json!({
        "node": name, "findings": findings, "pools": [], "pods": [], "containers": [],
        "cgroups": [], "sources": [{"source": "cgroups", "up": true}],
    })
}

fn finding(name: &str, severity: &str) -> Value {
    json!({"finding": name, "severity": severity, "summary": format!("{name} it is."), "remedy": "Mend it."})
}

fn heard(reports: &[Value]) -> Fleet {
    let read = |report: &Value| {
        NodeReport::read(report.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    Fleet::of(reports.iter().enumerate().map(|(at, it)| (format!("http://n{at}:1"), read(it))))
}

fn why(body: &[u8]) -> String {
    NodeReport::read(body).expect_err("no report").to_string()
}

#[test]
fn the_worst_comes_first_over_all_nodes() {
    let fleet = heard(&[
        report("quiet", &json!([])),
        report(
            "two",
            &json!([finding("faults-refused", "critical"), finding("idle-grant", "info")]),
        ),
        report("one", &json!([finding("will-crash", "critical")])),
        report(
            "new",
            &json!([finding("of-another-version", "critical"), finding("x", "dreadful")]),
        ),
    ]);
    let order: Vec<_> = fleet
        .findings()
        .into_iter()
        .map(|(place, finding)| format!("{} {}", fleet.name(place), finding.name))
        .collect();
    assert_eq!(
        order,
        [
            "one will-crash",
            "two faults-refused",
            "new of-another-version",
            "two idle-grant",
            "new x"
        ]
    );
    assert!(fleet.will_crash() && !heard(&[report("a", &json!([]))]).will_crash());
}

#[test]
fn what_is_no_report_is_said_and_costs_only_itself() {
    assert!(why(b"<html>").contains("is no JSON: expected value"), "{}", why(b"<html>"));
    assert!(why(b"<html>").contains("\"<html>\"; expected a hugetlb-exporter"));
    assert!(why(b"[1]").contains("has no list findings"), "{}", why(b"[1]"));
    assert!(why(br#"{"findings": [], "pools": 7}"#).contains("has no list pools"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(why(deep.as_bytes()).contains("recursion limit"), "{}", why(deep.as_bytes()));
    let fleet = heard(&[json!("nonsense"), report("a", &json!([7, null, {"severity": 9}]))]);
    assert_eq!((fleet.reports.len(), fleet.unanswered.len()), (1, 1));
    assert_eq!(fleet.findings().len(), 3);
}

#[test]
fn two_nodes_of_one_name_are_told_apart_and_one_without_is_its_url() {
    let fleet = heard(&[report("a", &json!([])), report("a", &json!([])), report("", &json!([]))]);
    let names: Vec<_> = (0..3).map(|place| fleet.name(place)).collect();
    assert_eq!(names, ["http://n2:1", "a (http://n0:1)", "a (http://n1:1)"]);
}

#[test]
fn nothing_that_a_node_says_commands_a_terminal() {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{7}\r\nx";
    let mut one = report(evil, &json!([finding(evil, "critical")]));
    one["pods"] =
        json!([{"namespace": evil, "pod": evil, "uid": "u", "sizes": [{"pagesize": evil}]}]);
    one["containers"] = json!([{"container": evil, "uid": "u", evil: 1, "sizes": [{"pagesize": "2Mi", "usage_bytes": evil}]}]);
    one["pools"] = json!([{"pagesize": evil, "size_bytes": -1}]);
    one["sources"] = json!([{"source": evil, "up": false, "problem": evil}]);
    let fleet = Fleet::of([
        ("http://a:1".to_owned(), Ok(NodeReport::read(one.to_string().as_bytes()).expect("one"))),
        ("http://b:1".to_owned(), Err(evil.to_owned())),
    ]);
    for text in [fleet_table(&fleet, Layout::default()), fleet_json(&fleet)] {
        let commands = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!text.contains(commands), "{text:?}");
        assert!(text.contains('\u{fffd}'), "{text}");
    }
}

#[test]
fn of_some_pods_alone_the_others_are_left_out() {
    let mut one = report(
        "a",
        &json!([
            {"finding": "will-crash", "severity": "critical", "namespace": "prod", "pod": "db-0", "uid": "u"},
            {"finding": "will-crash", "severity": "critical", "namespace": "test", "pod": "db-0", "uid": "v"},
            {"finding": "will-crash", "severity": "critical", "cgroup": "/kubepods/burstable"},
            {"finding": "will-crash", "severity": "critical", "cgroup": "/kubepods/besteffort"},
            {"finding": "trap-armed", "severity": "warning"},
        ]),
    );
    one["pods"] = json!([
        {"namespace": "prod", "pod": "db-0", "uid": "u", "sizes": []},
        {"namespace": "test", "pod": "db-0", "uid": "v", "sizes": []},
    ]);
    one["containers"] = json!([
        {"namespace": "prod", "pod": "db-0", "uid": "u", "container": "c", "cgroup": "/kubepods/burstable/podu/c", "sizes": []},
    ]);
    let mut fleet = heard(&[one]);
    fleet.keep_only(Some("prod"), Some("db-0"));
    assert_eq!(fleet.findings().len(), 3, "{:?}", fleet.findings());
    assert_eq!(fleet.reports[0].1.pods().count(), 1);
    fleet.keep_only(Some("prod"), Some("nobody"));
    assert_eq!((fleet.findings().len(), fleet.reports[0].1.pods().count()), (1, 0));
}

proptest! {
    #[test]
    fn no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..200), width in 20_usize..200) {
        let read = NodeReport::read(&body).map_err(|error| error.to_string());
        let fleet = Fleet::of([("http://a:1".to_owned(), read)]);
        let _ = (fleet_table(&fleet, Layout { width, ..Layout::default() }), fleet_json(&fleet));
    }

    #[test]
    fn no_figure_panics(number in any::<i64>(), size in "[0-9]{0,20}[KMGi]{0,3}", width in 20_usize..200) {
        let mut one = report("a", &json!([finding("will-crash", "critical")]));
        let figures = json!([{"pagesize": size, "usage_bytes": number, "limit_bytes": "x", "shortfall_bytes": number}]);
        one["pods"] = json!([{"uid": "u", "sizes": figures}]);
        one["pools"] = json!([{"pagesize": size, "size_bytes": number, "reserved_bytes": number}]);
        let text = fleet_table(&heard(&[one]), Layout { width, ..Layout::default() });
        prop_assert!(text.contains("will-crash"));
    }
}
