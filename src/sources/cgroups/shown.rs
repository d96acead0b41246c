//! What a read shows of the tree: plain facts, shared while they stay the same.

use std::path::Path;
use std::sync::Arc;

use super::id::Id;
use super::node::Node;
use super::own::Own;
use super::tree::Tree;
use crate::identity::{ContainerCgroup, NameIndex, Owner, Runtime};
use crate::snapshot::{Cgroup, OwnCgroup};

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) cgroups: Arc<Vec<Cgroup>>,
    pub(super) own: Option<OwnCgroup>,
    /// The cgroup of our own pod in the tree, or our own where it is in none.
    own_pod: Option<Id>,
    /// What was known of runtimes then, and which cgroups there were.
    names: Option<(Arc<NameIndex>, u64)>,
}

impl Shown {
    /// The cgroup of our own pod in the tree, or our own where it is in none.
    pub(super) fn own_pod(&self) -> Option<Id> {
        self.own_pod
    }

    /// Says what made the containers whose cgroups don't tell, where the kubelet told it. Whether that is news.
    pub(super) fn tell_runtimes(&mut self, tree: &mut Tree, names: &Arc<NameIndex>) -> bool {
        let edition = tree.edition();
        let is_told =
            |(told, of): &(Arc<NameIndex>, u64)| Arc::ptr_eq(told, names) && *of == edition;
        if self.names.as_ref().is_some_and(is_told) {
            return false;
        }
        self.names = Some((Arc::clone(names), edition));
        let mut changed = false;
        for id in tree.order().to_vec() {
            if let Some(node) = tree.node_mut(id) {
                changed |= tell_runtime(node, names);
            }
        }
        changed
    }

    /// Shows all anew.
    pub(super) fn renew(&mut self, tree: &mut Tree, own: Option<&Own>, root: &Path) {
        let order = tree.order().to_vec();
        let mut cgroups = Vec::with_capacity(order.len());
        let mut ids = Vec::with_capacity(order.len());
        // The cgroup that was shown last, and those above it, each with its place.
        let mut above: Vec<(Id, usize)> = Vec::new();
        for id in order {
            let Some(node) = tree.node_mut(id).filter(|node| !node.sizes.is_empty()) else {
                continue;
            };
            while above.last().is_some_and(|(last, _)| Some(*last) != node.parent) {
                above.pop();
            }
            let parent = above.last().map(|(_, place)| *place);
            above.push((id, cgroups.len()));
            ids.push(id);
            cgroups.push(Cgroup {
                path: Arc::clone(&node.path),
                inode: node.inode,
                parent,
                owner: Arc::clone(&node.owner),
                memory_nodes: node.memory_nodes.clone(),
                hugetlb: node.show(),
            });
        }
        self.own = own.map(|own| own.among(&cgroups, root));
        let ours = self.own.as_ref().and_then(|own| ids.get(own.index?).copied());
        let is_pod = |(_, node): &(Id, &Node)| matches!(&*node.owner, Owner::Pod(_));
        self.own_pod = ours.map(|ours| tree.chain(ours).find(is_pod).map_or(ours, |(pod, _)| pod));
        self.cgroups = Arc::new(cgroups);
    }
}

fn tell_runtime(node: &mut Node, names: &NameIndex) -> bool {
    let Owner::Container(container) = &*node.owner else { return false };
    if container.runtime != Runtime::Unknown && !node.told {
        return false;
    }
    let runtime = names.runtime(&container.pod.uid, &container.id).unwrap_or(Runtime::Unknown);
    if container.runtime == runtime {
        return false;
    }
    node.owner = Arc::new(Owner::Container(ContainerCgroup { runtime, ..container.clone() }));
    node.told = true;
    true
}
