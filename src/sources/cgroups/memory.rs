//! What the memory controller says, where huge pages count as memory.
//!
//! `memory.max` is read of every cgroup that holds huge pages or was granted some, and of those above. Where some are mapped and
//! not yet touched, what is used and the events are read as well; and where the limit leaves less than that, `memory.stat`,
//! the dearest of them. Nothing of it is kept from poll to poll.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::poll::Poll;
use super::tree::Id;
use crate::snapshot::{CgroupMemory, Hugetlb, Limit, Reading};
use crate::sources::parse;
use crate::units::Bytes;

impl Poll<'_> {
    /// Reads it of all that matter.
    pub(super) fn read_memory(&mut self, meminfo: &Path) {
        let mut swap_free = None;
        for id in self.holders() {
            let memory = self.memory_of(id, &mut |poll| {
                *swap_free.get_or_insert_with(|| poll.swap_free(meminfo))
            });
            self.set_memory(id, Some(memory));
        }
    }

    /// Forgets it all: they don't count as memory any more.
    pub(super) fn forget_memory(&mut self) {
        for id in self.tree.ids() {
            self.set_memory(id, None);
        }
    }

    fn set_memory(&mut self, id: Id, memory: Option<CgroupMemory>) {
        if let Some(node) = self.tree.node_mut(id)
            && node.facts.memory.as_deref() != memory.as_ref()
        {
            node.facts.memory = memory.map(Arc::new);
            self.tree.changed = true;
        }
    }

    /// Those that hold or were granted any, and those above them; of all others it is forgotten.
    fn holders(&mut self) -> BTreeSet<Id> {
        let (mut holders, mut others) = (BTreeSet::new(), Vec::new());
        for id in self.tree.ids() {
            let Some(node) = self.tree.node(id) else { continue };
            if node.facts.hugetlb.iter().any(|it| it.is_in_use() || it.limit.is_grant()) {
                let above = |id: &Id| self.tree.node(*id).and_then(|node| node.parent);
                holders.extend(std::iter::successors(Some(id), above));
            } else if node.facts.memory.is_some() {
                others.push(id);
            }
        }
        for id in others.into_iter().filter(|id| !holders.contains(id)) {
            self.set_memory(id, None);
        }
        // The root has no such files.
        holders.retain(|id| self.tree.node(*id).is_some_and(|node| !node.names.is_empty()));
        holders
    }

    fn memory_of(
        &mut self,
        id: Id,
        swap_free: &mut dyn FnMut(&mut Self) -> Reading<Bytes>,
    ) -> CgroupMemory {
        let limit = self.file(id, "memory.max", parse::LIMIT);
        let mut memory = CgroupMemory {
            limit,
            usage: Reading::Absent,
            events: Reading::Absent,
            stat: Reading::Absent,
            swap_room: Reading::Absent,
        };
        let sizes = self.tree.node(id).map(|node| Arc::clone(&node.facts.hugetlb));
        let outstanding = outstanding(sizes.as_deref().unwrap_or_default());
        let Some(limit) = limit.finite().filter(|_| outstanding > Bytes::ZERO) else {
            return memory;
        };
        memory.usage = self.file(id, "memory.current", parse::BYTES);
        memory.events = self.file(id, "memory.events", parse::MEMORY_EVENTS);
        let room = memory.usage.present().map(|usage| limit.less(usage));
        if room.is_none_or(|room| room < outstanding) {
            memory.stat = self.file(id, "memory.stat", parse::MEMORY_STAT);
            let swap = self.file(id, "memory.swap.max", parse::LIMIT);
            memory.swap_room = match swap {
                Reading::Present(Limit::Unlimited) => swap_free(self),
                Reading::Present(Limit::At(limit)) => {
                    swap_free(self).map(|swap_free| swap_free.min(limit))
                }
                // Without the file nothing is swapped.
                Reading::Absent => Reading::Absent,
                Reading::Failed => Reading::Failed,
            };
        }
        memory
    }

    fn swap_free(&mut self, meminfo: &Path) -> Reading<Bytes> {
        match self.files.files.read(meminfo, parse::SWAP_FREE, self.files.problems) {
            Reading::Present(Some(free)) => Reading::Present(free),
            Reading::Present(None) | Reading::Absent => Reading::Absent,
            Reading::Failed => Reading::Failed,
        }
    }
}

/// Mapped and not yet touched, of all sizes; more than can be where a figure failed.
fn outstanding(sizes: &[Hugetlb]) -> Bytes {
    let of_size = |size: &Hugetlb| match (size.usage, size.reserved) {
        (Reading::Present(usage), Reading::Present(reserved)) => reserved.less(usage),
        (Reading::Failed, _) | (_, Reading::Failed) => Bytes(u64::MAX),
        _ => Bytes::ZERO,
    };
    sizes.iter().map(of_size).fold(Bytes::ZERO, |sum, more| Bytes(sum.0.saturating_add(more.0)))
}
