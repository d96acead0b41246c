//! Pods, by their own cgroups.

use std::collections::BTreeMap;

use super::{Identity, PodState, Selection, TenantSize};
use crate::history::History;
use crate::identity::{Owner, PodUid, QosClass};
use crate::snapshot::Snapshot;

/// The pods to show, by UID.
pub(super) fn states(
    snapshot: &Snapshot,
    history: &History,
    selection: Selection,
) -> Vec<PodState> {
    let mut pods: BTreeMap<&PodUid, (QosClass, Vec<TenantSize>)> = BTreeMap::new();
    for cgroup in &snapshot.cgroups {
        let Owner::Pod(pod) = &*cgroup.owner else { continue };
        let sizes = cgroup
            .hugetlb
            .iter()
            .map(|hugetlb| TenantSize::of_cgroup(hugetlb, history.pod(&pod.uid, hugetlb.page_size)))
            .filter(|size| selection.idle || size.limit.is_grant() || size.is_active());
        pods.insert(&pod.uid, (pod.qos, sizes.collect()));
    }
    for (uid, qos, tallies) in history.dead_pods() {
        let sizes = tallies
            .map(|(page_size, tally)| TenantSize::of_the_dead(page_size, tally))
            .filter(TenantSize::was_refused);
        pods.entry(uid).or_insert_with(|| (qos, sizes.collect()));
    }
    pods.into_iter()
        .filter(|(_, (_, sizes))| !sizes.is_empty())
        .map(|(uid, (qos, sizes))| PodState {
            identity: identity(uid, String::new(), history),
            qos,
            sizes,
        })
        .collect()
}

/// The labels of a container of a pod, or of the pod itself.
pub(super) fn identity(uid: &PodUid, container: String, history: &History) -> Identity {
    let name = history.pod_name(uid);
    Identity {
        namespace: name.map(|name| name.namespace.clone()).unwrap_or_default(),
        pod: name.map(|name| name.name.clone()).unwrap_or_default(),
        container,
        uid: uid.as_str().to_owned(),
    }
}
