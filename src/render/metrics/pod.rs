//! Pods, by their own cgroups.

use std::time::SystemTime;

use super::rows::{POD, Tenants};
use super::samples::{bytes, count, limit};
use super::{Collect, Family, Kind};
use crate::assessment::TenantSize;

const fn pod(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    figure: fn(&TenantSize) -> Option<f64>,
) -> Family {
    Family { name, kind, help, labels: POD, collect: Collect::Figure(Tenants::Pods, figure) }
}

pub(super) const FAMILIES: &[Family] = &[
    pod(
        "hugetlb_pod_usage_bytes",
        Kind::Gauge,
        "Huge pages touched by the pod and charged to it (hugetlb.*.current, v1 usage_in_bytes, of the pod's cgroup).",
        |size| bytes(size.usage),
    ),
    pod(
        "hugetlb_pod_reserved_bytes",
        Kind::Gauge,
        "Huge pages mapped by the pod, touched or not (hugetlb.*.rsvd.current, v1 rsvd.usage_in_bytes).",
        |size| bytes(size.reserved),
    ),
    pod(
        "hugetlb_pod_limit_bytes",
        Kind::Gauge,
        "What the pod may touch; beyond it a touch is SIGBUS. Absent: unlimited (hugetlb.*.max, v1 limit_in_bytes).",
        |size| limit(size.limit),
    ),
    pod(
        "hugetlb_pod_reservation_limit_bytes",
        Kind::Gauge,
        "What the pod may map; beyond it mmap fails. Absent: unlimited (hugetlb.*.rsvd.max, v1 rsvd.limit_in_bytes).",
        |size| limit(size.reservation_limit),
    ),
    pod(
        "hugetlb_pod_peak_usage_bytes",
        Kind::Gauge,
        "The most the pod ever touched: since its cgroup was made (v1 max_usage_in_bytes), or as seen by this exporter (v2).",
        |size| bytes(size.peak_usage),
    ),
    pod(
        "hugetlb_pod_failures_total",
        Kind::Counter,
        "Huge pages refused: on v2 to the pod and all its containers (hugetlb.*.events max), on v1 by the pod's own limit (failcnt and rsvd.failcnt).",
        |size| count(size.failures),
    ),
    pod(
        "hugetlb_pod_last_failure_timestamp_seconds",
        Kind::Gauge,
        "When the pod's failures were last seen to grow.",
        |size| {
            let since_epoch = size.last_failure?.duration_since(SystemTime::UNIX_EPOCH).ok();
            since_epoch.map(|time| time.as_secs_f64())
        },
    ),
];
