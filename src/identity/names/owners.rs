//! Whose a cgroup is, where names tell more of it than its path does.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::NameIndex;
use crate::identity::{ContainerCgroup, Owner, PodUid, Runtime};

/// Owners by path and names.
#[derive(Debug)]
pub struct Owners<'a> {
    names: &'a NameIndex,
    /// The pod of each container. Asked for only on nodes whose pods have no cgroups, or that run containers of others.
    pods: OnceCell<HashMap<&'a str, Option<&'a PodUid>>>,
}

impl NameIndex {
    /// Owners, as these names and paths have them.
    pub fn owners(&self) -> Owners<'_> {
        Owners { names: self, pods: OnceCell::new() }
    }
}

impl Owners<'_> {
    /// The owner of the cgroup at a path, given the one that its path alone tells: a container that no path of a pod's
    /// leads to gets its pod, one whose path does not tell its runtime the one that the kubelet told.
    pub fn of(&self, by_path: &Arc<Owner>, path: &str) -> Arc<Owner> {
        let more = match &**by_path {
            Owner::Service if Owner::may_be_container(path) => {
                let pods = self.pods.get_or_init(|| self.names.pods_by_container());
                Owner::by_id(path, |id| pods.get(id.as_str()).copied().flatten().cloned())
            }
            Owner::Container(container) if container.runtime == Runtime::Unknown => {
                let runtime = self.names.runtime(&container.pod.uid, &container.id);
                runtime.map(|runtime| {
                    Owner::Container(ContainerCgroup { runtime, ..container.clone() })
                })
            }
            _ => None,
        };
        more.map_or_else(|| Arc::clone(by_path), Arc::new)
    }
}
