//! A finding as an Event of `events.k8s.io/v1`, and the requests that tell of it.

use std::sync::Arc;
use std::time::SystemTime;

use ring::digest;
use serde_json::{Value, json};

use super::note::{note, without_processes};
use crate::assessment::{Finding, Severity, Subject};

/// The API's group and version.
const API: &str = "events.k8s.io/v1";

/// Who reports, wherever it runs.
const CONTROLLER: &str = "hugetlb-exporter";

/// Kubernetes demands to know what was done.
const ACTION: &str = "Assess";

/// Of what has no namespace, a node, Events are in this one, as the kubelet's are.
const OF_NODES: &str = "default";

/// The longest name of an object.
const MOST_NAME: usize = 253;

/// The longest `reportingInstance`.
const MOST_INSTANCE: usize = 128;

/// An Event of a finding, as it is when it is told for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for the same finding of the same pod or node, so that an agent that was restarted finds its own Event.
    name: String,
    regarding: Regarding,
    reason: String,
    note: String,
    severity: Severity,
    instance: String,
    /// When it was raised.
    at: SystemTime,
    /// How many touches were refused, of a finding that counts them.
    pub(super) faults: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Regarding {
    Pod {
        namespace: Arc<str>,
        name: Arc<str>,
        uid: Arc<str>,
    },
    /// Its UID is known to the API server alone; the kubelet writes the name there, too, and kubectl looks for both.
    Node {
        name: Arc<str>,
    },
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make it.
    Create,
    /// It is there: a patch that changes nothing returns it, with its count.
    Read,
    /// It has happened so often.
    Repeat(u64),
}

impl Event {
    /// Of a finding on that node; nothing where it is of nobody whom the API server may know: the name of a pod or of the node
    /// is not known, or is none that Kubernetes gives.
    pub fn of(
        finding: &Finding,
        node: Option<&Arc<str>>,
        at: SystemTime,
        with_processes: bool,
    ) -> Option<Self> {
        let (regarding, container) = match &finding.subject {
            Subject::Tenant(who) => {
                let pod = Regarding::Pod {
                    namespace: Arc::clone(&who.namespace),
                    name: Arc::clone(&who.pod),
                    uid: Arc::clone(&who.uid),
                };
                (pod, &*who.container)
            }
            Subject::Node => (Regarding::Node { name: Arc::clone(node?) }, ""),
            Subject::Cgroup(path) => (Regarding::Node { name: Arc::clone(node?) }, path.as_str()),
        };
        if !regarding.may_exist() {
            return None;
        }
        let told =
            |text: &str| if with_processes { text.to_owned() } else { without_processes(text) };
        let faults = finding.figures.iter().find(|figure| figure.name == "faults");
        Some(Self {
            name: name(finding, &regarding, container),
            reason: camel_case(finding.name),
            note: note(&told(&finding.sentence), &told(&finding.remedy)),
            severity: finding.severity,
            instance: instance(node),
            at,
            faults: faults.map_or(0, |figure| figure.value),
            regarding,
        })
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> (&str, &str) {
        (self.namespace(), &self.name)
    }

    pub(super) fn severity(&self) -> Severity {
        self.severity
    }

    pub(super) fn at(&self) -> SystemTime {
        self.at
    }

    /// What it is and of whom, for a log.
    pub fn described(&self) -> String {
        let Self { reason, .. } = self;
        match &self.regarding {
            Regarding::Pod { namespace, name, .. } => format!("{reason} of pod {namespace}/{name}"),
            Regarding::Node { name } => format!("{reason} of node {name}"),
        }
    }

    /// Where a request of that step goes.
    pub fn path(&self, step: Step) -> String {
        let all = format!("/apis/{API}/namespaces/{}/events", self.namespace());
        match step {
            Step::Create => all,
            Step::Read | Step::Repeat(_) => format!("{all}/{}", self.name),
        }
    }

    /// What it says.
    pub fn body(&self, step: Step, now: SystemTime) -> Value {
        match step {
            Step::Create => self.whole(),
            Step::Read => json!({}),
            Step::Repeat(count) => {
                json!({"series": {"count": count, "lastObservedTime": time(now)}})
            }
        }
    }

    fn namespace(&self) -> &str {
        match &self.regarding {
            Regarding::Pod { namespace, .. } => namespace,
            Regarding::Node { .. } => OF_NODES,
        }
    }

    fn whole(&self) -> Value {
        json!({
            "apiVersion": API,
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace()},
            "eventTime": time(self.at),
            "reportingController": CONTROLLER,
            "reportingInstance": self.instance,
            "action": ACTION,
            "reason": self.reason,
            "regarding": self.regarding.reference(),
            "note": self.note,
            "type": if self.severity == Severity::Info { "Normal" } else { "Warning" },
        })
    }
}

impl Regarding {
    /// Whether Kubernetes could have an object of that name. It goes into a path, and log directories have any name.
    fn may_exist(&self) -> bool {
        match self {
            Self::Pod { namespace, name, uid } => {
                is_label(namespace) && is_subdomain(name) && !uid.is_empty()
            }
            Self::Node { name } => is_subdomain(name),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Pod { name, .. } | Self::Node { name } => name,
        }
    }

    fn reference(&self) -> Value {
        match self {
            Self::Pod { namespace, name, uid } => {
                json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid})
            }
            Self::Node { name } => {
                json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": name})
            }
        }
    }
}

/// How many times an Event was observed, as the API server returns it; nothing where that is no Event.
pub(super) fn count(body: &[u8]) -> Option<u64> {
    let event: Value = serde_json::from_slice(body).ok()?;
    if event.get("kind")? != "Event" {
        return None;
    }
    match event.get("series") {
        None | Some(Value::Null) => Some(1),
        Some(series) => series.get("count").map_or(Some(1), Value::as_u64),
    }
}

/// The pod's or node's name, and what makes the finding another: `pg-0.5f0c…`.
fn name(finding: &Finding, regarding: &Regarding, container: &str) -> String {
    let uid = match regarding {
        Regarding::Pod { uid, .. } => uid,
        Regarding::Node { name } => name,
    };
    let page_size = finding.page_size.map(|size| size.to_string()).unwrap_or_default();
    let severity = finding.severity.to_string();
    let parts = [uid, container, finding.name, &page_size, &severity].join("\0");
    let digest = digest::digest(&digest::SHA256, parts.as_bytes());
    let suffix: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let most = MOST_NAME - suffix.len() - 1;
    let name = regarding.name();
    let name = name.get(..most).unwrap_or(name).trim_end_matches(['-', '.']);
    format!("{name}.{suffix}")
}

/// The node's name, by which one agent is told from another.
fn instance(node: Option<&Arc<str>>) -> String {
    let node = node.map_or(CONTROLLER, |node| node);
    node.get(..node.floor_char_boundary(MOST_INSTANCE)).unwrap_or_default().to_owned()
}

/// `will-crash` becomes `WillCrash`.
fn camel_case(name: &str) -> String {
    let words = name.split('-').flat_map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
    });
    words.collect()
}

/// Kubernetes' MicroTime.
fn time(time: SystemTime) -> String {
    // The formatter knows no time before 1970 or after 9999, and a node's clock may be anywhere.
    let least = SystemTime::UNIX_EPOCH;
    let most = least + std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_micros(time.clamp(least, most)).to_string()
}

/// RFC 1123: a label of a DNS name.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Labels with dots between them; Kubernetes limits the length of all alone.
fn is_subdomain(text: &str) -> bool {
    text.len() <= MOST_NAME && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}
