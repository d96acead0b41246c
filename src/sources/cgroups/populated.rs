//! Whether a pod has any process.

use super::poll::Poll;
use super::tree::Id;
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Reading};
use crate::sources::parse;

impl Poll<'_> {
    /// Reads it of a pod, whenever that is read whole or in its turn.
    pub(super) fn read_populated(&mut self, id: Id) {
        let Some(node) = self.tree.node(id) else { return };
        if !matches!(&*node.facts.owner, Owner::Pod(_)) {
            return;
        }
        let populated = match self.tree.hierarchy.version {
            CgroupVersion::V2 => self.file(id, "cgroup.events", parse::POPULATED),
            CgroupVersion::V1 => self.has_process(id),
        };
        if populated == Reading::Failed {
            self.tree.must_read(id);
        }
        if let Some(node) = self.tree.node_mut(id)
            && node.facts.populated != populated
        {
            node.facts.populated = populated;
            self.tree.changed = true;
        }
    }

    /// v1 counts no processes: a pod whose cgroup and all below it list none has none.
    fn has_process(&mut self, id: Id) -> Reading<bool> {
        let mut none = Reading::Present(false);
        for id in self.tree.with_all_below(id) {
            match self.file(id, "cgroup.procs", parse::PROCESSES) {
                Reading::Present(false) => {}
                Reading::Present(true) => return Reading::Present(true),
                unknown => none = unknown,
            }
        }
        none
    }
}
