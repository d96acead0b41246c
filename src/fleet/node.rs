//! One node's report.

use serde_json::{Map, Value};

use super::read::{self, NotAReport};
use crate::assessment::{RULES, Severity};
use crate::snapshot::{Limit, Reading};
use crate::units::{Bytes, PageSize};

/// What an agent says of its node.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The node's name; nothing where it has none.
    pub name: Option<String>,
    /// All of it.
    report: Map<String, Value>,
}

/// A finding of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFinding {
    /// How much it matters; the least where the word is not known.
    pub severity: Severity,
    /// The rule's name.
    pub name: String,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
}

/// A pod, or a container.
#[derive(Debug, Clone)]
pub struct NodeTenant<'a> {
    value: &'a Value,
}

/// A tenant's figures of one page size.
#[derive(Debug, Clone)]
pub struct Figures<'a> {
    value: &'a Value,
}

/// A pool.
#[derive(Debug, Clone)]
pub struct NodePool<'a> {
    value: &'a Value,
}

impl NodeReport {
    /// Of an answer's body.
    pub fn read(body: &[u8]) -> Result<Self, NotAReport> {
        let report = read::report(body)?;
        let name = report.get("node").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { name: name.filter(|name| !name.is_empty()), report })
    }

    /// All of it, as JSON.
    pub fn as_json(&self) -> &Map<String, Value> {
        &self.report
    }

    /// Its findings, in its order.
    pub fn findings(&self) -> Vec<NodeFinding> {
        self.list("findings").iter().map(NodeFinding::of).collect()
    }

    /// Whether something will crash there.
    pub fn will_crash(&self) -> bool {
        // By the same name in every version.
        self.list("findings").iter().any(|finding| text(finding, "finding") == "will-crash")
    }

    /// What could not be looked at.
    pub fn failures(&self) -> Vec<String> {
        let down = self.list("sources").iter().filter(|source| source["up"] == false);
        down.map(|source| format!("{}: {}", text(source, "source"), text(source, "problem")))
            .collect()
    }

    /// Its pods.
    pub fn pods(&self) -> impl Iterator<Item = NodeTenant<'_>> {
        self.list("pods").iter().map(|value| NodeTenant { value })
    }

    /// All containers.
    pub fn containers(&self) -> impl Iterator<Item = NodeTenant<'_>> {
        self.list("containers").iter().map(|value| NodeTenant { value })
    }

    /// Its pools.
    pub fn pools(&self) -> impl Iterator<Item = NodePool<'_>> {
        self.list("pools").iter().map(|value| NodePool { value })
    }

    /// The worse a node is, the less this is.
    pub(super) fn danger(&self) -> (Severity, bool) {
        let severities = self.findings().into_iter().map(|finding| finding.severity).min();
        (severities.unwrap_or(Severity::Info), !self.will_crash())
    }

    /// Leaves only the pods of that namespace and name (or UID), what is found of them, of the cgroups they are in, and of
    /// the node.
    pub(super) fn keep_only(&mut self, namespace: Option<&str>, pod: Option<&str>) {
        let is_of = |value: &Value| {
            namespace.is_none_or(|wanted| text(value, "namespace") == wanted)
                && pod
                    .is_none_or(|wanted| [text(value, "pod"), text(value, "uid")].contains(&wanted))
        };
        for list in ["pods", "containers"] {
            self.retain(list, is_of);
        }
        let cgroups: Vec<String> =
            self.list("containers").iter().map(|it| text(it, "cgroup").to_owned()).collect();
        let is_above = |path: &str| {
            let mut rests = cgroups.iter().filter_map(|cgroup| cgroup.strip_prefix(path));
            rests.any(|rest| rest.starts_with('/'))
        };
        for list in ["findings", "muted"] {
            self.retain(list, |finding| match (finding.get("uid"), finding.get("cgroup")) {
                (Some(_), _) => is_of(finding),
                (None, Some(path)) => is_above(path.as_str().unwrap_or_default()),
                (None, None) => true,
            });
        }
        self.retain("cgroups", |_| false);
    }

    fn retain(&mut self, list: &str, keep: impl Fn(&Value) -> bool) {
        if let Some(Value::Array(values)) = self.report.get_mut(list) {
            values.retain(|value| keep(value));
        }
    }

    fn list(&self, name: &str) -> &[Value] {
        self.report.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether a finding about the node or a cgroup may mean that tenant: some process will be killed, and whose can't be
    /// told.
    pub fn may_mean(&self, tenant: &NodeTenant<'_>, page_size: &str) -> bool {
        self.list("findings").iter().any(|finding| {
            let kills = ["will-crash", "numa-short"].contains(&text(finding, "finding"));
            let is_size = text(finding, "pagesize") == page_size;
            kills && is_size && finding.get("uid").is_none() && self.is_below(tenant, finding)
        })
    }

    fn is_below(&self, tenant: &NodeTenant<'_>, finding: &Value) -> bool {
        let Some(path) = finding.get("cgroup").and_then(Value::as_str) else { return true };
        let mut own = self.containers().filter(|container| container.uid() == tenant.uid());
        own.any(|container| {
            let rest = text(container.value, "cgroup").strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl NodeFinding {
    fn of(value: &Value) -> Self {
        let severity = match text(value, "severity") {
            "critical" => Severity::Critical,
            "warning" => Severity::Warning,
            _ => Severity::Info,
        };
        let [name, sentence, remedy] =
            ["finding", "summary", "remedy"].map(|key| text(value, key).to_owned());
        Self { severity, name, sentence, remedy }
    }

    /// The worst first, as in the report of one node; rules that are not known come last.
    pub(super) fn rank(&self) -> (Severity, usize) {
        let place = RULES.iter().position(|rule| rule.name == self.name);
        (self.severity, place.unwrap_or(RULES.len()))
    }
}

impl<'a> NodeTenant<'a> {
    /// `ns/name`, or the UID where the name is not known.
    pub fn pod_name(&self) -> String {
        match text(self.value, "pod") {
            "" => self.uid().to_owned(),
            pod => format!("{}/{pod}", text(self.value, "namespace")),
        }
    }

    /// The container's name; empty for a pod.
    pub fn container(&self) -> &'a str {
        text(self.value, "container")
    }

    /// The pod's UID.
    pub fn uid(&self) -> &'a str {
        text(self.value, "uid")
    }

    /// Its figures, by page size.
    pub fn sizes(&self) -> impl Iterator<Item = Figures<'a>> + use<'a> {
        let sizes = self.value.get("sizes").and_then(Value::as_array);
        sizes.into_iter().flatten().map(|value| Figures { value })
    }
}

impl<'a> Figures<'a> {
    /// `2Mi`
    pub fn page_size(&self) -> &'a str {
        text(self.value, "pagesize")
    }

    /// A figure in bytes, or a count.
    pub fn number(&self, key: &str) -> Reading<u64> {
        reading(self.value.get(key), Value::as_u64)
    }

    /// The limit.
    pub fn limit(&self) -> Reading<Limit> {
        reading(self.value.get("limit_bytes"), |value| match value {
            Value::String(word) if word == "unlimited" => Some(Limit::Unlimited),
            value => value.as_u64().map(|bytes| Limit::At(Bytes(bytes))),
        })
    }

    /// Whether the kernel's figures can't tell what it is short of.
    pub fn is_uncertain(&self) -> bool {
        self.value.get("uncertain") == Some(&Value::Bool(true))
    }
}

impl<'a> NodePool<'a> {
    /// `2Mi`
    pub fn page_size(&self) -> &'a str {
        text(self.value, "pagesize")
    }

    /// A figure in pages.
    pub fn pages(&self, key: &str) -> Reading<i64> {
        let page = self.page_size().parse::<PageSize>().ok().map(|size| size.bytes().0);
        let page = page.and_then(|bytes| i64::try_from(bytes).ok());
        reading(self.value.get(key), |value| value.as_i64()?.checked_div(page?))
    }
}

/// A missing key is a figure that the kernel does not have, and null one that could not be read; so is what is no figure.
fn reading<T>(value: Option<&Value>, of: impl Fn(&Value) -> Option<T>) -> Reading<T> {
    match value {
        None => Reading::Absent,
        Some(value) => of(value).map_or(Reading::Failed, Reading::Present),
    }
}

/// A member that is a text; empty where it is missing or is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
