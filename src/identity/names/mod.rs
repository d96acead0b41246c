//! Names for UIDs and ids, from what the kubelet leaves in its log directories, and from what it says where
//! it is asked.
//!
//! ```text
//! /var/log/pods/default_db-0_<uid>/
//! /var/log/containers/db-0_default_postgres-<id>.log -> /var/log/pods/default_db-0_<uid>/postgres/3.log
//! ```
//!
//! Anyone who may write there (a pod with that hostPath) may write anything, so an entry counts only if
//! every part is a name that Kubernetes would accept, link and target agree, and its UID is that of the
//! cgroup in question, which the kernel vouches for. Where two entries contradict each other neither is
//! believed: no name is better than a wrong one. What the kubelet says itself outweighs all of that.

mod owners;
mod told;

use std::collections::HashMap;
use std::sync::Arc;

use super::id::{ContainerId, PodUid, Runtime, is_hex};

pub use told::ToldNames;

/// A pod's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// A container's name within its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName {
    /// The name in the pod's spec.
    pub name: Arc<str>,
    /// How often it had been restarted before: 3 in `…/postgres/3.log`.
    pub attempt: u32,
}

/// All names known at one time. A clone costs nothing: the poller puts the kubelet's word to the newest of the
/// log directories at every poll.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameIndex {
    pods: Arc<HashMap<PodUid, Claim<PodName>>>,
    containers: Arc<HashMap<PodUid, Vec<ContainerEntry>>>,
    told: Arc<ToldNames>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim<T> {
    Undisputed(T),
    Disputed,
}

/// What one link in /var/log/containers says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ContainerEntry {
    /// The id, or as much of it as was left when the kubelet cut the file name.
    id_prefix: String,
    container: ContainerName,
}

/// The kubelet cuts a link's name so that with `.log` it has 255 bytes.
const LONGEST_STEM: usize = 255 - ".log".len();

impl PodName {
    /// A pod's name, if Kubernetes would accept both parts of it.
    pub fn new(namespace: &str, name: &str) -> Option<Self> {
        (is_dns_label(namespace) && is_dns_subdomain(name))
            .then(|| Self { namespace: namespace.into(), name: name.into() })
    }
}

impl NameIndex {
    /// The same names, with what the kubelet said.
    pub fn with_told(&self, told: Arc<ToldNames>) -> Self {
        Self { told, ..self.clone() }
    }

    /// Takes in the name of a directory in /var/log/pods. What is no such name is passed over.
    pub fn add_pod_directory(&mut self, directory: &str) {
        if let Some((uid, name)) = parse_pod_directory(directory) {
            self.claim_pod(uid, name);
        }
    }

    /// Takes in a link of /var/log/containers, its name and its target. What is no such link is passed over.
    pub fn add_container_link(&mut self, link: &str, target: &str) {
        if let Some((uid, pod, entry)) = parse_container_link(link, target) {
            self.claim_pod(uid.clone(), pod);
            Arc::make_mut(&mut self.containers).entry(uid).or_default().push(entry);
        }
    }

    /// These names and those of another search. Where they contradict each other neither is believed.
    pub fn and(mut self, other: &Self) -> Self {
        for (uid, claim) in &*other.pods {
            match claim {
                Claim::Undisputed(name) => self.claim_pod(uid.clone(), name.clone()),
                Claim::Disputed => {
                    Arc::make_mut(&mut self.pods).insert(uid.clone(), Claim::Disputed);
                }
            }
        }
        let containers = Arc::make_mut(&mut self.containers);
        for (uid, entries) in &*other.containers {
            containers.entry(uid.clone()).or_default().extend_from_slice(entries);
        }
        self
    }

