//! Users of huge pages that are no pod.

use super::{Family, Kind, Samples};
use crate::assessment::TenantSize;
use crate::view::View;

const LABELS: &[&str] = &["cgroup", "pagesize"];

const fn service(
    name: &'static str,
    help: &'static str,
    collect: fn(&View, &mut Samples),
) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: LABELS, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    service(
        "hugetlb_cgroup_usage_bytes",
        "Huge pages touched by a cgroup that is no pod: the deepest one with hugetlb files, at most 50 (hugetlb.*.current, v1 usage_in_bytes).",
        |view, samples| each(view, |labels, size| samples.push_bytes(labels, size.usage)),
    ),
    service(
        "hugetlb_cgroup_reserved_bytes",
        "Huge pages mapped by a cgroup that is no pod, touched or not (hugetlb.*.rsvd.current, v1 rsvd.usage_in_bytes).",
        |view, samples| each(view, |labels, size| samples.push_bytes(labels, size.reserved)),
    ),
    service(
        "hugetlb_cgroup_limit_bytes",
        "What a cgroup that is no pod may touch. Absent: unlimited (hugetlb.*.max, v1 limit_in_bytes).",
        |view, samples| each(view, |labels, size| samples.push_limit(labels, size.limit)),
    ),
];

fn each(view: &View, mut push: impl FnMut([&str; 2], &TenantSize)) {
    for service in &view.assessment.services {
        for size in &service.sizes {
            push([&service.cgroup, &size.page_size.to_string()], size);
        }
    }
}
