//! What a node says, said for an hour to the rules.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use hugetlb_exporter::{Looking, look, metrics};

use crate::harness::exposition::Exposition;
use crate::machine::Machine;

/// Every alert of the rules.
fn alerts() -> Vec<String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/chart/files/rules.yaml");
    let rules = fs::read_to_string(rules).expect("rules");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// A test of the rules: what a node says, said for an hour, and no alert.
pub fn hour_of(name: &str, text: &str) -> String {
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
