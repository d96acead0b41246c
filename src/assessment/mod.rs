//! From facts to what they mean, without reading anything.
//!
//! Cgroups become pods and containers with names, the instances of one container become one, the dead stay
//! where something was refused them, and what holds nothing and was granted nothing is left out. The
//! [`ledger`] does the sums of who needs what, [`pools`] those of the node, and each rule of [`findings`] says
//! one thing that somebody should know.

mod containers;
mod findings;
mod fit;
mod gone;
mod ledger;
mod pods;
mod pools;
mod services;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::history::{Fault, Grant, History, Refusals, Tally};
use crate::identity::{ContainerId, QosClass, Runtime};
use crate::snapshot::{Hugetlb, Limit, NumaUsage, Reading, Snapshot};
use crate::units::{Bytes, PageSize};
use ledger::Ledger;

pub use findings::{
    Changes, Finding, Findings, REQUIRED_LIMIT, RULES, SHORTFALL, Severity, Subject,
};
pub use fit::{Answer as FitAnswer, Wish, fit};
pub use ledger::{FailureMode, Outlook, ShortOf, Uncertainty};
pub use pools::PoolState;

/// What was made of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// Pods, by UID.
    pub pods: Vec<PodState>,
    /// Containers, by UID and name.
    pub containers: Vec<ContainerState>,
    /// Users of huge pages that are no pod, by path.
    pub services: Vec<ServiceState>,
    /// What the pools have promised and can give, smallest page size first.
    pub pools: Vec<PoolState>,
    /// What somebody should know, the worst first.
    pub findings: Vec<Finding>,
}

/// What to show, and from where on it is worth saying.
#[derive(Debug, Clone)]
pub struct Thresholds {
    /// Also show containers and pods that hold nothing, were granted nothing and were refused nothing.
    pub show_idle: bool,
    /// How long a grant must lie idle before it is said.
    pub idle_for: Duration,
    /// How long a refusal is said after it was seen.
    pub refused_for: Duration,
    /// Namespaces of whose pods nothing is said.
    pub muted_namespaces: Vec<String>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            show_idle: false,
            idle_for: Duration::from_secs(10 * 60),
            refused_for: Duration::from_secs(15 * 60),
            muted_namespaces: Vec::new(),
        }
    }
}

/// The labels of a pod's or container's series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Identity {
    /// Empty where it is not known.
    pub namespace: Arc<str>,
    /// Empty where it is not known.
    pub pod: Arc<str>,
    /// The name, or the first 12 digits of the id where it is not known; empty for a pod.
    pub container: Arc<str>,
    /// The pod's UID, always known.
    pub uid: Arc<str>,
    /// No label: the newest instance's id, so that a container that gets its name is known to be the same.
    pub instance: Option<Arc<str>>,
}

/// A pod and its own cgroup.
#[derive(Debug, Clone)]
pub struct PodState {
    /// Who.
    pub identity: Identity,
    /// Its class; nothing where pods have no cgroups.
    pub qos: Option<QosClass>,
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
    /// Its id.
    pub id: ContainerId,
    /// Its cgroup's path below the hierarchy's root.
    pub cgroup: Arc<str>,
    /// Its pod's class; nothing where pods have no cgroups.
    pub qos: Option<QosClass>,
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
    /// The same failures by what was refused; absent where the counters are.
    pub refusals: Reading<Refusals>,
    /// The last touch that was refused; hardly ever there.
    pub fault: Option<Box<Fault>>,
    /// What is to be expected; of a container with several instances, of all.
    pub outlook: Outlook,
    /// What became of the grant; of a container, the newest instance's.
    pub grant: Grant,
}

/// Makes of a snapshot and what came before it what there is to say. Its findings are those of this snapshot
/// alone; usage and reservation are read one after the other, so only what holds twice is to be believed
/// ([`Findings::confirm`]).
pub fn assess(snapshot: &Snapshot, history: &History, thresholds: &Thresholds) -> Assessment {
    let inner = containers::inner(snapshot);
    let ledger = Ledger::of(snapshot, &inner);
    let mut pods = pods::states(snapshot, history, &ledger, thresholds);
    let containers = containers::states(snapshot, history, &ledger, &inner, &pods, thresholds);
    for container in &containers {
        // Pods are in the order of their UIDs.
        let place = pods.binary_search_by(|pod| pod.identity.uid.cmp(&container.identity.uid));
        if let Some(pod) = place.ok().and_then(|place| pods.get_mut(place)) {
            pod.hear_of_failures(container);
        }
    }
    let services = services::states(snapshot);
    let pools = pools::states(snapshot, history);
    let mut assessment = Assessment { pods, containers, services, pools, findings: Vec::new() };
    assessment.findings = findings::find(snapshot, history, thresholds, &ledger, &assessment);
    assessment
}

