//! The alerts: each parses, names what there is, says what to do and where to read on, and fires and keeps silent
//! in a test of its own. What the rules do is tested by `promtool test rules`; this is what it does not look at.

mod expressions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hugetlb_exporter::RULES;
use promql_parser::parser::{self, Expr};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use expressions::{kept, parts, parts_that_fire, selected};

/// Findings without an alert, and why.
const NO_ALERT: &[(&str, &str)] = &[
    (
        "pages-orphaned",
        "a pod that ends leaves some for a moment; what is missing is HugetlbPoolShort",
    ),
    (
        "pages-unattributed",
        "host processes that were given their share; else it is HugetlbPoolShort",
    ),
    ("refused-without-grant", "programs that try huge pages and go on without: nothing is wrong"),
    ("memory-accounting", "a property of the node; who is too small for it is HugetlbMemoryShort"),
    ("reservations-unseen", "a property of the kernel, which nobody mends by being called"),
];

/// Metrics of others; ALERTS are Prometheus's own.
const FOREIGN: &[&str] =
    &["ALERTS", "up", "kube_node_status_capacity", "pg_settings_shared_memory_size_in_huge_pages"];

const RUNBOOKS: &str =
    "https://github.com/hugetlb-exporter/hugetlb-exporter/blob/main/docs/alerts.md#";

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A rule of either kind: what the other kind has is empty.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Rule {
    record: String,
    alert: String,
    expr: String,
    r#for: String,
    keep_firing_for: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    alert_rule_test: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Alertmanager {
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("text")
}

fn parsed<T: DeserializeOwned>(path: &str) -> T {
    serde_norway::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules() -> Vec<Rule> {
    let file: RuleFile = parsed("manifests/chart/files/rules.yaml");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| !rule.alert.is_empty()).collect()
}

/// What the tests of the rules expect of each alert.
fn checks() -> Vec<Check> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let names = fs::read_dir(directory)
        .expect("tests of rules")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let files = names.map(|name| parsed::<TestFile>(&format!("tests/rules/{name}")));
    files.flat_map(|file| file.tests).flat_map(|case| case.alert_rule_test).collect()
}

/// Fails with all that was found.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn parse(rule: &Rule) -> Expr {
    parser::parse(&rule.expr)
        .unwrap_or_else(|error| panic!("{}{}: {error}", rule.alert, rule.record))
}

#[test]
fn expressions_name_metrics_and_findings_that_there_are() {
    let reference = text("docs/METRICS.md");
    let rules = rules();
    let mut known: BTreeSet<&str> = FOREIGN.iter().copied().collect();
    known.extend(reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()));
    known.extend(rules.iter().map(|rule| rule.record.as_str()));
    let mut faults = Vec::new();
    for rule in &rules {
        for (metric, finding) in selected(parts(&parse(rule))) {
            let who = format!("{}{}", rule.alert, rule.record);
            if !known.contains(metric.as_str()) {
                faults.push(format!("{who} asks for {metric}, which nobody has"));
            }
            if let Some(finding) = finding.filter(|name| RULES.iter().all(|r| r.name != name)) {
                faults.push(format!("{who} asks for the finding {finding}, which there is not"));
            }
        }
    }
    none(&faults);
}

#[test]
fn an_alert_is_as_severe_as_its_finding_and_every_finding_has_one() {
    let mut faults = Vec::new();
    let mut alerted = BTreeSet::new();
    for alert in alerts() {
        let severity = alert.labels.get("severity").map_or("", String::as_str);
        if !["critical", "warning", "info"].contains(&severity) {
            faults.push(format!("{} is {severity:?}", alert.alert));
        }
        for finding in
            selected(parts_that_fire(&parse(&alert))).into_iter().filter_map(|(_, finding)| finding)
        {
            let of = RULES.iter().find(|rule| rule.name == finding);
            if of.is_some_and(|rule| rule.severity.to_string() != severity) {
                faults.push(format!("{} is {severity} and {finding} is not", alert.alert));
            }
            alerted.insert(finding);
        }
    }
    for rule in RULES {
        let excepted = NO_ALERT.iter().any(|(name, _)| *name == rule.name);
        if alerted.contains(rule.name) == excepted {
            faults.push(format!("{} has an alert or a reason to have none: not both", rule.name));
        }
    }
    none(&faults);
}

