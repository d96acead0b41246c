//! Whether a pod has any process.

use super::round::Round;
use super::tree::Id;
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Reading};
use crate::sources::kernel_file::Directory;
use crate::sources::parse;

impl Round<'_> {
    /// Reads it of a pod, whenever that is read whole or in its turn.
    pub(super) fn read_populated(&mut self, id: Id, directory: &Directory) {
        let Some(node) = self.tree.node(id) else { return };
        if !matches!(&*node.facts.owner, Owner::Pod(_)) {
            return;
        }
        let populated = match self.tree.version {
            CgroupVersion::V2 => self.file(directory, "cgroup.events", parse::populated),
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
        let directory = Directory::open(&self.tree.directory(id));
        let own = self.file(&directory, "cgroup.procs", |text| Some(!text.trim().is_empty()));
        let mut all = own;
        for child in self.tree.children(id) {
            if all == Reading::Present(true) {
                break;
            }
            all = match (all, self.has_process(child)) {
                (_, Reading::Present(true)) => Reading::Present(true),
                (Reading::Present(false), Reading::Present(false)) => Reading::Present(false),
                (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
                _ => Reading::Absent,
            };
        }
        all
    }

    /// A file that may be missing. Where the cgroup is gone by now, another file tells.
    fn file(
        &mut self,
        directory: &Directory,
        name: &str,
        parse: impl FnOnce(&str) -> Option<bool>,
    ) -> Reading<bool> {
        const EXPECTED: &str = "`populated <0 or 1>` or numbers of processes";
        let read = self.files.listed((directory, name), EXPECTED, parse, self.problems);
        read.unwrap_or(Reading::Absent)
    }
}
