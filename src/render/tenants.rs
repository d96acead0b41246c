//! Pods with their containers, those in danger first: the order of the report and of the page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::figures::Short;
use crate::assessment::{ContainerState, Finding, Identity, MemoryOutlook, Severity, TenantSize};
use crate::units::{Bytes, SignedBytes};
use crate::view::View;

/// A pod as it is shown.
#[derive(Debug)]
pub(super) struct Tenants<'a> {
    /// Who; of a pod that is not shown itself, one of its containers.
    pub(super) identity: &'a Identity,
    /// The pod's own figures; none if only its containers are shown.
    pub(super) sizes: &'a [TenantSize],
    /// Its containers.
    pub(super) containers: Vec<&'a ContainerState>,
    /// What was found of it, of its containers, or of the node as far as it is concerned; the worst first.
    pub(super) found: Vec<&'a Finding>,
}

/// All pods of a view: of whom the worst is found comes first, then who lacks most, then who has least left.
pub(super) fn by_danger(view: &View) -> Vec<Tenants<'_>> {
    let mut pods: BTreeMap<&str, Tenants<'_>> = BTreeMap::new();
    for pod in &view.assessment.pods {
        pods.insert(&pod.identity.uid, Tenants::of(&pod.identity, &pod.sizes));
    }
    for container in &view.assessment.containers {
        let identity = &container.identity;
        let pod = pods.entry(&identity.uid).or_insert_with(|| Tenants::of(identity, &[]));
        pod.containers.push(container);
    }
    for finding in &view.assessment.findings {
        for uid in finding.pods() {
            if let Some(pod) = pods.get_mut(uid) {
                pod.found.push(finding);
            }
        }
    }
    let mut pods: Vec<_> = pods.into_values().collect();
    pods.sort_by_key(Tenants::danger);
    pods
}

/// Whose memory holds huge pages too, where those count as memory: a pod or a container, by the name of its row.
#[derive(Debug)]
pub(super) struct OfMemory<'a> {
    pub(super) pod: String,
    /// Empty for the pod itself.
    pub(super) container: &'a str,
    pub(super) memory: &'a MemoryOutlook,
}

/// Those of all pods that have a limit of memory, in their order.
pub(super) fn of_memory<'a>(view: &'a View, pods: &[Tenants<'a>]) -> Vec<OfMemory<'a>> {
    let mut rows = Vec::new();
    for pod in pods {
        let own = view.assessment.pods.iter().find(|it| it.identity.uid == pod.identity.uid);
        let own = own.and_then(|own| own.memory.as_ref());
        rows.extend(own.map(|memory| OfMemory { pod: pod.name(), container: "", memory }));
        rows.extend(pod.containers.iter().filter_map(|container| {
            let memory = container.memory.as_ref()?;
            Some(OfMemory { pod: pod.name(), container: &container.identity.container, memory })
        }));
    }
    rows
}

impl<'a> Tenants<'a> {
    fn of(identity: &'a Identity, sizes: &'a [TenantSize]) -> Self {
        Self { identity, sizes, containers: Vec::new(), found: Vec::new() }
    }

    /// The pod's name, or its UID where that is not known.
    pub(super) fn name(&self) -> String {
        self.identity.pod_name()
    }

    /// What the pod's own row says it is short of.
    pub(super) fn short(&self, size: &TenantSize) -> Short {
        let is_same = |other: &&TenantSize| other.page_size == size.page_size;
        let containers = self.containers.iter().flat_map(|container| &container.sizes);
        let containers: Vec<Short> = containers.filter(is_same).map(Short::of).collect();
        let mut found = self.found.iter();
        let may_be_meant = found.any(|finding| {
            finding.page_size == Some(size.page_size) && finding.kills_any_concerned()
        });
        Short::of(size).with(&containers, may_be_meant)
    }

    /// Whether a warning or worse concerns it, or it is short of pages, or that can't be told.
    pub(super) fn is_wrong(&self) -> bool {
        self.found.iter().any(|finding| finding.severity < Severity::Info)
            || self.all_sizes().any(|size| !Short::of(size).is_fine())
    }

    /// Its own figures and its containers'.
    fn all_sizes(&self) -> impl Iterator<Item = &'a TenantSize> {
        let containers = self.containers.iter().flat_map(|container| &container.sizes);
        self.sizes.iter().chain(containers)
    }

    fn danger(&self) -> (Severity, Reverse<Bytes>, SignedBytes) {
        let (mut short, mut margin) = (Bytes::ZERO, SignedBytes(i64::MAX));
        for size in self.all_sizes() {
            short = short.max(size.outlook.shortfall.present().unwrap_or_default());
            margin = margin.min(size.outlook.margin.present().unwrap_or(margin));
        }
        let worst = self.found.iter().map(|finding| finding.severity).min();
        (worst.unwrap_or(Severity::Info), Reverse(short), margin)
    }
}
