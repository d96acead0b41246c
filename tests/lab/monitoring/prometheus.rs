//! Prometheus, scraping the agent.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Alertmanager, Server, shipped, with};
use crate::harness::{http, wait_for};

/// A running Prometheus.
pub struct Prometheus(Server);

/// How alerts are evaluated.
pub struct Alerting<'a> {
    /// How often it scrapes and evaluates.
    pub interval: Duration,
    /// Who is told.
    pub alertmanager: &'a Alertmanager,
}

impl Prometheus {
    /// Scrapes a target every second, with `honor_labels: true`.
    pub fn scraping(target: SocketAddr) -> Self {
        Self::scraping_with(target, "")
    }

    /// The same with more lines for the job.
    pub fn scraping_with(target: SocketAddr, more: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let job = scrape(target);
        Self::start(directory, &format!("global: {{scrape_interval: 1s}}\n{job}{more}"))
    }

    /// The same with the shipped rules.
    pub fn alerting(target: SocketAddr, alerting: &Alerting<'_>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let interval = format!("{}s", alerting.interval.as_secs());
        let rules = shipped("manifests/chart/files/rules.yaml");
        let rules = with(&rules, "interval: 15s", &format!("interval: {interval}"));
        fs::write(directory.path().join("rules.yaml"), rules).expect("written");
        let text = format!(
            "global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n\
             rule_files: [rules.yaml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n{}",
            alerting.alertmanager.address(),
            scrape(target),
        );
        Self::start(directory, &text)
    }

    /// Scrapes and evaluates every second without `honor_labels`, so that these labels of the target, `, pod: x`, take the
    /// place of those of the series. What the rules keep after an end they keep for 2 s.
    pub fn overriding(target: SocketAddr, labels: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = shipped("manifests/chart/files/rules.yaml");
        let rules = with(&rules, "interval: 15s", "interval: 1s");
        let rules = with(&rules, "keep_firing_for: 1m", "keep_firing_for: 2s");
        fs::write(directory.path().join("rules.yaml"), rules).expect("written");
        let job = with(&scrape(target), "  honor_labels: true\n", "");
        let job = with(&job, "node: lab-node", &format!("node: lab-node{labels}"));
        let text =
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n";
        Self::start(directory, &format!("{text}{job}"))
    }

    fn start(directory: tempfile::TempDir, config: &str) -> Self {
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, config).expect("written");
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", directory.path().join("data").display()),
        ];
        Self(Server::start("prometheus", &arguments, directory))
    }

    /// Asks until a query has an answer: the labels and value of each series.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        wait_for(query, || self.answer(query).filter(|series| !series.is_empty()))
    }

    /// The answer now, if there is one.
    pub fn answer(&self, query: &str) -> Option<Vec<(Value, f64)>> {
        let answer = self.get(&format!("query?query={}", escaped(query)))?;
        let series = answer["data"]["result"].as_array()?.iter();
        let series = series.map(|series| (series["metric"].clone(), number(&series["value"][1])));
        Some(series.collect())
    }

    /// A query's one series over a time, second by second, as seconds since 1970 and value.
    pub fn over_time(&self, query: &str, from: SystemTime, to: SystemTime) -> Vec<(f64, f64)> {
        let path = format!(
            "query_range?query={}&start={:.3}&end={:.3}&step=1",
            escaped(query),
            seconds(from),
            seconds(to),
        );
        let answer = self.get(&path).expect("an answer");
        let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
        values.iter().map(|value| (number(&value[0]), number(&value[1]))).collect()
    }

    fn get(&self, path: &str) -> Option<Value> {
        let answer = http::get(self.0.address, &format!("/api/v1/{path}"));
        serde_json::from_slice(&answer.body).ok()
    }

    /// What it complained of.
    pub fn complaints(&self) -> Vec<String> {
        self.0.complaints()
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).expect("a time").as_secs_f64()
}

fn scrape(target: SocketAddr) -> String {
    format!(
        "scrape_configs:\n- job_name: hugetlb-exporter\n  honor_labels: true\n  static_configs: [{{targets: ['{target}'], labels: {{node: lab-node}}}}]\n"
    )
}

fn escaped(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Prometheus writes times as numbers and values as text.
fn number(value: &Value) -> f64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_f64()).expect("a number")
}
