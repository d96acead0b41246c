//! Containers, all instances of one together.

use super::rows::{CONTAINER, Tenants};
use super::samples::{Samples, bytes, count, limit};
use super::{Collect, Family, Kind};
use crate::assessment::TenantSize;
use crate::view::View;

const fn container(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    figure: fn(&TenantSize) -> Option<f64>,
) -> Family {
    let collect = Collect::Figure(Tenants::Containers, figure);
    Family { name, kind, help, labels: CONTAINER, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    container(
        "hugetlb_container_usage_bytes",
        Kind::Gauge,
        "Huge pages touched by the container and charged to it (hugetlb.*.current, v1 usage_in_bytes, of its cgroup).",
        |size| bytes(size.usage),
    ),
    container(
        "hugetlb_container_reserved_bytes",
        Kind::Gauge,
        "Huge pages mapped by the container, touched or not (hugetlb.*.rsvd.current, v1 rsvd.usage_in_bytes).",
        |size| bytes(size.reserved),
    ),
    container(
        "hugetlb_container_limit_bytes",
        Kind::Gauge,
        "What the container's own cgroup may touch; beyond it a touch is SIGBUS. Absent: unlimited, the pod's limit alone counts (hugetlb.*.max, v1 limit_in_bytes).",
        |size| limit(size.limit),
    ),
    container(
        "hugetlb_container_reservation_limit_bytes",
        Kind::Gauge,
        "What the container's own cgroup may map; beyond it mmap fails. Absent: unlimited (hugetlb.*.rsvd.max, v1 rsvd.limit_in_bytes).",
        |size| limit(size.reservation_limit),
    ),
    container(
        "hugetlb_container_peak_usage_bytes",
        Kind::Gauge,
        "The most the container ever touched: since its cgroup was made (v1 max_usage_in_bytes), or as seen by this exporter (v2).",
        |size| bytes(size.peak_usage),
    ),
    container(
        "hugetlb_container_failures_total",
        Kind::Counter,
        "Huge pages refused to the container, over its restarts: on v2 by any limit above it (hugetlb.*.events max), on v1 by its own (failcnt and rsvd.failcnt). v2 counts refused mappings (harmless) and refused touches (SIGBUS) in one.",
        |size| count(size.failures),
    ),
    Family {
        name: "hugetlb_container_info",
        kind: Kind::Gauge,
        help: "The container's newest instance; container_id as Kubernetes writes it, without a scheme where the cgroup's name does not tell the runtime.",
        labels: &[
            "namespace",
            "pod",
            "container",
            "uid",
            "container_id",
            "cgroup",
            "qos",
            "runtime",
        ],
        collect: Collect::Own(info),
    },
];

fn info(view: &View, samples: &mut Samples) {
    let named = view.assessment.containers.iter().map(|container| {
        let who = &container.identity;
        ([&*who.namespace, &*who.pod, &*who.container, &*who.uid], &container.newest)
    });
    let mut containers: Vec<_> = named.collect();
    containers.sort_unstable_by_key(|(who, _)| *who);
    for ([namespace, pod, container, uid], newest) in containers {
        if let Some(instance) = newest {
            let qos = instance.qos.map_or_else(String::new, |qos| qos.to_string());
            let (id, cgroup, runtime) =
                (&instance.container_id(), &instance.cgroup, instance.runtime.name());
            let values = [namespace, pod, container, uid, id, cgroup, &qos, runtime];
            samples.push_in_order(values, 1.0);
        }
    }
}
