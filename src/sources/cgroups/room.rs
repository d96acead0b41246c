//! What is kept where there are more cgroups than there is memory for.

use std::sync::Arc;

use super::list::Child;
use super::read::{is_granted, is_used, no_figures};
use super::round::Round;
use super::tree::Id;
use crate::identity::Owner;
use crate::sources::kernel_file::Directory;
use crate::sources::parse::FileKind;

/// So many are kept whatever they do. A full node has a tenth of that; each costs 3 to 4 kB, and a watch in the kernel, and
/// the manifests give us 128 MiB (docs/performance.md).
pub(super) const MOST: usize = 15_000;

/// So many more where they have pages.
const MORE: usize = 5_000;

impl Round<'_> {
    /// Those of a cgroup's unknown children that there is room for.
    pub(super) fn those_with_room(&mut self, id: Id, children: Vec<Child>) -> Vec<Child> {
        let (all, before) = (children.len(), self.tree.len());
        let at = Directory::open(&self.tree.directory(id));
        let is_pod = self.tree.node(id).is_some_and(|it| matches!(*it.facts.owner, Owner::Pod(_)));
        let mut has_room = Vec::new();
        for child in children {
            let count = before + has_room.len();
            if count < self.tree.most
                || (count < self.tree.most + MORE
                    && ((is_pod && self.has_pages(id, &at))
                        || self.has_pages(id, &at.below(&*child.name))))
            {
                has_room.push(child);
            }
        }
        match all - has_room.len() {
            0 => self.tree.left_out.remove(&id),
            more => self.tree.left_out.insert(id, more),
        };
        has_room
    }

    /// Whether a cgroup uses pages or was granted some; it has the same files as another.
    fn has_pages(&mut self, alike: Id, at: &Directory) -> bool {
        let names = self.tree.node(alike).map(|node| Arc::clone(&node.names)).unwrap_or_default();
        names.iter().any(|names| {
            let mut figures = no_figures(names.page_size, self.tree.version);
            let kinds = [FileKind::Usage, FileKind::Reserved, FileKind::Limit];
            let mut files = kinds.iter().filter_map(|kind| Some((*kind, names.of(*kind)?)));
            let read = |(kind, name)| self.read_file(&mut figures, kind, (at, name));
            files.try_for_each(read).is_ok() && (is_used(&figures) || is_granted(&figures))
        })
    }

    /// Says how many there is no room for.
    pub(super) fn complain_of_left_out(&mut self) {
        let (left_out, most) = (self.tree.left_out.values().sum::<usize>(), self.tree.most);
        if left_out > 0 {
            self.problems.add(|| {
                format!(
                    "{left_out} cgroups are left out: beyond {most} only those are kept that use huge pages or were granted some"
                )
            });
        }
    }
}
