//! Users of huge pages that are no pod.

use super::rows::{SERVICE, Tenants};
use super::samples::{bytes, limit};
use super::{Collect, Family, Kind};
use crate::assessment::TenantSize;

const fn service(
    name: &'static str,
    help: &'static str,
    figure: fn(&TenantSize) -> Option<f64>,
) -> Family {
    let collect = Collect::Figure(Tenants::Services, figure);
    Family { name, kind: Kind::Gauge, help, labels: SERVICE, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    service(
        "hugetlb_cgroup_usage_bytes",
        "Huge pages touched by a cgroup that is no pod: the deepest one with hugetlb files, at most 50 (hugetlb.*.current, v1 usage_in_bytes).",
        |size| bytes(size.usage),
    ),
    service(
        "hugetlb_cgroup_reserved_bytes",
        "Huge pages mapped by a cgroup that is no pod, touched or not (hugetlb.*.rsvd.current, v1 rsvd.usage_in_bytes).",
        |size| bytes(size.reserved),
    ),
    service(
        "hugetlb_cgroup_limit_bytes",
        "What a cgroup that is no pod may touch. Absent: unlimited (hugetlb.*.max, v1 limit_in_bytes).",
        |size| limit(size.limit),
    ),
];
