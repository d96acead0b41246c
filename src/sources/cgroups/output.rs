//! What a poll makes of the tree: plain facts, shared while they stay the same.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::tree::{Id, Tree};
use crate::identity::{NameIndex, Owner};
use crate::snapshot::{AtRefusal, Cgroup, OwnCgroup};
use crate::sources::hierarchy::Own;

/// What the last poll made of it.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) cgroups: Arc<Vec<Cgroup>>,
    pub(super) own: Option<OwnCgroup>,
    /// The path of our own pod's cgroup, or of our own where it is in none.
    own_pod: Option<Arc<str>>,
    /// What was known of names then.
    pub(super) names: Arc<NameIndex>,
    /// What was held at refusals since the output before.
    pub(super) at_refusals: Arc<[AtRefusal]>,
}

impl Output {
    /// What there is now: parents before their children, siblings by name.
    pub(super) fn of(tree: &mut Tree, names: &Arc<NameIndex>, own: Option<&Own>) -> Self {
        let mut cgroups: Vec<Cgroup> = Vec::with_capacity(tree.len());
        let (mut at_refusals, mut noted) = (Vec::new(), mem::take(&mut tree.at_refusals));
        let owners = names.owners();
        // Each with the index of its parent.
        let mut pending = vec![(Tree::ROOT, None)];
        while let Some((id, parent)) = pending.pop() {
            let Some(node) = tree.node(id) else { continue };
            let cgroup = cgroups.len();
            let index = (!node.names.is_empty()).then_some(cgroup);
            if index.is_some() {
                let held = noted.remove(&id).unwrap_or_default();
                at_refusals.extend(held.into_iter().map(|(page_size, [usage, reserved])| {
                    AtRefusal { cgroup, page_size, usage, reserved }
                }));
                let owner = owners.of(&node.facts.owner, &node.facts.path);
                cgroups.push(Cgroup { parent, owner, ..node.facts.clone() });
            }
            pending.extend(node.children.values().rev().map(|child| (*child, index)));
        }
        let own = own.map(|own| own.among(&cgroups, &tree.hierarchy.root));
        let own_pod = own.as_ref().and_then(|own| own_pod(&cgroups, own.index?));
        let (cgroups, names) = (Arc::new(cgroups), Arc::clone(names));
        Self { cgroups, own, own_pod, names, at_refusals: at_refusals.into() }
    }

    /// What there is where no hierarchy is.
    pub(super) fn nothing(own: Option<&Own>) -> Self {
        Self { own: own.map(|own| own.among(&[], Path::new(""))), ..Self::default() }
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
