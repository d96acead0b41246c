//! Reading what is in use, and nothing that can't be: down the tree by the sums.

use std::mem;

use super::round::Round;
use super::tree::{Id, Tree};
use crate::snapshot::Reading;
use crate::sources::kernel_file::{Directory, Gone};
use crate::units::{Bytes, PageSize};

impl Round<'_> {
    /// Reads usage and reservation of everything that is in use, or may be.
    pub(super) fn read_in_use(&mut self) {
        self.for_outermost(|round, id, size, at| round.visit(id, size, at));
    }

    /// Reads one cgroup; if it is in use or was until now, also those below it.
    fn visit(&mut self, id: Id, size: PageSize, at: &Directory) {
        if self.visit_known(id, size, at).is_err() {
            self.forget(id);
        }
    }

    fn visit_known(&mut self, id: Id, size: PageSize, at: &Directory) -> Result<(), Gone> {
        let Some(node) = self.tree.node_mut(id) else { return Ok(()) };
        let Some(index) = node.index_of(size) else { return Ok(()) };
        // It is set again where this one or one below it is found in use.
        let was_in_use = node.sizes.get_mut(index).is_some_and(|it| mem::take(&mut it.in_use));
        if !self.read_use(id, index, at)? && !was_in_use {
            return Ok(());
        }
        // One that has stopped says that those below have too, but what was last read of them is more.
        self.read(id, index, self.beside_use(), at)?;
        let children = self.tree.children(id);
        let is_known = |child: &&Id| self.tree.node(**child).is_some_and(|it| it.is_in_use(size));
        let (known, others): (Vec<Id>, Vec<Id>) = children.iter().partition(is_known);
        self.visit_all(known, size, at);
        if is_left_over(self.tree, id, &children, size) {
            self.visit_all(others, size, at);
            if self.tree.left_out.contains_key(&id) && is_left_over(self.tree, id, &children, size)
            {
                // It may be one that is left out.
                self.tree.unlisted.insert(id);
            }
        }
        Ok(())
    }

    fn visit_all(&mut self, children: Vec<Id>, size: PageSize, at: &Directory) {
        for child in children {
            let Some(node) = self.tree.node(child) else { continue };
            let below = at.below(node.name());
            let below = if node.children.is_empty() { below } else { below.reopened() };
            self.visit(child, size, &below);
        }
    }
}

/// Whether a cgroup has more or less than its children as they were last read. Both figures are sums over all below and
/// never negative: where nothing is left over, those last read as zero are at zero.
fn is_left_over(tree: &Tree, id: Id, children: &[Id], size: PageSize) -> bool {
    let figures = |id| tree.node(id).and_then(|node| node.facts.of_size(size));
    let Some(own) = figures(id) else { return true };
    let mut sum = (Reading::Present(Bytes::ZERO), Reading::Present(Bytes::ZERO));
    for child in children.iter().filter_map(|child| figures(*child)) {
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
