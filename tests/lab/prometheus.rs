//! Debian's Prometheus, scraping the agent.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::agent::tied;
use crate::harness::{Lines, http, wait_for};

/// A running Prometheus; dropping it ends it.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    log: Lines,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes a target every second, with `honor_labels: true`.
    pub fn scraping(target: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: hugetlb-exporter\n  honor_labels: true\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(&config, text).expect("written");
        let mut child = tied("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Prometheus starts");
        let log = Lines::of(child.stderr.take().expect("its log"));
        let address = wait_for("Prometheus' address", || log.address("msg=\"Listening on\""));
        Self { child, address, log, _directory: directory }
    }

    /// Asks until a query has an answer: the labels and value of each series.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        wait_for(query, || {
            let answer = http::get(self.address, &format!("/api/v1/query?query={encoded}"));
            let answer: Value = serde_json::from_slice(&answer.body).ok()?;
            let series = answer["data"]["result"].as_array()?.iter();
            let series = series.map(|series| {
                let value = series["value"][1]
                    .as_str()
                    .and_then(|value| value.parse().ok())
                    .expect("a value");
                (series["metric"].clone(), value)
            });
            Some(series.collect::<Vec<_>>()).filter(|series| !series.is_empty())
        })
    }

    /// What it complained of.
    pub fn complaints(&self) -> Vec<String> {
        let worth = |line: &String| line.contains("level=warn") || line.contains("level=error");
        self.log.so_far().into_iter().filter(worth).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
