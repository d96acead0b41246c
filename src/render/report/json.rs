//! The report as JSON. The wire types stand here, apart from the facts, so that the facts may change.
//!
//! A figure is a number; where there is no such file the key is missing; where it could not be read the
//! value is `null`; a limit may also be `"unlimited"`.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::assessment::{ContainerState, PodState, ServiceState, TenantSize};
use crate::snapshot::{Health, Limit, Pool, Reading, SourceHealth};
use crate::units::{Bytes, PageSize};
use crate::view::View;

/// The report of a view, indented, with a final newline.
pub fn json(view: &View) -> String {
    let report = Report {
        hierarchy: view.snapshot.hierarchy.as_ref().map(|hierarchy| Hierarchy {
            version: hierarchy.version.to_string(),
            path: hierarchy.root.display().to_string(),
        }),
        default_pagesize: Figure(
            view.snapshot.memory.default_page_size.map(|size| size.to_string()),
        ),
        pools: view.snapshot.pools.iter().map(pool).collect(),
        pods: view.assessment.pods.iter().map(pod).collect(),
        containers: view.assessment.containers.iter().map(container).collect(),
        cgroups: view.assessment.services.iter().map(service).collect(),
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
    hierarchy: Option<Hierarchy>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    default_pagesize: Figure<String>,
    pools: Vec<PoolReport>,
    pods: Vec<Tenant>,
    containers: Vec<Tenant>,
    cgroups: Vec<Tenant>,
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

#[derive(Serialize)]
struct PoolReport {
    pagesize: String,
    #[serde(flatten)]
    figures: PoolFigures,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    reserved_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    available_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    overcommit_limit_bytes: Figure<u64>,
    numa: Vec<NodeReport>,
}

#[derive(Serialize)]
struct PoolFigures {
    #[serde(skip_serializing_if = "Figure::is_absent")]
    size_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    free_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    surplus_bytes: Figure<u64>,
}

#[derive(Serialize)]
struct NodeReport {
    numa_node: u32,
    #[serde(flatten)]
    figures: PoolFigures,
}

fn bytes(reading: Reading<Bytes>) -> Figure<u64> {
    Figure(reading.map(|bytes| bytes.0))
}

fn pool(pool: &Pool) -> PoolReport {
    let in_bytes = |pages| bytes(pool.bytes(pages));
    PoolReport {
        pagesize: pool.page_size.to_string(),
        figures: PoolFigures {
            size_bytes: in_bytes(pool.size),
            free_bytes: in_bytes(pool.free),
            surplus_bytes: in_bytes(pool.surplus),
        },
        reserved_bytes: in_bytes(pool.reserved),
        available_bytes: in_bytes(pool.available()),
        overcommit_limit_bytes: in_bytes(pool.overcommit_limit),
        numa: pool
            .nodes
            .iter()
            .map(|part| NodeReport {
                numa_node: part.node.0,
                figures: PoolFigures {
                    size_bytes: in_bytes(part.size),
                    free_bytes: in_bytes(part.free),
                    surplus_bytes: in_bytes(part.surplus),
                },
            })
            .collect(),
    }
}

/// A pod, a container or a service: its names, and its figures by page size.
#[derive(Serialize, Default)]
struct Tenant {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_pod_cgroup: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    sizes: Vec<SizeReport>,
}

#[derive(Serialize)]
struct SizeReport {
    pagesize: String,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    usage_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    reserved_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    limit_bytes: Figure<LimitReport>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    reservation_limit_bytes: Figure<LimitReport>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    peak_usage_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    failures: Figure<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_timestamp_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    numa_usage: Figure<Vec<NodeUsage>>,
}

#[derive(Serialize)]
struct NodeUsage {
    numa_node: u32,
    usage_bytes: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LimitReport {
    Bytes(u64),
    Word(&'static str),
}

fn pod(pod: &PodState) -> Tenant {
    Tenant {
        namespace: Some(pod.identity.namespace.clone()),
        pod: Some(pod.identity.pod.clone()),
        uid: Some(pod.identity.uid.clone()),
        qos: Some(pod.qos.to_string()),
        sizes: pod.sizes.iter().map(size).collect(),
        ..Tenant::default()
    }
}

fn container(container: &ContainerState) -> Tenant {
    let newest = container.newest.as_ref();
    Tenant {
        namespace: Some(container.identity.namespace.clone()),
        pod: Some(container.identity.pod.clone()),
        container: Some(container.identity.container.clone()),
        uid: Some(container.identity.uid.clone()),
        qos: newest.map(|newest| newest.qos.to_string()),
        container_id: newest.map(|newest| newest.container_id.clone()),
        in_pod_cgroup: newest.map(|newest| newest.in_pod_cgroup),
        cgroup: newest.map(|newest| newest.cgroup.clone()),
        sizes: container.sizes.iter().map(size).collect(),
    }
}

fn service(service: &ServiceState) -> Tenant {
    let sizes = service.sizes.iter().map(size).collect();
    Tenant { cgroup: Some(service.cgroup.clone()), sizes, ..Tenant::default() }
}

fn size(size: &TenantSize) -> SizeReport {
    let limit = |reading: Reading<Limit>| {
        Figure(reading.map(|limit| match limit {
            Limit::At(bytes) => LimitReport::Bytes(bytes.0),
            Limit::Unlimited => LimitReport::Word("unlimited"),
        }))
    };
    let nodes = |nodes: &Vec<crate::snapshot::NumaUsage>| {
        nodes
            .iter()
            .map(|part| NodeUsage { numa_node: part.node.0, usage_bytes: part.usage.0 })
            .collect()
    };
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs_f64())
    };
    SizeReport {
        pagesize: PageSize::to_string(&size.page_size),
        usage_bytes: bytes(size.usage),
        reserved_bytes: bytes(size.reserved),
        limit_bytes: limit(size.limit),
        reservation_limit_bytes: limit(size.reservation_limit),
        peak_usage_bytes: bytes(size.peak_usage),
        failures: Figure(size.failures),
        last_failure_timestamp_seconds: size.last_failure.and_then(seconds),
        numa_usage: Figure(size.numa_usage.as_ref().map(nodes)),
    }
}

#[derive(Serialize)]
struct SourceReport {
    source: String,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn source(source: &SourceHealth) -> SourceReport {
    let problem = match &source.health {
        Health::Up => None,
        Health::Down(why) => Some(why.clone()),
    };
    SourceReport { source: source.source.to_string(), up: source.is_up(), problem }
}
