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
mod killed;
mod ledger;
mod memory;
mod pods;
mod pools;
mod services;
mod tenant;

use std::sync::Arc;
use std::time::Duration;

use crate::history::History;
use crate::identity::{ContainerId, QosClass, Runtime};
use crate::snapshot::{CgroupVersion, Snapshot};
use ledger::Ledger;

pub use findings::{
    Changes, Finding, Findings, MutedPod, REQUIRED_LIMIT, RULES, SHORTFALL, Severity, Subject,
};
pub use fit::{Answer as FitAnswer, Wish, fit};
pub use killed::{Killed, Signalled};
pub use ledger::{FailureMode, Outlook, ShortOf, Uncertainty};
pub use memory::MemoryOutlook;
pub use pools::PoolState;
pub use tenant::TenantSize;

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
    /// What somebody knows and wants to hear nothing of, the worst first.
    pub muted: Vec<Finding>,
    /// Processes that got SIGBUS lately, the oldest first; none without a witness.
    pub killed: Vec<Killed>,
    /// How many signals each container got, by labels.
    pub signalled: Vec<Signalled>,
    /// Signals of nobody known; nothing without a witness.
    pub lost_signals: Option<u64>,
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
    /// Pods of which nothing is said, or one thing is not.
    pub muted_pods: Vec<MutedPod>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            show_idle: false,
            idle_for: Duration::from_secs(10 * 60),
            refused_for: Duration::from_secs(15 * 60),
            muted_namespaces: Vec::new(),
            muted_pods: Vec::new(),
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
    /// What becomes of its memory, where huge pages count as memory and it has a limit.
    pub memory: Option<MemoryOutlook>,
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
    /// What becomes of its newest instance's memory, where huge pages count as memory and it has a limit.
    pub memory: Option<MemoryOutlook>,
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

/// Makes of a snapshot and what came before it what there is to say. Its findings are those of this snapshot
/// alone; usage and reservation are read one after the other, so only what holds twice is to be believed
/// ([`Findings::confirm`]).
pub fn assess(snapshot: &Snapshot, history: &History, thresholds: &Thresholds) -> Assessment {
    let inner = containers::inner(snapshot);
    let ledger = Ledger::of(snapshot, &inner);
    let mut pods = pods::states(snapshot, history, &ledger, thresholds);
    let containers = containers::states(snapshot, history, &ledger, &inner, &pods, thresholds);
    let version = snapshot.hierarchy.as_ref().map(|hierarchy| hierarchy.version);
    let counts_below = version == Some(CgroupVersion::V2);
    for container in &containers {
        // Pods are in the order of their UIDs.
        let place = pods.binary_search_by(|pod| pod.identity.uid.cmp(&container.identity.uid));
        if let Some(pod) = place.ok().and_then(|place| pods.get_mut(place)) {
            pod.hear_of_failures(container, counts_below);
        }
    }
    let services = services::states(snapshot);
    let pools = pools::states(snapshot, history);
    let memory = memory::outlooks(snapshot, &ledger);
    let mut assessment = Assessment {
        pods,
        containers,
        services,
        pools,
        killed: killed::processes(history),
        signalled: killed::counts(history),
        lost_signals: history.lost_signals(),
        ..Assessment::default()
    };
    memory::hand_out(&memory, snapshot, &mut assessment);
    (assessment.findings, assessment.muted) =
        findings::find(snapshot, history, thresholds, &ledger, &memory, &assessment);
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
        let is_of = |finding: &Finding| match &finding.subject {
            Subject::Node => true,
            Subject::Tenant(who) => who.is_of(namespace, pod),
            Subject::Cgroup(path) => cgroups.iter().any(|cgroup| is_below(cgroup, path)),
        };
        self.killed.retain(|killed| killed.who.is_of(namespace, pod));
        self.signalled.retain(|signalled| signalled.who.is_of(namespace, pod));
        self.findings.retain(is_of);
        self.muted.retain(is_of);
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
    fn hear_of_failures(&mut self, container: &ContainerState, counts_below: bool) {
        for size in &mut self.sizes {
            let of_size = |other: &&TenantSize| other.page_size == size.page_size;
            let Some(other) = container.sizes.iter().find(of_size) else { continue };
            size.last_failure = size.last_failure.max(other.last_failure);
            if let Some(refusals) = other.refusals.present().filter(|_| counts_below) {
                size.below = size.below.with(refusals);
            }
        }
    }
}
