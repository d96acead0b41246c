//! All that the agent has ever said, pod by pod.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
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

/// A finding's last sentence, and the largest of each of its figures.
pub type OfNode = (String, BTreeMap<String, u64>);

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Heard {
    of_pods: Mutex<BTreeMap<String, BTreeMap<Said, String>>>,
    of_node: Mutex<BTreeMap<Said, OfNode>>,
    enough: AtomicBool,
}

/// While this is there, it is listened.
pub struct Listening<'a>(&'a Heard);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.enough.store(true, Ordering::Relaxed);
    }
}

impl Heard {
    /// Listens until the answer is dropped, also where the scenario fails.
    pub fn listen<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        agent: &'scope Agent,
    ) -> Listening<'scope> {
        scope.spawn(|| {
            while !self.enough.load(Ordering::Relaxed) {
                let view = agent.get("/api/v1/view").body;
                let view: Value = serde_json::from_slice(&view).expect("JSON");
                let findings = view["findings"].as_array().expect("findings");
                findings.iter().for_each(|finding| self.note(finding));
                std::thread::park_timeout(EVERY);
            }
        });
        Listening(self)
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
    pub fn of_node(&self) -> BTreeMap<Said, OfNode> {
        self.of_node.lock().expect("what was heard").clone()
    }

    /// The pods that anything was said of.
    pub fn pods(&self) -> BTreeSet<String> {
        self.of_pods.lock().expect("what was heard").keys().cloned().collect()
    }
}
