//! Whole outputs for whole machines, compared with `tests/golden/*`. `UPDATE_EXPECT=1 cargo test` writes them;
//! then read the difference.

use expect_test::expect_file;
use hugetlb_exporter::{Looking, Thresholds, findings, look, metrics, report, report::Layout};
use std::path::Path;

use crate::harness::exposition;
use crate::machine::{self, Machine};

/// What differs between two runs on one machine.
const VARYING: [&str; 3] = [
    "hugetlb_exporter_build_info{",
    "hugetlb_exporter_snapshot_timestamp_seconds ",
    "hugetlb_exporter_poll_duration_seconds ",
];

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn every_machine_is_shown_as_it_was() {
    for name in machine::all() {
        let machine = Machine::named(&name);
        let view = look(Looking::at(machine.roots()));
        let root = machine.root().display().to_string();
        let metrics = metrics::encode(&view);
        exposition::check(&name, &metrics);
        let lines =
            metrics.lines().filter(|line| !VARYING.iter().any(|start| line.starts_with(start)));
        let metrics: String =
            lines.filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        expect_file![golden(&format!("{name}.prom"))].assert_eq(&metrics.replace(&root, "ROOT"));
        expect_file![golden(&format!("{name}.json"))]
            .assert_eq(&report::json(&view).replace(&root, "ROOT"));
        expect_file![golden(&format!("{name}.txt"))]
            .assert_eq(&report::table(&view, Layout::default()).replace(&root, "ROOT"));
    }
}

#[test]
fn the_table_fits_a_terminal() {
    for name in machine::all() {
        let machine = Machine::named(&name);
        let view = look(Looking::at(machine.roots()));
        for width in [40, 60, 80, 120, 200] {
            let table = report::table(&view, Layout { width, ..Layout::default() });
            // What is not seen is told in sentences, which a terminal may wrap.
            let table = table.split("\nNot seen:").next().expect("a table");
            let widest = table.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{name} is {widest:?} wide, not {width}:\n{table}");
        }
    }
}

#[test]
fn the_reference_of_metrics_is_made_from_their_table() {
    expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md")]
        .assert_eq(&metrics::reference());
}

#[test]
fn the_reference_of_findings_is_made_from_their_rules() {
    expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md")]
        .assert_eq(&findings::reference());
}

#[test]
fn idle_pods_are_shown_on_demand() {
    let machine = Machine::named("v2-systemd-runc");
    let count = |idle| {
        let thresholds = Thresholds { show_idle: idle, ..Thresholds::default() };
        let text = metrics::encode(&look(Looking { thresholds, ..Looking::at(machine.roots()) }));
        text.lines().filter(|line| line.starts_with("hugetlb_pod_usage_bytes{")).count()
    };
    assert_eq!((count(false), count(true)), (3, 4), "the pod without huge pages is idle");
}

/// Every key that is written is in the schema, and every figure of the kind it says.
#[test]
fn every_report_keeps_to_its_schema() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json"),
    );
    let schema = serde_json::from_str(&text.expect("a schema")).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    for name in machine::all() {
        let machine = Machine::named(&name);
        let report = report::json(&look(Looking::at(machine.roots())));
        let report = serde_json::from_str(&report).expect("JSON");
        let faults: Vec<String> = schema
            .iter_errors(&report)
            .map(|fault| format!("{name}: {}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
