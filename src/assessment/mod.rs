//! From facts to what they mean, without reading anything.
//!
//! So far: who holds huge pages. Cgroups become pods and containers with names, the instances of one
//! container become one, the dead stay where something was refused them, and what holds nothing and was
//! granted nothing is left out.

mod containers;
mod pods;
mod services;

use std::time::SystemTime;

use crate::history::{History, Tally};
use crate::identity::{QosClass, Runtime};
use crate::snapshot::{Hugetlb, Limit, NumaUsage, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

/// What was made of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// Pods, by UID.
    pub pods: Vec<PodState>,
    /// Containers, by UID and name.
    pub containers: Vec<ContainerState>,
    /// Users of huge pages that are no pod, by path.
    pub services: Vec<ServiceState>,
}

/// What to show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection {
    /// Also containers and pods that hold nothing, were granted nothing and were refused nothing.
    pub idle: bool,
}

/// The labels of a pod's or container's series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Identity {
    /// Empty where it is not known.
    pub namespace: String,
    /// Empty where it is not known.
    pub pod: String,
    /// The name, or the first 12 digits of the id where it is not known; empty for a pod.
    pub container: String,
    /// The pod's UID, always known.
    pub uid: String,
}

/// A pod and its own cgroup.
#[derive(Debug, Clone)]
pub struct PodState {
    /// Who.
    pub identity: Identity,
    /// Its class.
    pub qos: QosClass,
    /// Smallest page size first.
    pub sizes: Vec<TenantSize>,
}

/// A container, all its instances together.
#[derive(Debug, Clone)]
pub struct ContainerState {
    /// Who.
    pub identity: Identity,
    /// Its newest instance; nothing where it is gone.
    pub newest: Option<Instance>,
    /// Smallest page size first.
    pub sizes: Vec<TenantSize>,
}

/// One run of a container.
#[derive(Debug, Clone)]
pub struct Instance {
    /// As Kubernetes writes it, `containerd://…`.
    pub container_id: String,
    /// Its cgroup's path below the hierarchy's root.
    pub cgroup: String,
    /// Its pod's class.
    pub qos: QosClass,
    /// What made it.
    pub runtime: Runtime,
    /// Whether it lies in its pod's cgroup.
    pub in_pod_cgroup: bool,
}

/// A service's, a virtual machine's, or a session's huge pages.
#[derive(Debug, Clone)]
pub struct ServiceState {
    /// The deepest cgroup that has hugetlb files.
    pub cgroup: String,
    /// Smallest page size first.
    pub sizes: Vec<TenantSize>,
}

/// A tenant's figures for one page size.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSize {
    /// The size.
    pub page_size: PageSize,
    /// Touched.
    pub usage: Reading<Bytes>,
    /// Mapped, touched or not.
    pub reserved: Reading<Bytes>,
    /// The fault limit of its own cgroup.
    pub limit: Reading<Limit>,
    /// The reservation limit of its own cgroup.
    pub reservation_limit: Reading<Limit>,
    /// The most ever touched: since the cgroup was made (v1), or since we watch it (v2).
    pub peak_usage: Reading<Bytes>,
    /// Refused charges, over restarts.
    pub failures: Reading<u64>,
    /// When a refusal was last seen to happen.
    pub last_failure: Option<SystemTime>,
    /// Touched, by NUMA node.
    pub numa_usage: Reading<Vec<NumaUsage>>,
}

/// Makes of a snapshot and what came before it what there is to say.
pub fn assess(snapshot: &Snapshot, history: &History, selection: Selection) -> Assessment {
    let containers = containers::states(snapshot, history, selection);
    let mut pods = pods::states(snapshot, history, selection);
    for container in &containers {
        // Pods are in the order of their UIDs.
        let place = pods.binary_search_by(|pod| pod.identity.uid.cmp(&container.identity.uid));
        if let Some(pod) = place.ok().and_then(|place| pods.get_mut(place)) {
            pod.hear_of_failures(container);
        }
    }
    Assessment { pods, containers, services: services::states(snapshot) }
}

impl PodState {
    /// v1 counts a refusal only at the cgroup whose limit was hit; what a container was refused, its pod was.
    fn hear_of_failures(&mut self, container: &ContainerState) {
        for size in &mut self.sizes {
            let of_size = |other: &&TenantSize| other.page_size == size.page_size;
            let last = container.sizes.iter().find(of_size).and_then(|other| other.last_failure);
            size.last_failure = size.last_failure.max(last);
        }
    }
}

impl TenantSize {
    /// The figures of one cgroup, with what is remembered of it.
    fn of_cgroup(hugetlb: &Hugetlb, tally: Option<Tally>) -> Self {
        let peak = tally.map(|tally| tally.peak).unwrap_or_default();
        Self {
            page_size: hugetlb.page_size,
            usage: hugetlb.usage,
            reserved: hugetlb.reserved,
            limit: hugetlb.limit,
            reservation_limit: hugetlb.reservation_limit,
            peak_usage: hugetlb.usage.map(|usage| usage.max(peak)),
            // The kernel's figure decides whether there is one; history carries it over a reset.
            failures: hugetlb.failures.total().map(|raw| tally.map_or(raw, |tally| tally.failures)),
            last_failure: tally.and_then(|tally| tally.last_failure),
            numa_usage: hugetlb.numa_usage.clone(),
        }
    }

    /// What is left of a tenant whose cgroup is gone.
    fn of_the_dead(page_size: PageSize, tally: Tally) -> Self {
        Self {
            page_size,
            usage: Reading::Absent,
            reserved: Reading::Absent,
            limit: Reading::Absent,
            reservation_limit: Reading::Absent,
            peak_usage: Reading::Present(tally.peak),
            failures: Reading::Present(tally.failures),
            last_failure: tally.last_failure,
            numa_usage: Reading::Absent,
        }
    }

    /// Whether it holds or was refused anything.
    fn is_active(&self) -> bool {
        self.usage.is_some() || self.reserved.is_some() || self.was_refused()
    }

    fn was_refused(&self) -> bool {
        self.failures.present().is_some_and(|failures| failures > 0)
    }

    /// Whether more is mapped than may be touched.
    fn is_overcommitted(&self) -> bool {
        self.limit
            .finite()
            .is_some_and(|limit| self.reserved.present().is_some_and(|reserved| reserved > limit))
    }
}
