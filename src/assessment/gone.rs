//! Pods that are gone and whose cgroups are not: the kubelet or the kernel could not remove them. Their limits promise
//! nothing to anybody.

use std::collections::HashSet;
use std::time::Duration;

use crate::history::History;
use crate::identity::{Owner, PodUid};
use crate::snapshot::{Cgroup, Snapshot, Source, SourceHealth};

/// The kubelet knows a pod before it makes its cgroup, but its last answer may be older.
const UNKNOWN: Duration = Duration::from_secs(2 * 60);

/// The pods of which such cgroups alone are left, by UID. One that changed the cgroup driver has two.
pub(super) fn pods<'a>(snapshot: &'a Snapshot, history: &History) -> HashSet<&'a str> {
    let (mut gone, mut here) = (HashSet::new(), HashSet::new());
    for cgroup in snapshot.cgroups.iter() {
        let Owner::Pod(pod) = &*cgroup.owner else { continue };
        let is_gone = is_gone(snapshot, history, cgroup, &pod.uid);
        if is_gone { &mut gone } else { &mut here }.insert(pod.uid.as_str());
    }
    gone.retain(|uid| !here.contains(uid));
    gone
}

/// Whether a pod's cgroup is what is left of one that is gone: no process is in it, or the kubelet does not know it.
pub(super) fn is_gone(
    snapshot: &Snapshot,
    history: &History,
    cgroup: &Cgroup,
    uid: &PodUid,
) -> bool {
    history.presence(&cgroup.path).is_some_and(|presence| {
        let now = history.now();
        let unknown = is_kubelets_word_good(snapshot) && !snapshot.names.is_told(uid);
        presence.is_deserted(now) || (unknown && presence.is_older_than(UNKNOWN, now))
    })
}

fn is_kubelets_word_good(snapshot: &Snapshot) -> bool {
    let mut kubelet = snapshot.sources.iter().filter(|health| health.source == Source::Kubelet);
    snapshot.declared.is_some() && kubelet.any(SourceHealth::is_up)
}
