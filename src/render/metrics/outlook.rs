//! What is to be expected of pods and containers.

use super::rows::{CONTAINER, POD, Tenants};
use super::samples::{Samples, as_f64, bytes, signed};
use super::{Collect, Family, Kind};
use crate::assessment::TenantSize;
use crate::identity::PodUid;
use crate::view::View;

const fn pod(
    name: &'static str,
    help: &'static str,
    figure: fn(&TenantSize) -> Option<f64>,
) -> Family {
    let collect = Collect::Figure(Tenants::Pods, figure);
    Family { name, kind: Kind::Gauge, help, labels: POD, collect }
}

const fn container(
    name: &'static str,
    help: &'static str,
    figure: fn(&TenantSize) -> Option<f64>,
) -> Family {
    let collect = Collect::Figure(Tenants::Containers, figure);
    Family { name, kind: Kind::Gauge, help, labels: CONTAINER, collect }
}

pub(super) const FAMILIES: &[Family] = &[
    pod(
        "hugetlb_pod_shortfall_bytes",
        "What the pod needs above its limit: above zero a process of it will be killed by SIGBUS when it touches what it has mapped. Absent without a limit, where a figure failed, and where it can't be told (finding uncertain).",
        |size| bytes(size.outlook.shortfall),
    ),
    pod(
        "hugetlb_pod_margin_bytes",
        "The least of limit less need, of the pod and everything above it; below zero it is short. Absent where that is uncertain.",
        |size| signed(size.outlook.margin),
    ),
    pod("hugetlb_pod_idle_grant_bytes", "What of its grant the pod has not mapped.", |size| {
        bytes(size.idle_grant())
    }),
    Family {
        name: "hugetlb_pod_declared_limit_bytes",
        kind: Kind::Gauge,
        help: "What the pod's spec grants it, by the kubelet's word (only with --collector.kubelet).",
        labels: POD,
        collect: Collect::Own(declared),
    },
    Family {
        name: "hugetlb_pod_classified_failures_total",
        kind: Kind::Counter,
        help: "The pod's failures by what was refused: fault (a touch, SIGBUS), reservation (a mapping, harmless) or ambiguous (the kernel's figures do not tell, or nothing was granted and it was a mapping or a first touch without a reservation). Told up to two polls late.",
        labels: &["namespace", "pod", "uid", "pagesize", "kind"],
        collect: Collect::Parts(Tenants::Pods, kinds),
    },
    container(
        "hugetlb_container_shortfall_bytes",
        "What the container needs above its own limit, or has mapped without a reservation above what the pool can give: above zero a process of it will be killed by SIGBUS when it touches what it has mapped. Absent without a limit of its own (its pod's counts), where a figure failed, and where it can't be told (finding uncertain).",
        |size| bytes(size.outlook.shortfall),
    ),
    container(
        "hugetlb_container_margin_bytes",
        "The least of limit less need, of the container and everything above it; below zero one of them is short. Absent where that is uncertain.",
        |size| signed(size.outlook.margin),
    ),
    container(
        "hugetlb_container_headroom_bytes",
        "What the container can still touch: the least that a limit of its own or above leaves, or the pool.",
        |size| bytes(size.outlook.headroom),
    ),
    container(
        "hugetlb_container_effective_limit_bytes",
        "What the container can use in all as things are: usage and headroom.",
        |size| bytes(size.effective_limit()),
    ),
    Family {
        name: "hugetlb_container_bound_by",
        kind: Kind::Gauge,
        help: "Whose limit leaves the container least: container, pod, kubepods, cgroup (another one above) or pool; 1 for the one that is true.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "level"],
        collect: Collect::Parts(Tenants::Containers, |size, push| {
            size.outlook.bound_by.iter().for_each(|level| push(level.to_string(), 1.0));
        }),
    },
    Family {
        name: "hugetlb_container_failure_mode",
        kind: Kind::Gauge,
        help: "What the next mapping that is too large will meet: enomem (mmap is refused), sigbus (mmap succeeds and a touch kills) or unenforced (no limit at all); 1 for the one that is true.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "mode"],
        collect: Collect::Parts(Tenants::Containers, |size, push| {
            let mode = size.outlook.failure_mode.present();
            mode.iter().for_each(|mode| push(mode.to_string(), 1.0));
        }),
    },
    Family {
        name: "hugetlb_container_classified_failures_total",
        kind: Kind::Counter,
        help: "The container's failures by what was refused: fault (a touch, SIGBUS), reservation (a mapping, harmless) or ambiguous (the kernel's figures do not tell, or nothing was granted and it was a mapping or a first touch without a reservation). Told up to two polls late.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "kind"],
        collect: Collect::Parts(Tenants::Containers, kinds),
    },
];

/// All three, so that a rate exists from the beginning.
fn kinds(size: &TenantSize, push: &mut dyn FnMut(String, f64)) {
    if let Some(refusals) = size.all_refusals().present() {
        push("ambiguous".to_owned(), as_f64(refusals.ambiguous.saturating_add(refusals.ungranted)));
        push("fault".to_owned(), as_f64(refusals.faults));
        push("reservation".to_owned(), as_f64(refusals.reservations));
    }
}

fn declared(view: &View, samples: &mut Samples) {
    let Some(declared) = &view.snapshot.declared else { return };
    for pod in &view.assessment.pods {
        let who = &pod.identity;
        let Some(spec) = PodUid::from_path(&who.uid).and_then(|uid| declared.pod(&uid)) else {
            continue;
        };
        for size in &pod.sizes {
            let page_size = size.page_size.to_string();
            let limit = spec.limit(size.page_size).as_f64();
            samples.push([&who.namespace, &who.pod, &who.uid, &page_size], limit);
        }
    }
}
