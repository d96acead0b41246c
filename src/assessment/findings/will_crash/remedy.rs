//! What to do about a limit that is too low.

use super::{ShortOf, TenantSize, resource, whole_pages};
use crate::assessment::findings::{Facts, limit_dropped};
use crate::assessment::{ContainerState, Identity, Outlook, PodState};
use crate::units::{Bytes, PageSize};

/// What to do, and the limit that would be enough where raising it is what to do.
pub(in crate::assessment::findings) struct Remedy {
    pub(in crate::assessment::findings) text: String,
    pub(in crate::assessment::findings) limit: Option<Bytes>,
}

impl Remedy {
    /// For whom that size is shown.
    pub(in crate::assessment::findings) fn of(
        facts: &Facts<'_>,
        who: &Identity,
        size: &TenantSize,
    ) -> Option<Self> {
        if who.container.is_empty() {
            return Some(Self::of_pod(facts, facts.pod(who)?, size));
        }
        let mut containers = facts.assessment.containers_of(&who.uid).iter();
        let container = containers.find(|container| container.identity == *who)?;
        Some(Self::of_container(facts, container, size))
    }

    /// For a container with a limit of its own.
    pub(super) fn of_container(
        facts: &Facts<'_>,
        container: &ContainerState,
        size: &TenantSize,
    ) -> Self {
        let mut pods = facts.assessment.pods.iter();
        let pod = pods.find(|pod| pod.identity.uid == container.identity.uid);
        let needed = needed(&size.outlook, size.page_size);
        match (size.outlook.short_of, granted(size, needed, None)) {
            (Some(ShortOf::Pool), _) => Self::pool(&size.outlook, size.page_size),
            (_, Some(granted)) => Self::set_again(granted),
            _ if pod.is_some_and(|pod| shares_the_pods_own(facts, pod, size.page_size)) => {
                Self::own_resources(size.page_size, needed)
            }
            _ => Self::container(container, size.page_size, needed),
        }
    }

    /// For a pod.
    pub(super) fn of_pod(facts: &Facts<'_>, pod: &PodState, size: &TenantSize) -> Self {
        let needed = needed(&size.outlook, size.page_size);
        let holder = facts.only_holder(pod, size.page_size);
        let holder = holder.filter(|container| !facts.is_sandbox(container));
        let declared = facts.declared(pod, size.page_size);
        match (size.outlook.short_of, granted(size, needed, declared), holder) {
            (Some(ShortOf::Pool), ..) => Self::pool(&size.outlook, size.page_size),
            (_, Some(granted), _) => Self::set_again(granted),
            _ if shares_the_pods_own(facts, pod, size.page_size) => {
                Self::own_resources(size.page_size, needed)
            }
            (_, None, Some(container)) => Self::container(container, size.page_size, needed),
            (_, None, None) => Self::containers(size.page_size, needed),
        }
    }

    /// For a part of a pod that no spec knows.
    pub(super) fn of_part(outlook: &Outlook, page_size: PageSize) -> Self {
        match outlook.short_of {
            Some(ShortOf::Pool) => Self::pool(outlook, page_size),
            _ => Self::containers(page_size, needed(outlook, page_size)),
        }
    }

    fn container(container: &ContainerState, page_size: PageSize, needed: Bytes) -> Self {
        let (resource, name) = (resource(page_size), &container.identity.container);
        let set = format!("Set {resource} of container {name} to at least {needed}");
        Self { text: format!("{set}, or make it map less."), limit: Some(needed) }
    }

    fn containers(page_size: PageSize, needed: Bytes) -> Self {
        let resource = resource(page_size);
        let set = format!("Set {resource} of its containers to at least {needed} in all");
        Self { text: format!("{set}, or make them map less."), limit: Some(needed) }
    }

    fn own_resources(page_size: PageSize, needed: Bytes) -> Self {
        let resource = resource(page_size);
        let text = format!(
            "Set {resource} of the pod's own resources (spec.resources) to at least {needed}, or make its containers map less."
        );
        Self { text, limit: Some(needed) }
    }

    fn set_again(granted: Bytes) -> Self {
        let text = format!(
            "The kernel's limit is below the {granted} of its spec, which is enough: recreate the pod, so that it is set again."
        );
        Self { text, limit: None }
    }

    fn pool(outlook: &Outlook, page_size: PageSize) -> Self {
        let short = outlook.shortfall.present().unwrap_or_default();
        let pages = short.0.div_ceil(page_size.bytes().0);
        let text = format!(
            "Add at least {pages} pages to the node's pool of {page_size} pages, or map without MAP_NORESERVE."
        );
        Self { text, limit: None }
    }
}

/// What would be enough.
pub(in crate::assessment::findings) fn needed(outlook: &Outlook, page_size: PageSize) -> Bytes {
    whole_pages(outlook.committed.present().unwrap_or_default(), page_size)
}

/// What was granted, if that is enough and the kernel's limit is not that any more.
fn granted(size: &TenantSize, needed: Bytes, declared: Option<Bytes>) -> Option<Bytes> {
    let before = size.grant.dropped_from.max(limit_dropped::resized_from(size));
    let granted = before.max(declared).filter(|granted| *granted >= needed);
    let is_rescued = size.guarding.rescued_from.is_some();
    granted.filter(|_| is_rescued || size.outlook.short_of == Some(ShortOf::Limit))
}

/// Whether the containers of a pod have the limit of its own resources: the kubelet says so, or each has the whole, and
/// together they have more than the pod.
fn shares_the_pods_own(facts: &Facts<'_>, pod: &PodState, page_size: PageSize) -> bool {
    let of_size = |sizes: &[TenantSize]| {
        sizes.iter().find(|size| size.page_size == page_size)?.limit.finite()
    };
    let limit = of_size(&pod.sizes).filter(|limit| *limit > Bytes::ZERO);
    let Some(limit) = limit else { return false };
    let same = facts.running(pod).filter(|container| of_size(&container.sizes) == Some(limit));
    facts.declares_own_resources(pod, page_size) || same.count() > 1
}
