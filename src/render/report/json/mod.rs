//! The report as JSON. The wire types stand here, apart from the facts, so that the facts may change.
//!
//! A figure is a number; where there is no such file the key is missing; where it could not be read the
//! value is `null`; a limit may also be `"unlimited"`.

mod findings;
mod guard;
mod incidents;
mod killed;
mod pools;
mod tenants;

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::snapshot::{Limit, MemoryAccounting, Reading, SourceHealth};
use crate::units::{Bytes, SignedBytes};
use crate::view::View;
use findings::FindingReport;
use guard::GuardReport;
pub use incidents::incidents;
use pools::PoolReport;
use tenants::Tenant;

/// The report of a view, indented, with a final newline.
pub fn json(view: &View) -> String {
    let assessment = &view.assessment;
    let report = Report {
        node: view.node.clone(),
        findings: assessment.findings.iter().map(findings::finding).collect(),
        muted: assessment.muted.iter().map(findings::finding).collect(),
        killed: assessment.killed.iter().map(killed::killed).collect(),
        hierarchy: view.snapshot.hierarchy.as_ref().map(|hierarchy| Hierarchy {
            version: hierarchy.version.to_string(),
            path: hierarchy.root.display().to_string(),
        }),
        default_pagesize: Figure(
            view.snapshot.memory.default_page_size.map(|size| size.to_string()),
        ),
        memory_accounting: match view.snapshot.accounting {
            MemoryAccounting::On(_) => Some(true),
            MemoryAccounting::Off => Some(false),
            MemoryAccounting::Unknown => None,
        },
        pools: view
            .snapshot
            .pools
            .iter()
            .map(|pool| pools::pool(pool, &assessment.pools))
            .collect(),
        pods: assessment.pods.iter().map(tenants::pod).collect(),
        containers: assessment.containers.iter().map(tenants::container).collect(),
        cgroups: assessment.services.iter().map(tenants::service).collect(),
        guard: view.snapshot.guard.as_deref().map(guard::guard),
        sources: view.snapshot.sources.iter().map(source).collect(),
    };
    // Plain structs with text keys always serialise.
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Arc<str>>,
    findings: Vec<FindingReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    muted: Vec<FindingReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    killed: Vec<killed::KilledReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchy: Option<Hierarchy>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    default_pagesize: Figure<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_accounting: Option<bool>,
    pools: Vec<PoolReport>,
    pods: Vec<Tenant>,
    containers: Vec<Tenant>,
    cgroups: Vec<Tenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<GuardReport>,
    sources: Vec<SourceReport>,
}

#[derive(Serialize)]
struct Hierarchy {
    version: String,
    path: String,
}

/// A reading: a value, `null` if it failed, no key if it is absent.
struct Figure<T>(Reading<T>);

impl<T> Figure<T> {
    fn is_absent(&self) -> bool {
        matches!(self.0, Reading::Absent)
    }
}

impl<T: Serialize> Serialize for Figure<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Reading::Present(value) => value.serialize(serializer),
            Reading::Absent | Reading::Failed => serializer.serialize_none(),
        }
    }
}

fn signed(reading: Reading<SignedBytes>) -> Figure<i64> {
    Figure(reading.map(|bytes| bytes.0))
}

fn bytes(reading: Reading<Bytes>) -> Figure<u64> {
    Figure(reading.map(|bytes| bytes.0))
}

#[derive(Serialize)]
#[serde(untagged)]
enum LimitReport {
    Bytes(u64),
    Word(&'static str),
}

fn limit(reading: Reading<Limit>) -> Figure<LimitReport> {
    Figure(reading.map(|limit| match limit {
        Limit::At(bytes) => LimitReport::Bytes(bytes.0),
        Limit::Unlimited => LimitReport::Word("unlimited"),
    }))
}

/// Since 1970; nothing before that.
fn seconds(time: SystemTime) -> Option<f64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs_f64())
}

#[derive(Serialize)]
struct SourceReport {
    source: String,
    up: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn source(source: &SourceHealth) -> SourceReport {
    SourceReport {
        source: source.source.to_string(),
        up: source.is_up(),
        missing: source.is_missing(),
        problem: source.failure().map(ToOwned::to_owned),
    }
}
