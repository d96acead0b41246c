//! All that the agent has ever said, pod by pod.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::agent::Agent;

/// More often than it polls.
const EVERY: Duration = Duration::from_millis(400);

/// A finding of a pod's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub finding: String,
    pub severity: String,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Heard {
    of_pods: Mutex<BTreeMap<String, BTreeMap<Said, String>>>,
    /// Of the node, with the largest of each figure.
    of_node: Mutex<BTreeMap<Said, (String, BTreeMap<String, u64>)>>,
    enough: AtomicBool,
}

impl Heard {
    /// Listens until told that it is enough.
    pub fn listen(&self, agent: &Agent) {
        while !self.enough.load(Ordering::Relaxed) {
            let view: Value =
                serde_json::from_slice(&agent.get("/api/v1/view").body).expect("JSON");
            let findings = view["findings"].as_array().or(view["report"]["findings"].as_array());
            for finding in findings.expect("findings") {
                self.note(finding);
            }
            std::thread::park_timeout(EVERY);
        }
    }

    pub fn stop(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    fn note(&self, finding: &Value) {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let said = Said { finding: text("finding"), severity: text("severity") };
        let summary = text("summary");
        let uid = text("uid");
        if !uid.is_empty() {
            let mut pods = self.of_pods.lock().expect("what was heard");
            pods.entry(uid).or_default().insert(said, summary);
            return;
        }
        let mut node = self.of_node.lock().expect("what was heard");
        let (last, figures) = node.entry(said).or_default();
        *last = summary;
        for (name, value) in finding["figures"].as_object().into_iter().flatten() {
            let most = figures.entry(name.clone()).or_default();
            *most = (*most).max(value.as_u64().unwrap_or_default());
        }
    }

    /// All that was said of a pod, each with its last sentence.
    pub fn of(&self, uid: &str) -> BTreeMap<Said, String> {
        self.of_pods.lock().expect("what was heard").get(uid).cloned().unwrap_or_default()
    }

    /// What was said of the node.
    pub fn of_node(&self) -> BTreeMap<Said, (String, BTreeMap<String, u64>)> {
        self.of_node.lock().expect("what was heard").clone()
    }

    /// The pods that anything was said of.
    pub fn pods(&self) -> BTreeSet<String> {
        self.of_pods.lock().expect("what was heard").keys().cloned().collect()
    }
}