#[test]
fn an_alert_is_about_a_pod_and_not_about_its_uid_or_an_address() {
    let mut faults = Vec::new();
    for alert in alerts() {
        let Some(labels) = kept(&parse(&alert)) else {
            faults.push(format!("{} keeps all labels", alert.alert));
            continue;
        };
        for label in ["uid", "instance"].into_iter().filter(|label| labels.contains(*label)) {
            // An address is all there is to name an exporter that never said of which node it is.
            if (alert.alert.as_str(), label) != ("HugetlbExporterDown", "instance") {
                faults.push(format!("{} keeps {label}", alert.alert));
            }
        }
    }
    none(&faults);
}

#[test]
fn an_alert_says_what_is_wrong_and_where_to_read_on() {
    let runbooks = text("docs/alerts.md");
    let mut faults = Vec::new();
    for alert in alerts() {
        let name = &alert.alert;
        let said = |what: &str| alert.annotations.get(what).map_or("", String::as_str);
        let summary = said("summary");
        if !summary.ends_with('.') || summary.contains("{{") {
            faults.push(format!("{name}: the summary is no plain sentence: {summary:?}"));
        }
        if said("description").is_empty() {
            faults.push(format!("{name} has no description"));
        }
        if said("runbook_url") != format!("{RUNBOOKS}{}", name.to_lowercase()) {
            faults.push(format!("{name}: the runbook is {:?}", said("runbook_url")));
        }
        if !runbooks.lines().any(|line| line == format!("## {name}")) {
            faults.push(format!("{name} has no heading in docs/alerts.md"));
        }
        let severity = alert.labels.get("severity").map_or("", String::as_str);
        let wait = if alert.r#for == "0s" { "at once" } else { &alert.r#for };
        let keep = alert.keep_firing_for.as_deref().unwrap_or("–");
        let row = format!("| [{name}](#{}) | {severity} | {wait} | {keep} |", name.to_lowercase());
        if !runbooks.lines().any(|line| line.starts_with(&row)) {
            faults.push(format!("the table in docs/alerts.md lacks {row}"));
        }
    }
    none(&faults);
}

#[test]
fn an_alert_fires_in_a_test_and_keeps_silent_in_a_test() {
    let checks = checks();
    let mut faults = Vec::new();
    for alert in alerts() {
        let of: Vec<_> = checks.iter().filter(|check| check.alertname == alert.alert).collect();
        for (what, found) in [
            ("fires", of.iter().any(|check| !check.exp_alerts.is_empty())),
            ("keeps silent", of.iter().any(|check| check.exp_alerts.is_empty())),
        ] {
            if !found {
                faults.push(format!("no test in which {} {what}", alert.alert));
            }
        }
    }
    // A name that is no alert's never fires, so a test of its silence would hold for ever.
    for check in &checks {
        if alerts().iter().all(|alert| alert.alert != check.alertname) {
            faults.push(format!("{} is tested and is no alert", check.alertname));
        }
    }
    none(&faults);
}

#[test]
fn a_tired_person_can_read_what_an_alert_says() {
    let mut faults = BTreeSet::new();
    for said in checks().iter().flat_map(|check| &check.exp_alerts) {
        let text = said.exp_annotations.get("description").map_or("", String::as_str);
        let broken = ["  ", " .", " ,", " :", "<", "{{", "e+"];
        for wrong in broken.into_iter().filter(|wrong| text.contains(wrong)) {
            faults.insert(format!("{wrong:?} in {text:?}"));
        }
        if !text.ends_with('.') || !text.starts_with(|first: char| first.is_uppercase()) {
            faults.insert(format!("no sentence: {text:?}"));
        }
    }
    none(&faults.into_iter().collect::<Vec<_>>());
}

#[test]
fn alertmanager_holds_back_alerts_that_there_are_and_nothing_critical() {
    let example: Alertmanager = parsed("manifests/alertmanager.yaml");
    let alerts = alerts();
    let named = |matchers: &[String]| -> Vec<String> {
        let pattern = matchers.iter().find_map(|matcher| matcher.strip_prefix("alertname="));
        let pattern = pattern.expect("an inhibition names alerts").trim_matches(['~', '"']);
        pattern.split('|').map(ToOwned::to_owned).collect()
    };
    let mut faults = Vec::new();
    for rule in &example.inhibit_rules {
        let targets = named(&rule.target_matchers);
        for name in named(&rule.source_matchers).iter().chain(&targets) {
            match alerts.iter().find(|alert| alert.alert == *name) {
                None => faults.push(format!("{name} is no alert")),
                Some(alert) if targets.contains(name) && alert.labels["severity"] == "critical" => {
                    faults.push(format!("{name} is critical and held back"));
                }
                Some(_) => {}
            }
        }
    }
    none(&faults);
}
