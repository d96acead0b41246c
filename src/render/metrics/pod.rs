//! Pods, by their own cgroups.

use std::time::SystemTime;

use super::{Family, Kind, Samples};
use crate::assessment::TenantSize;
use crate::view::View;

const LABELS: &[&str] = &["namespace", "pod", "uid", "pagesize"];

const fn pod(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    collect: fn(&View, &mut Samples),
) -> Family {
    Family { name, kind, help, labels: LABELS, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    pod(
        "hugetlb_pod_usage_bytes",
        Kind::Gauge,
        "Huge pages touched by the pod and charged to it (hugetlb.*.current, v1 usage_in_bytes, of the pod's cgroup).",
        |view, samples| each(view, |labels, size| samples.push_bytes(labels, size.usage)),
    ),
    pod(
        "hugetlb_pod_reserved_bytes",
        Kind::Gauge,
        "Huge pages mapped by the pod, touched or not (hugetlb.*.rsvd.current, v1 rsvd.usage_in_bytes).",
        |view, samples| each(view, |labels, size| samples.push_bytes(labels, size.reserved)),
    ),
    pod(
        "hugetlb_pod_limit_bytes",
        Kind::Gauge,
        "What the pod may touch; beyond it a touch is SIGBUS. Absent: unlimited (hugetlb.*.max, v1 limit_in_bytes).",
        |view, samples| each(view, |labels, size| samples.push_limit(labels, size.limit)),
    ),
    pod(
        "hugetlb_pod_reservation_limit_bytes",
        Kind::Gauge,
        "What the pod may map; beyond it mmap fails. Absent: unlimited (hugetlb.*.rsvd.max, v1 rsvd.limit_in_bytes).",
        |view, samples| {
            each(view, |labels, size| samples.push_limit(labels, size.reservation_limit));
        },
    ),
    pod(
        "hugetlb_pod_peak_usage_bytes",
        Kind::Gauge,
        "The most the pod ever touched: since its cgroup was made (v1 max_usage_in_bytes), or as seen by this exporter (v2).",
        |view, samples| each(view, |labels, size| samples.push_bytes(labels, size.peak_usage)),
    ),
    pod(
        "hugetlb_pod_failures_total",
        Kind::Counter,
        "Huge pages refused: on v2 to the pod and all its containers (hugetlb.*.events max), on v1 by the pod's own limit (failcnt and rsvd.failcnt).",
        |view, samples| each(view, |labels, size| samples.push_count(labels, size.failures)),
    ),
    pod(
        "hugetlb_pod_last_failure_timestamp_seconds",
        Kind::Gauge,
        "When the pod's failures were last seen to grow.",
        |view, samples| {
            each(view, |labels, size| {
                let since_epoch = size
                    .last_failure
                    .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
                if let Some(time) = since_epoch {
                    samples.push(labels, time.as_secs_f64());
                }
            });
        },
    ),
];

fn each(view: &View, mut push: impl FnMut([&str; 4], &TenantSize)) {
    for pod in &view.assessment.pods {
        let identity = &pod.identity;
        for size in &pod.sizes {
            push(
                [&identity.namespace, &identity.pod, &identity.uid, &size.page_size.to_string()],
                size,
            );
        }
    }
}