impl Assessment {
    /// The containers of that pod.
    pub fn containers_of(&self, uid: &str) -> &[ContainerState] {
        // They are in the order of their pods' UIDs.
        let first = self.containers.partition_point(|container| &*container.identity.uid < uid);
        let rest = self.containers.get(first..).unwrap_or_default();
        let end = rest.partition_point(|container| &*container.identity.uid == uid);
        rest.get(..end).unwrap_or_default()
    }

    /// Leaves only the pods of that namespace and name, their containers, and what is found of them, of the cgroups they
    /// are in, and of the node.
    pub fn keep_only(&mut self, namespace: Option<&str>, pod: Option<&str>) {
        if namespace.is_none() && pod.is_none() {
            return;
        }
        self.pods.retain(|other| other.identity.is_of(namespace, pod));
        self.containers.retain(|container| container.identity.is_of(namespace, pod));
        self.services.clear();
        let instances = self.containers.iter().filter_map(|container| container.newest.as_ref());
        let cgroups: Vec<_> = instances.map(|instance| Arc::clone(&instance.cgroup)).collect();
        let is_below = |cgroup: &str, path: &str| {
            cgroup.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        self.findings.retain(|finding| match &finding.subject {
            Subject::Node => true,
            Subject::Tenant(who) => who.is_of(namespace, pod),
            Subject::Cgroup(path) => cgroups.iter().any(|cgroup| is_below(cgroup, path)),
        });
    }
}

impl Identity {
    /// Whether it is of that namespace and that pod, who may be called by the UID.
    pub fn is_of(&self, namespace: Option<&str>, pod: Option<&str>) -> bool {
        namespace.is_none_or(|namespace| *namespace == *self.namespace)
            && pod.is_none_or(|pod| *pod == *self.pod || *pod == *self.uid)
    }
}

impl Instance {
    /// Its id as Kubernetes writes it, `containerd://…`.
    pub fn container_id(&self) -> String {
        self.runtime.qualify(&self.id)
    }
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
            refusals: hugetlb
                .failures
                .total()
                .map(|_| tally.map(|tally| tally.refusals).unwrap_or_default()),
            fault: tally.and_then(|tally| tally.fault).map(Box::new),
            outlook: Outlook::default(),
            grant: Grant::default(),
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
            refusals: Reading::Present(tally.refusals),
            fault: tally.fault.map(Box::new),
            outlook: Outlook::default(),
            grant: Grant::default(),
        }
    }

    /// Our own pod: what it is refused our own probe was refused, and that is nobody's failure.
    fn without_refusals(self) -> Self {
        Self {
            failures: Reading::Absent,
            refusals: Reading::Absent,
            fault: None,
            last_failure: None,
            ..self
        }
    }

    /// The most it can use as things are: what it uses and what is left to it.
    pub fn effective_limit(&self) -> Reading<Bytes> {
        match (self.usage, self.outlook.headroom) {
            (Reading::Present(usage), Reading::Present(headroom)) => {
                Reading::Present(usage).plus(Reading::Present(headroom))
            }
            (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// Adds what another instance or an earlier one was refused.
    fn add_fault(&mut self, other: Option<Fault>) {
        let own = self.fault.as_deref().copied();
        self.fault = Fault::later(own, other).map(Box::new);
    }

    /// What it has mapped or touched, as far as it is known.
    pub fn held(&self) -> Bytes {
        self.usage.present().max(self.reserved.present()).unwrap_or_default()
    }

    /// What of its grant it has not mapped; absent without one.
    pub fn idle_grant(&self) -> Reading<Bytes> {
        match self.limit {
            Reading::Present(Limit::At(limit)) if limit > Bytes::ZERO => {
                match (self.usage, self.reserved) {
                    (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
                    _ => Reading::Present(limit.less(self.held())),
                }
            }
            Reading::Failed => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// Whether it holds or was refused anything.
    fn is_active(&self) -> bool {
        self.usage.is_some() || self.reserved.is_some() || self.was_refused()
    }

    fn was_refused(&self) -> bool {
        self.failures.present().is_some_and(|failures| failures > 0)
    }
}
