//! Pods, containers and services on the wire.

use std::sync::Arc;

use serde::Serialize;

use super::{Figure, LimitReport, bytes, limit, seconds};
use crate::assessment::{ContainerState, MemoryOutlook, PodState, ServiceState, TenantSize};
use crate::history::Refusals;
use crate::render::guard::action;
use crate::snapshot::{NumaUsage, Reading};

/// A pod, a container or a service: its names, and its figures by page size.
#[derive(Serialize, Default)]
pub(super) struct Tenant {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_pod_cgroup: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<Arc<str>>,
    sizes: Vec<SizeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryReport>,
}

/// Its memory, where huge pages count as memory.
#[derive(Serialize)]
struct MemoryReport {
    limit_bytes: u64,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    usage_bytes: Figure<u64>,
    to_come_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    huge_pages_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    shortfall_bytes: Figure<u64>,
    certain: bool,
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
    #[serde(skip_serializing_if = "Figure::is_absent")]
    idle_grant_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guarded: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_limit_bytes: Option<u64>,
    #[serde(flatten)]
    outlook: Option<OutlookReport>,
}

/// What is to be expected; not of services.
#[derive(Serialize)]
struct OutlookReport {
    #[serde(skip_serializing_if = "Figure::is_absent")]
    shortfall_bytes: Figure<u64>,
    uncertain: bool,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    margin_bytes: Figure<i64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    headroom_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    effective_limit_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_by: Option<String>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    failure_mode: Figure<String>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    classified_failures: Figure<Kinds>,
}

#[derive(Serialize)]
struct Kinds {
    fault: u64,
    reservation: u64,
    ambiguous: u64,
}

#[derive(Serialize)]
struct NodeUsage {
    numa_node: u32,
    usage_bytes: u64,
}

pub(super) fn pod(pod: &PodState) -> Tenant {
    Tenant {
        namespace: Some(pod.identity.namespace.clone()),
        pod: Some(pod.identity.pod.clone()),
        uid: Some(pod.identity.uid.clone()),
        qos: pod.qos.map(|qos| qos.to_string()),
        sizes: pod.sizes.iter().map(of_pod).collect(),
        memory: pod.memory.as_ref().map(memory),
        ..Tenant::default()
    }
}

pub(super) fn container(container: &ContainerState) -> Tenant {
    let newest = container.newest.as_ref();
    Tenant {
        namespace: Some(container.identity.namespace.clone()),
        pod: Some(container.identity.pod.clone()),
        container: Some(container.identity.container.clone()),
        uid: Some(container.identity.uid.clone()),
        qos: newest.and_then(|newest| newest.qos).map(|qos| qos.to_string()),
        container_id: newest.map(|newest| newest.container_id()),
        in_pod_cgroup: newest.map(|newest| newest.in_pod_cgroup),
        cgroup: newest.map(|newest| newest.cgroup.clone()),
        sizes: container.sizes.iter().map(with_outlook).collect(),
        memory: container.memory.as_ref().map(memory),
    }
}

pub(super) fn service(service: &ServiceState) -> Tenant {
    let sizes = service.sizes.iter().map(size).collect();
    Tenant { cgroup: Some(service.cgroup.as_str().into()), sizes, ..Tenant::default() }
}

fn memory(memory: &MemoryOutlook) -> MemoryReport {
    MemoryReport {
        limit_bytes: memory.limit.0,
        usage_bytes: bytes(memory.usage),
        to_come_bytes: memory.to_come.0,
        huge_pages_bytes: memory.held.map(|held| held.huge.0),
        other_bytes: memory.held.map(|held| held.other.0),
        shortfall_bytes: bytes(memory.shortfall),
        certain: memory.is_certain(),
    }
}

fn size(size: &TenantSize) -> SizeReport {
    let nodes = |nodes: &Vec<NumaUsage>| {
        nodes
            .iter()
            .map(|part| NodeUsage { numa_node: part.node.0, usage_bytes: part.usage.0 })
            .collect()
    };
    SizeReport {
        pagesize: size.page_size.to_string(),
        usage_bytes: bytes(size.usage),
        reserved_bytes: bytes(size.reserved),
        limit_bytes: limit(size.limit),
        reservation_limit_bytes: limit(size.reservation_limit),
        peak_usage_bytes: bytes(size.peak_usage),
        failures: Figure(size.failures),
        last_failure_timestamp_seconds: size.last_failure.and_then(seconds),
        numa_usage: Figure(size.numa_usage.as_ref().map(nodes)),
        idle_grant_bytes: Figure(Reading::Absent),
        guarded: size.guarding.actions().map(action).collect(),
        granted_limit_bytes: size.guarding.rescued_from.map(|from| from.0),
        outlook: None,
    }
}

fn with_outlook(tenant: &TenantSize) -> SizeReport {
    let outlook = &tenant.outlook;
    let kinds = |refusals: Refusals| Kinds {
        fault: refusals.faults,
        reservation: refusals.reservations,
        ambiguous: refusals.ambiguous.saturating_add(refusals.ungranted),
    };
    SizeReport {
        outlook: Some(OutlookReport {
            shortfall_bytes: bytes(outlook.shortfall),
            uncertain: outlook.uncertainty.is_some(),
            margin_bytes: Figure(outlook.margin.map(|margin| margin.0)),
            headroom_bytes: bytes(outlook.headroom),
            effective_limit_bytes: bytes(tenant.effective_limit()),
            bound_by: outlook.bound_by.map(|level| level.to_string()),
            failure_mode: Figure(outlook.failure_mode.map(|mode| mode.to_string())),
            classified_failures: Figure(tenant.all_refusals().map(kinds)),
        }),
        ..size(tenant)
    }
}

/// Only pods are granted pages.
fn of_pod(tenant: &TenantSize) -> SizeReport {
    SizeReport { idle_grant_bytes: bytes(tenant.idle_grant()), ..with_outlook(tenant) }
}
