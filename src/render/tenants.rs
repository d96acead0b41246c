//! Pods with their containers, those in danger first: the order of the report and of the page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::assessment::{ContainerState, Identity, TenantSize};
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
}

/// All pods of a view: who lacks most comes first, then who has least left.
pub(super) fn by_danger(view: &View) -> Vec<Tenants<'_>> {
    let mut pods: BTreeMap<&str, Tenants<'_>> = BTreeMap::new();
    for pod in &view.assessment.pods {
        let tenants =
            Tenants { identity: &pod.identity, sizes: &pod.sizes, containers: Vec::new() };
        pods.insert(&pod.identity.uid, tenants);
    }
    for container in &view.assessment.containers {
        let identity = &container.identity;
        let pod = pods.entry(&identity.uid).or_insert_with(|| Tenants {
            identity,
            sizes: &[],
            containers: Vec::new(),
        });
        pod.containers.push(container);
    }
    let mut pods: Vec<_> = pods.into_values().collect();
    pods.sort_by_key(Tenants::danger);
    pods
}

impl<'a> Tenants<'a> {
    /// The pod's name, or its UID where that is not known.
    pub(super) fn name(&self) -> String {
        match &*self.identity.pod {
            "" => self.identity.uid.to_string(),
            pod => format!("{}/{pod}", self.identity.namespace),
        }
    }

    /// Its own figures and its containers'.
    pub(super) fn all_sizes(&self) -> impl Iterator<Item = &'a TenantSize> {
        let containers = self.containers.iter().flat_map(|container| &container.sizes);
        self.sizes.iter().chain(containers)
    }

    fn danger(&self) -> (Reverse<Bytes>, SignedBytes) {
        let (mut short, mut margin) = (Bytes::ZERO, SignedBytes(i64::MAX));
        for size in self.all_sizes() {
            short = short.max(size.outlook.shortfall.present().unwrap_or_default());
            margin = margin.min(size.outlook.margin.present().unwrap_or(margin));
        }
        (Reverse(short), margin)
    }
}
