//! Pods, by their own cgroups.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::Ledger;
use super::{Identity, PodState, TenantSize, Thresholds};
use crate::history::History;
use crate::identity::{Owner, PodUid, QosClass};
use crate::snapshot::{Hugetlb, Snapshot};
use crate::units::Bytes;

/// The pods to show, by UID.
pub(super) fn states(
    snapshot: &Snapshot,
    history: &History,
    ledger: &Ledger,
    thresholds: &Thresholds,
) -> Vec<PodState> {
    let mut pods: BTreeMap<&PodUid, (QosClass, Vec<TenantSize>)> = BTreeMap::new();
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Pod(pod) = &*cgroup.owner else { continue };
        let size = |hugetlb: &Hugetlb| {
            let page_size = hugetlb.page_size;
            let (tally, grant) = history.pod(&pod.uid, page_size).unzip();
            TenantSize {
                outlook: ledger.outlook(index, page_size),
                grant: grant.unwrap_or_default(),
                ..TenantSize::of_cgroup(hugetlb, tally)
            }
        };
        // Collected first and thinned out after: that allocates no more than is needed.
        let mut sizes: Vec<TenantSize> = cgroup.hugetlb.iter().map(size).collect();
        if snapshot.own_pod() == Some(&pod.uid) {
            sizes = sizes.into_iter().map(TenantSize::without_refusals).collect();
        }
        let declared = snapshot.declared.as_ref().and_then(|declared| declared.pod(&pod.uid));
        sizes.retain(|size| {
            // A grant that the kernel does not have, or has no more, is the one that will be missed.
            let promised = declared.is_some_and(|pod| pod.limit(size.page_size) > Bytes::ZERO)
                || size.grant.dropped_from.is_some();
            thresholds.show_idle
                || promised
                || size.limit.is_grant()
                || size.is_active()
                || size.outlook.unreserved > Bytes::ZERO
        });
        pods.insert(&pod.uid, (pod.qos, sizes));
    }
    for (uid, qos, tallies) in history.dead_pods() {
        let sizes = tallies
            .map(|(page_size, tally)| TenantSize::of_the_dead(page_size, tally))
            .filter(TenantSize::was_refused);
        pods.entry(uid).or_insert_with(|| (qos, sizes.collect()));
    }
    let none: Arc<str> = Arc::from("");
    pods.into_iter()
        .filter(|(_, (_, sizes))| !sizes.is_empty())
        .map(|(uid, (qos, sizes))| PodState {
            identity: identity(uid, Arc::clone(&none), history),
            qos,
            sizes,
        })
        .collect()
}

/// The labels of a container of a pod, or of the pod itself.
pub(super) fn identity(uid: &PodUid, container: Arc<str>, history: &History) -> Identity {
    let name = history.pod_name(uid);
    Identity {
        namespace: name.map(|name| name.namespace.clone()).unwrap_or_default(),
        pod: name.map(|name| name.name.clone()).unwrap_or_default(),
        instance: None,
        container,
        uid: uid.shared(),
    }
}
