//! What a read shows of the tree: plain facts, shared while they stay the same.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::tree::{Id, Tree};
use crate::identity::{ContainerCgroup, NameIndex, Owner, PodUid, Runtime};
use crate::snapshot::{AtRefusal, Cgroup, OwnCgroup};
use crate::sources::hierarchy::Own;

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) cgroups: Arc<Vec<Cgroup>>,
    pub(super) own: Option<OwnCgroup>,
    /// The path of our own pod's cgroup, or of our own where it is in none.
    own_pod: Option<Arc<str>>,
    /// What was known of names then.
    pub(super) names: Arc<NameIndex>,
    /// What was held at refusals that were heard of since it was shown before.
    pub(super) at_refusals: Arc<[AtRefusal]>,
}

impl Shown {
    /// What there is now: parents before their children, siblings by name.
    pub(super) fn of(
        tree: &mut Tree,
        names: &Arc<NameIndex>,
        own: Option<&Own>,
        root: &Path,
    ) -> Self {
        let mut cgroups: Vec<Cgroup> = Vec::with_capacity(tree.len());
        let mut at_refusals = Vec::new();
        // Each with the index of its parent.
        let mut pending = vec![(Tree::ROOT, None)];
        // Looked up only on nodes whose pods have no cgroups, or that run containers of others.
        let by_id = LazyCell::new(|| names.pods_by_container());
        while let Some((id, parent)) = pending.pop() {
            let Some(node) = tree.node_mut(id) else { continue };
            let index = (!node.names.is_empty()).then_some(cgroups.len());
            at_refusals.extend(index.into_iter().flat_map(|index| node.take_at_refusals(index)));
            if index.is_some() {
                let owner = match &*node.facts.owner {
                    Owner::Service if Owner::may_be_container(&node.facts.path) => {
                        by_id_alone(&node.facts, &by_id)
                    }
                    _ => with_runtime(&node.facts.owner, names),
                };
                cgroups.push(Cgroup { parent, owner, ..node.facts.clone() });
            }
            pending.extend(node.children.values().rev().map(|child| (*child, index)));
        }
        let own = own.map(|own| own.among(&cgroups, root));
        let own_pod = own.as_ref().and_then(|own| own_pod(&cgroups, own.index?));
        let (cgroups, names) = (Arc::new(cgroups), Arc::clone(names));
        Self { cgroups, own, own_pod, names, at_refusals: at_refusals.into() }
    }

    /// Whether a cgroup is in our own pod.
    pub(super) fn is_ours(&self, tree: &Tree, id: Id) -> bool {
        tree.chain(id).any(|above| Some(&above.facts.path) == self.own_pod.as_ref())
    }
}

/// The path of the pod that a cgroup is in, or its own.
fn own_pod(cgroups: &[Cgroup], own: usize) -> Option<Arc<str>> {
    let own = cgroups.get(own)?;
    let mut chain = std::iter::successors(Some(own), |it| cgroups.get(it.parent?));
    let pod = chain.find(|above| matches!(&*above.owner, Owner::Pod(_)));
    Some(Arc::clone(&pod.unwrap_or(own).path))
}

/// A container that no path of a pod's leads to.
fn by_id_alone(facts: &Cgroup, pods: &HashMap<&str, Option<&PodUid>>) -> Arc<Owner> {
    let owner = Owner::by_id(&facts.path, |id| pods.get(id.as_str()).copied().flatten().cloned());
    owner.map_or_else(|| Arc::clone(&facts.owner), Arc::new)
}

/// With the runtime that the kubelet told, where the path does not tell it.
fn with_runtime(owner: &Arc<Owner>, names: &NameIndex) -> Arc<Owner> {
    match &**owner {
        Owner::Container(container) if container.runtime == Runtime::Unknown => {
            names.runtime(&container.pod.uid, &container.id).map_or_else(
                || Arc::clone(owner),
                |runtime| {
                    Arc::new(Owner::Container(ContainerCgroup { runtime, ..container.clone() }))
                },
            )
        }
        _ => Arc::clone(owner),
    }
}
