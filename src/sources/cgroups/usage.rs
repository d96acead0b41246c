//! Usage and reservation of what is in use, and of nothing that can't be: down the tree by the sums.

use std::mem;

use super::poll::Poll;
use super::tree::{Id, Tree};
use crate::snapshot::Reading;
use crate::units::{Bytes, PageSize};

impl Poll<'_> {
    /// Reads usage and reservation of everything that is in use, or may be.
    pub(super) fn read_in_use(&mut self) {
        for (id, size) in self.outermost() {
            self.descend(id, size);
        }
    }

    /// Reads one cgroup; if it is in use or was until now, also those below it.
    fn descend(&mut self, id: Id, size: PageSize) {
        // It is set again where this one or one below it is found in use.
        let state = self.tree.node_mut(id).and_then(|node| node.size(size));
        let was_in_use = state.is_some_and(|(_, state)| mem::take(&mut state.in_use));
        if !self.read_use(id, size) && !was_in_use {
            return;
        }
        // One that has stopped says that those below have too, but what was last read of them is more.
        self.read(id, size, self.beside_use());
        let children = self.tree.children(id);
        let is_known = |child: &&Id| self.tree.node(**child).is_some_and(|it| it.is_in_use(size));
        let (known, others): (Vec<Id>, Vec<Id>) = children.iter().partition(is_known);
        known.into_iter().for_each(|child| self.descend(child, size));
        if is_left_over(self.tree, id, &children, size) {
            others.into_iter().for_each(|child| self.descend(child, size));
            if self.tree.left_out.contains_key(&id) && is_left_over(self.tree, id, &children, size)
            {
                // It may be one that is left out.
                self.tree.unlisted.insert(id);
            }
        }
    }
}

/// Whether a cgroup has more or less than its children as they were last read. Both figures are sums over all below and
/// never negative: where nothing is left over, those last read as zero are at zero.
fn is_left_over(tree: &Tree, id: Id, children: &[Id], size: PageSize) -> bool {
    let Some(own) = tree.figures(id, size) else { return true };
    let mut sum = (Reading::Present(Bytes::ZERO), Reading::Present(Bytes::ZERO));
    for child in children.iter().filter_map(|child| tree.figures(*child, size)) {
        sum = (sum.0.plus(child.usage), sum.1.plus(child.reserved));
    }
    // Two failures are no proof of anything.
    let is_sum = |own: Reading<Bytes>, sum| match own {
        Reading::Present(_) => own == sum,
        Reading::Absent => true,
        Reading::Failed => false,
    };
    !(is_sum(own.usage, sum.0) && is_sum(own.reserved, sum.1))
}
