//! The dashboards as they are shipped, and what they ask Prometheus.

use std::fs;

use serde_json::Value;

use crate::project;

/// What a dashboard's variables become where all is chosen; the longer names stand first.
const CHOSEN: &[(&str, &str)] = &[
    ("$__rate_interval", "1m"),
    ("$__interval", "1m"),
    ("$__range", "1h"),
    ("$namespace", ".*"),
    ("$pagesize", ".*"),
    ("$cluster", ".*"),
    ("$node", ".*"),
];

/// One question of one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The dashboard's file, `fleet.json`.
    pub dashboard: String,
    /// The panel's title.
    pub panel: String,
    /// PromQL without variables.
    pub expression: String,
}

/// Every dashboard with the name of its file.
pub fn all() -> Vec<(String, Value)> {
    let directory = project().join("manifests/chart/dashboards");
    let entries = fs::read_dir(directory).expect("the dashboards");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let parsed = paths.into_iter().map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text");
        let dashboard = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{name} is no JSON: {error}"));
        (name, dashboard)
    });
    parsed.collect()
}

/// The panels of a dashboard, those in folded rows and the rows themselves too.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = items(&dashboard["panels"]);
    outer.flat_map(|panel| std::iter::once(panel).chain(items(&panel["panels"]))).collect()
}

/// The items of an array; none if it is none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An expression as Grafana sends it where all is chosen.
pub fn sent(expression: &str) -> String {
    CHOSEN.iter().fold(expression.to_owned(), |sent, (name, value)| sent.replace(name, value))
}

/// Everything that the dashboards ask.
pub fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (name, dashboard) in all() {
        for panel in panels(&dashboard) {
            for target in items(&panel["targets"]) {
                queries.push(Query {
                    dashboard: name.clone(),
                    panel: panel["title"].as_str().unwrap_or_default().to_owned(),
                    expression: sent(target["expr"].as_str().unwrap_or_default()),
                });
            }
        }
    }
    queries
}
