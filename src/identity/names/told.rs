//! Names as the kubelet itself tells them, for whoever asks it.

use std::collections::HashMap;

use super::{ContainerName, PodName, is_dns_label};
use crate::identity::id::{ContainerId, PodUid, Runtime};

/// All names that the kubelet told in one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldNames {
    pods: HashMap<PodUid, PodName>,
    containers: HashMap<ContainerId, ToldContainer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ToldContainer {
    uid: PodUid,
    container: ContainerName,
    runtime: Runtime,
}

impl ToldNames {
    /// Takes in a pod.
    pub fn add_pod(&mut self, uid: PodUid, name: PodName) {
        self.pods.insert(uid, name);
    }

    /// Takes in a container of that pod. A name that Kubernetes would not accept is passed over.
    pub fn add_container(
        &mut self,
        uid: PodUid,
        id: ContainerId,
        name: &str,
        attempt: u32,
        runtime: Runtime,
    ) {
        if is_dns_label(name) {
            let container = ContainerName { name: name.into(), attempt };
            self.containers.insert(id, ToldContainer { uid, container, runtime });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.containers.is_empty()
    }

    pub(super) fn pod(&self, uid: &PodUid) -> Option<&PodName> {
        self.pods.get(uid)
    }

    pub(super) fn container(&self, uid: &PodUid, id: &ContainerId) -> Option<&ContainerName> {
        self.entry(uid, id).map(|told| &told.container)
    }

    pub(super) fn runtime(&self, uid: &PodUid, id: &ContainerId) -> Option<Runtime> {
        self.entry(uid, id).map(|told| told.runtime)
    }

    pub(super) fn has_container(&self, uid: &PodUid, name: &str) -> bool {
        let is_it = |told: &ToldContainer| told.uid == *uid && &*told.container.name == name;
        self.containers.values().any(is_it)
    }

    pub(super) fn knows_containers_of(&self, uid: &PodUid) -> bool {
        self.containers.values().any(|told| told.uid == *uid)
    }

    /// The containers of that pod, by their ids.
    pub(super) fn of_pod(&self, uid: &PodUid) -> impl Iterator<Item = (&str, &ContainerName)> {
        let of_pod = self.containers.iter().filter(move |(_, told)| told.uid == *uid);
        of_pod.map(|(id, told)| (id.as_str(), &told.container))
    }

    pub(super) fn pods_by_container(&self) -> impl Iterator<Item = (&str, &PodUid)> {
        self.containers.iter().map(|(id, told)| (id.as_str(), &told.uid))
    }

    /// An id counts only with its own pod.
    fn entry(&self, uid: &PodUid, id: &ContainerId) -> Option<&ToldContainer> {
        self.containers.get(id).filter(|told| told.uid == *uid)
    }
}
