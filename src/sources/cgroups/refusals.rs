//! Where something was refused, on v2: down the tree by the counters that moved.
//!
//! `hugetlb.2MB.events` counts for the cgroup and for all below it (mm/hugetlb_cgroup.c, hugetlb_event()), and a cgroup's
//! own count moves before those above it.

use super::round::Round;
use super::tree::{Held, Id};
use crate::snapshot::{CgroupVersion, Reading};
use crate::sources::kernel_file::{Directory, Gone};
use crate::sources::parse::FileKind;
use crate::units::PageSize;

impl Round<'_> {
    /// Reads the counters that moved; the innermost cgroups whose did.
    pub(super) fn follow_refusals(&mut self) -> Vec<Id> {
        let mut innermost = Vec::new();
        if self.tree.version == CgroupVersion::V2 {
            self.for_outermost(|round, id, size, at| {
                round.follow(id, size, at, &mut innermost);
            });
        }
        innermost
    }

    /// What is held in all, before anything else is looked at: it is given back in a fraction of a millisecond.
    pub(super) fn note_all_held(&mut self) {
        self.for_outermost(|round, id, size, at| {
            let index = round.tree.node(id).and_then(|node| node.index_of(size));
            let noted = index.map_or(Ok(()), |index| round.note_held(id, index, at));
            if noted.is_err() {
                round.forget(id);
            }
        });
    }

    /// Reads the counter of one cgroup; if it moved, also those below it. Whether it moved.
    fn follow(&mut self, id: Id, size: PageSize, at: &Directory, innermost: &mut Vec<Id>) -> bool {
        let moved = self.read_counter(id, size, at).unwrap_or_else(|Gone| {
            self.forget(id);
            false
        });
        if !moved {
            return false;
        }
        let mut below = false;
        for child in self.tree.children(id) {
            if let Some(directory) = self.tree.node(child).map(|child| at.below(child.name())) {
                below |= self.follow(child, size, &directory, innermost);
            }
        }
        if !below {
            innermost.push(id);
        }
        true
    }

    /// Whether a cgroup's counter is not what it was when those below it were last looked through.
    fn read_counter(&mut self, id: Id, size: PageSize, at: &Directory) -> Result<bool, Gone> {
        let Some(node) = self.tree.node(id) else { return Ok(false) };
        let Some(index) = node.index_of(size) else { return Ok(false) };
        self.read(id, index, &[FileKind::Events], at)?;
        let Some(node) = self.tree.node_mut(id) else { return Ok(false) };
        let size = node.sizes.get_mut(index).zip(node.facts.hugetlb.get(index));
        let Some((size, figures)) = size else { return Ok(false) };
        let moved = match figures.failures.total() {
            Reading::Present(count) => size.followed.replace(count) != Some(count),
            count => count == Reading::Failed,
        };
        if moved {
            self.note_held(id, index, at)?;
            self.read(id, index, &[FileKind::EventsLocal], at)?;
        }
        Ok(moved)
    }

    /// What is held now: a process that is killed gives it back soon.
    fn note_held(&mut self, id: Id, index: usize, at: &Directory) -> Result<(), Gone> {
        self.read_use(id, index, at)?;
        let Some(node) = self.tree.node_mut(id) else { return Ok(()) };
        if let Some((size, figures)) = node.sizes.get_mut(index).zip(node.facts.hugetlb.get(index))
        {
            let held = Held { usage: figures.usage, reserved: figures.reserved };
            size.at_refusal = Some(held.most(size.at_refusal));
        }
        Ok(())
    }
}
