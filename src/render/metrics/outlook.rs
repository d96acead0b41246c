//! What is to be expected of pods and containers.

use super::{Family, Kind, Samples, as_f64};
use crate::assessment::TenantSize;
use crate::history::Refusals;
use crate::identity::PodUid;
use crate::snapshot::Reading;
use crate::view::View;

const POD: &[&str] = &["namespace", "pod", "uid", "pagesize"];
const CONTAINER: &[&str] = &["namespace", "pod", "container", "uid", "pagesize"];

const fn pod(name: &'static str, help: &'static str, collect: fn(&View, &mut Samples)) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: POD, collect }
}

const fn container(
    name: &'static str,
    help: &'static str,
    collect: fn(&View, &mut Samples),
) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: CONTAINER, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    pod(
        "hugetlb_pod_shortfall_bytes",
        "What the pod needs above its limit: above zero a process of it will be killed by SIGBUS when it touches what it has mapped. Absent without a limit, where a figure failed, and where it can't be told (finding uncertain).",
        |view, samples| {
            each_pod(view, |labels, size| samples.push_bytes(labels, size.outlook.shortfall));
        },
    ),
    pod(
        "hugetlb_pod_margin_bytes",
        "The least of limit less need, of the pod and everything above it; below zero it is short. Absent where that is uncertain.",
        |view, samples| {
            each_pod(view, |labels, size| samples.push_signed(labels, size.outlook.margin));
        },
    ),
    pod(
        "hugetlb_pod_idle_grant_bytes",
        "What of its grant the pod has not mapped.",
        |view, samples| {
            each_pod(view, |labels, size| samples.push_bytes(labels, size.idle_grant()));
        },
    ),
    pod(
        "hugetlb_pod_declared_limit_bytes",
        "What the pod's spec grants it, by the kubelet's word (only with --collector.kubelet).",
        declared,
    ),
    Family {
        name: "hugetlb_pod_classified_failures_total",
        kind: Kind::Counter,
        help: "The pod's failures by what was refused: fault (a touch, SIGBUS), reservation (a mapping, harmless) or ambiguous (the kernel's figures do not tell). Told up to two polls late.",
        labels: &["namespace", "pod", "uid", "pagesize", "kind"],
        collect: |view, samples| {
            each_pod(view, |[namespace, pod, uid, page_size], size| {
                for (kind, count) in kinds(size.refusals) {
                    samples.push([namespace, pod, uid, page_size, kind], as_f64(count));
                }
            });
        },
    },
    container(
        "hugetlb_container_shortfall_bytes",
        "What the container needs above its own limit, or has mapped without a reservation above what the pool can give: above zero a process of it will be killed by SIGBUS when it touches what it has mapped. Absent without a limit of its own (its pod's counts), where a figure failed, and where it can't be told (finding uncertain).",
        |view, samples| {
            each(view, |labels, size| samples.push_bytes(labels, size.outlook.shortfall));
        },
    ),
    container(
        "hugetlb_container_margin_bytes",
        "The least of limit less need, of the container and everything above it; below zero one of them is short. Absent where that is uncertain.",
        |view, samples| each(view, |labels, size| samples.push_signed(labels, size.outlook.margin)),
    ),
    container(
        "hugetlb_container_headroom_bytes",
        "What the container can still touch: the least that a limit of its own or above leaves, or the pool.",
        |view, samples| {
            each(view, |labels, size| samples.push_bytes(labels, size.outlook.headroom));
        },
    ),
    container(
        "hugetlb_container_effective_limit_bytes",
        "What the container can use in all as things are: usage and headroom.",
        |view, samples| {
            each(view, |labels, size| samples.push_bytes(labels, size.effective_limit()));
        },
    ),
    Family {
        name: "hugetlb_container_bound_by",
        kind: Kind::Gauge,
        help: "Whose limit leaves the container least: container, pod, kubepods, cgroup (another one above) or pool; 1 for the one that is true.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "level"],
        collect: |view, samples| {
            each(view, |[namespace, pod, container, uid, page_size], size| {
                if let Some(level) = size.outlook.bound_by {
                    let level = level.to_string();
                    samples.push([namespace, pod, container, uid, page_size, &level], 1.0);
                }
            });
        },
    },
    Family {
        name: "hugetlb_container_failure_mode",
        kind: Kind::Gauge,
        help: "What the next mapping that is too large will meet: enomem (mmap is refused), sigbus (mmap succeeds and a touch kills) or unenforced (no limit at all); 1 for the one that is true.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "mode"],
        collect: |view, samples| {
            each(view, |[namespace, pod, container, uid, page_size], size| {
                if let Reading::Present(mode) = size.outlook.failure_mode {
                    let mode = mode.to_string();
                    samples.push([namespace, pod, container, uid, page_size, &mode], 1.0);
                }
            });
        },
    },
    Family {
        name: "hugetlb_container_classified_failures_total",
        kind: Kind::Counter,
        help: "The container's failures by what was refused: fault (a touch, SIGBUS), reservation (a mapping, harmless) or ambiguous (the kernel's figures do not tell). Told up to two polls late.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "kind"],
        collect: |view, samples| {
            each(view, |[namespace, pod, container, uid, page_size], size| {
                for (kind, count) in kinds(size.refusals) {
                    samples.push([namespace, pod, container, uid, page_size, kind], as_f64(count));
                }
            });
        },
    },
];

fn each_pod(view: &View, mut push: impl FnMut([&str; 4], &TenantSize)) {
    for pod in &view.assessment.pods {
        let who = &pod.identity;
        for size in &pod.sizes {
            push([&who.namespace, &who.pod, &who.uid, &size.page_size.to_string()], size);
        }
    }
}

fn each(view: &View, mut push: impl FnMut([&str; 5], &TenantSize)) {
    for container in &view.assessment.containers {
        let who = &container.identity;
        for size in &container.sizes {
            let page_size = size.page_size.to_string();
            push([&who.namespace, &who.pod, &who.container, &who.uid, &page_size], size);
        }
    }
}

/// All three, so that a rate exists from the beginning.
fn kinds(refusals: Reading<Refusals>) -> impl Iterator<Item = (&'static str, u64)> {
    let kinds = |refusals: Refusals| {
        [
            ("fault", refusals.faults),
            ("reservation", refusals.reservations),
            ("ambiguous", refusals.ambiguous),
        ]
    };
    refusals.present().map(kinds).into_iter().flatten()
}

fn declared(view: &View, samples: &mut Samples) {
    let Some(declared) = &view.snapshot.declared else { return };
    each_pod(view, |labels, size| {
        let [_, _, uid, _] = labels;
        if let Some(pod) = PodUid::from_path(uid).and_then(|uid| declared.pod(&uid)) {
            samples.push(labels, pod.limit(size.page_size).as_f64());
        }
    });
}
