//! Where something was refused, on v2: down the tree by the counters that moved.
//!
//! `hugetlb.2MB.events` counts for the cgroup and for all below it (mm/hugetlb_cgroup.c, hugetlb_event()), and a cgroup's
//! own count moves before those above it.

use super::poll::Poll;
use super::tree::Id;
use crate::snapshot::{CgroupVersion, Reading};
use crate::sources::parse::FileKind;
use crate::units::PageSize;

impl Poll<'_> {
    /// Reads the counters that moved; the innermost cgroups whose did.
    pub(super) fn follow_refusals(&mut self) -> Vec<Id> {
        let mut innermost = Vec::new();
        if self.tree.hierarchy.version == CgroupVersion::V2 {
            for (id, size) in self.outermost() {
                self.follow(id, size, &mut innermost);
            }
        }
        innermost
    }

    /// What is held in all, before anything else is looked at: it is given back in a fraction of a millisecond.
    pub(super) fn note_all_held(&mut self) {
        for (id, size) in self.outermost() {
            self.note_held(id, size);
        }
    }

    /// Reads the counter of one cgroup; if it moved, also those below it. Whether it moved.
    fn follow(&mut self, id: Id, size: PageSize, innermost: &mut Vec<Id>) -> bool {
        if !self.has_moved(id, size) {
            return false;
        }
        let mut below = false;
        for child in self.tree.children(id) {
            below |= self.follow(child, size, innermost);
        }
        if !below {
            innermost.push(id);
        }
        true
    }

    /// Whether a cgroup's counter is not what it was when those below it were last looked through.
    fn has_moved(&mut self, id: Id, size: PageSize) -> bool {
        self.read(id, size, &[FileKind::Events]);
        let count = self.tree.figures(id, size).map(|figures| figures.failures.total());
        let state = self.tree.node_mut(id).and_then(|node| node.size(size));
        let moved = match (count, state) {
            (Some(Reading::Present(count)), Some((_, state))) => {
                state.followed.replace(count) != Some(count)
            }
            (count, _) => count == Some(Reading::Failed),
        };
        if moved {
            self.note_held(id, size);
            self.read(id, size, &[FileKind::EventsLocal]);
        }
        moved
    }

    /// What is held now: a process that is killed gives it back soon. The most, where this was noted before.
    fn note_held(&mut self, id: Id, size: PageSize) {
        self.read_use(id, size);
        let Some(figures) = self.tree.figures(id, size) else { return };
        let now = [figures.usage, figures.reserved];
        let held = self.tree.at_refusals.entry(id).or_default().entry(size).or_insert(now);
        for (held, now) in held.iter_mut().zip(now) {
            *held = held.combine(now, |held, now| Some(held.max(now)));
        }
    }
}