    /// Whether it knows nobody.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.containers.is_empty() && self.told.is_empty()
    }

    /// The pod's name, if the kubelet told it, or if it is known and undisputed.
    pub fn pod(&self, uid: &PodUid) -> Option<&PodName> {
        self.told.pod(uid).or_else(|| self.logged_pod(uid))
    }

    /// Whether the kubelet itself told the pod's name.
    pub fn is_told(&self, uid: &PodUid) -> bool {
        self.told.pod(uid).is_some()
    }

    /// What made the container, if the kubelet told it.
    fn runtime(&self, uid: &PodUid, id: &ContainerId) -> Option<Runtime> {
        self.told.runtime(uid, id)
    }

    fn logged_pod(&self, uid: &PodUid) -> Option<&PodName> {
        match self.pods.get(uid)? {
            Claim::Undisputed(name) => Some(name),
            Claim::Disputed => None,
        }
    }

    /// The container's name, if the kubelet told it, or if it is known and undisputed.
    pub fn container(&self, uid: &PodUid, id: &ContainerId) -> Option<&ContainerName> {
        self.told.container(uid, id).or_else(|| self.logged_container(uid, id))
    }

    fn logged_container(&self, uid: &PodUid, id: &ContainerId) -> Option<&ContainerName> {
        let entries = self.containers.get(uid)?;
        let longest = entries
            .iter()
            .filter(|entry| id.as_str().starts_with(&entry.id_prefix))
            .map(|entry| entry.id_prefix.len())
            .max()?;
        let mut candidates = entries
            .iter()
            .filter(|entry| {
                entry.id_prefix.len() == longest && id.as_str().starts_with(&entry.id_prefix)
            })
            .map(|entry| &entry.container);
        let first = candidates.next()?;
        candidates.try_fold(first, |newest, other| {
            (other.name == newest.name).then_some(if other.attempt > newest.attempt {
                other
            } else {
                newest
            })
        })
    }

    /// The pods that two entries name differently, for the log.
    pub fn disputed(&self) -> impl Iterator<Item = &PodUid> {
        self.pods.iter().filter(|(_, claim)| matches!(claim, Claim::Disputed)).map(|(uid, _)| uid)
    }

    /// Whether that pod has a container of that name.
    pub fn has_container(&self, uid: &PodUid, name: &str) -> bool {
        let is_it = |entry: &ContainerEntry| &*entry.container.name == name;
        self.containers.get(uid).is_some_and(|entries| entries.iter().any(is_it))
            || self.told.has_container(uid, name)
    }

    /// Whether it knows containers of that pod: then one that it does not know is its sandbox, or very young.
    pub fn knows_containers_of(&self, uid: &PodUid) -> bool {
        self.containers.contains_key(uid) || self.told.knows_containers_of(uid)
    }

    /// The container of a pod that starts again and again, where no other can be it: the only one that is named, or of
    /// those that are not settled the only one that was started before, or the only one. `is_settled` is asked of each
    /// instance by what its id begins with.
    pub fn restarting(
        &self,
        uid: &PodUid,
        is_settled: impl Fn(&str) -> bool,
    ) -> Option<&ContainerName> {
        let logged = self.containers.get(uid).into_iter().flatten();
        let logged = logged.map(|entry| (entry.id_prefix.as_str(), &entry.container));
        let mut newest: HashMap<&str, (&ContainerName, bool)> = HashMap::new();
        for (id, container) in logged.chain(self.told.of_pod(uid)) {
            let (known, settled) = newest.entry(&container.name).or_insert((container, false));
            *settled |= is_settled(id);
            if container.attempt > known.attempt {
                *known = container;
            }
        }
        let is_alone = newest.len() == 1;
        let unsettled = newest.into_values().filter(|(_, settled)| is_alone || !settled);
        let unsettled: Vec<_> = unsettled.map(|(name, _)| name).collect();
        let again: Vec<_> = unsettled.iter().copied().filter(|it| it.attempt > 0).collect();
        match (&again[..], &unsettled[..]) {
            ([one], _) | ([], [one]) => Some(one),
            _ => None,
        }
    }

    /// The pod of every container that is known by its whole id. Where two are named, neither is believed. Here no
    /// cgroup's path vouches for the pod, only for the id.
    fn pods_by_container(&self) -> HashMap<&str, Option<&PodUid>> {
        let mut pods: HashMap<&str, Option<&PodUid>> = HashMap::new();
        for (uid, entries) in &*self.containers {
            for entry in entries.iter().filter(|entry| entry.id_prefix.len() == 64) {
                pods.entry(&entry.id_prefix)
                    .and_modify(|pod| *pod = pod.filter(|pod| *pod == uid))
                    .or_insert(Some(uid));
            }
        }
        pods.extend(self.told.pods_by_container().map(|(id, uid)| (id, Some(uid))));
        pods
    }

    fn claim_pod(&mut self, uid: PodUid, name: PodName) {
        Arc::make_mut(&mut self.pods)
            .entry(uid)
            .and_modify(|claim| {
                if !matches!(claim, Claim::Undisputed(known) if *known == name) {
                    *claim = Claim::Disputed;
                }
            })
            .or_insert(Claim::Undisputed(name));
    }
}

/// `<namespace>_<pod>_<uid>`: names have no `_`.
fn parse_pod_directory(directory: &str) -> Option<(PodUid, PodName)> {
    let mut parts = directory.splitn(3, '_');
    let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let name = PodName::new(namespace, name)?;
    Some((PodUid::from_path(uid)?, name))
}

/// `<pod>_<namespace>_<container>-<id>.log` -> `…/<namespace>_<pod>_<uid>/<container>/<attempt>.log`
fn parse_container_link(link: &str, target: &str) -> Option<(PodUid, PodName, ContainerEntry)> {
    let mut target = target.rsplitn(4, '/');
    let (file, container, directory) = (target.next()?, target.next()?, target.next()?);
    let attempt = file.strip_suffix(".log")?.parse().ok()?;
    let (uid, pod) = parse_pod_directory(directory)?;
    if !is_dns_label(container) {
        return None;
    }
    let stem = link.strip_suffix(".log")?;
    let names = format!("{}_{}_{container}-", pod.name, pod.namespace);
    let id_prefix = match stem.strip_prefix(&names) {
        Some(id) => id,
        None if stem.len() == LONGEST_STEM && names.starts_with(stem) => "",
        None => return None,
    };
    let whole = id_prefix.len() == 64 || (stem.len() == LONGEST_STEM && id_prefix.len() < 64);
    let valid = whole && id_prefix.bytes().all(is_hex);
    let container = ContainerName { name: container.into(), attempt };
    valid.then(|| (uid, pod, ContainerEntry { id_prefix: id_prefix.to_owned(), container }))
}

/// RFC 1123 label: what Kubernetes accepts as a namespace or a container.
fn is_dns_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// RFC 1123 subdomain: what Kubernetes accepts as a pod's name.
fn is_dns_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests;
