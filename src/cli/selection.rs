//! The pods that a report is asked for by name.

use std::collections::BTreeMap;

use crate::assessment::Identity;
use crate::identity::{Owner, PodUid};
use crate::snapshot::Snapshot;

/// Less alike than this, and somebody else was meant.
const ALIKE: f64 = 0.7;

/// Those of a namespace, or of a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) namespace: Option<&'a str>,
    pub(super) pod: Option<&'a str>,
}

impl Selection<'_> {
    /// That nobody of that name is here, and who is meant instead. Of a pod that is not here nothing is known.
    pub(super) fn complaint(self, snapshot: &Snapshot) -> Option<String> {
        let pods = pods(snapshot);
        let selects_any = pods.iter().any(|pod| pod.is_of(self.namespace, self.pod));
        if selects_any || (self.namespace, self.pod) == (None, None) {
            return None;
        }
        let mut complaint = format!("no pod{} is seen on this node", self.described());
        if pods.is_empty() {
            complaint.push_str(", nor any other");
        }
        if let Some(meant) = self.nearest(&pods) {
            complaint.push_str(&format!("; did you mean {meant}?"));
        }
        let unnamed = pods.iter().filter(|pod| pod.pod.is_empty()).count();
        if unnamed > 0 {
            complaint.push_str(&format!("; {unnamed} of {} are known by uid alone", pods.len()));
        }
        for source in &snapshot.sources {
            if let Some(why) = source.failure() {
                complaint.push_str(&format!("; {}: {why}", source.source));
            }
        }
        Some(complaint)
    }

    /// ` db-0 of namespace prod`
    pub(super) fn described(self) -> String {
        let pod = self.pod.map(|pod| format!(" {pod}"));
        let namespace = self.namespace.map(|namespace| format!(" of namespace {namespace}"));
        pod.into_iter().chain(namespace).collect()
    }

    /// The flags that select who is called nearly so.
    fn nearest(self, pods: &[Identity]) -> Option<String> {
        // As the report writes a pod's name.
        let (namespace, pod) = match self.pod.and_then(|pod| pod.split_once('/')) {
            Some((namespace, pod)) => (Some(namespace), Some(pod)),
            None => (self.namespace, self.pod),
        };
        let of_pod = |who: &Identity| strsim::jaro(pod?, name(who)).into();
        let of_namespace = |who: &Identity| strsim::jaro(namespace?, &who.namespace).into();
        // Of pods that are called alike, the namespace decides.
        let likeness = |who: &Identity| -> [Option<f64>; 2] { [of_pod(who), of_namespace(who)] };
        let alike =
            pods.iter().filter(|who| likeness(who).into_iter().flatten().next() >= Some(ALIKE));
        let who = alike.max_by(|one, other| {
            let (one, other) = (likeness(one), likeness(other));
            one.partial_cmp(&other).unwrap_or(std::cmp::Ordering::Equal)
        })?;
        let namespace = namespace.map(|_| format!("--namespace={}", who.namespace));
        let pod = pod.map(|_| format!("--pod={}", name(who)));
        Some(namespace.into_iter().chain(pod).collect::<Vec<_>>().join(" "))
    }
}

/// By what name a pod is selected.
fn name(who: &Identity) -> &str {
    if who.pod.is_empty() { &who.uid } else { &who.pod }
}

/// Every pod that has a cgroup, whatever it uses.
fn pods(snapshot: &Snapshot) -> Vec<Identity> {
    let uid = |owner: &Owner| match owner {
        Owner::Pod(pod) => Some(pod.uid.clone()),
        Owner::Container(container) => Some(container.pod.uid.clone()),
        _ => None,
    };
    let identity = |uid: PodUid| {
        let name = snapshot.names.pod(&uid).cloned();
        let (namespace, pod) = name.map(|name| (name.namespace, name.name)).unwrap_or_default();
        let who = Identity { namespace, pod, uid: uid.as_str().into(), ..Identity::default() };
        (who.uid.clone(), who)
    };
    let uids = snapshot.cgroups.iter().filter_map(|cgroup| uid(&cgroup.owner));
    uids.map(identity).collect::<BTreeMap<_, _>>().into_values().collect()
}
