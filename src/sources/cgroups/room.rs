//! What is kept where there are more cgroups than there is memory for.

use std::path::Path;
use std::sync::Arc;

use super::list::Child;
use super::poll::Poll;
use super::read::no_figures;
use super::tree::Id;
use crate::identity::Owner;
use crate::sources::parse::FileKind;

/// So many are kept whatever they do. A full node has a tenth of that; each costs 3 to 4 kB, and a watch in the kernel, and
/// the manifests give us 128 MiB (docs/performance.md).
pub(super) const MOST: usize = 15_000;

/// So many more where they have pages.
const MORE: usize = 5_000;

impl Poll<'_> {
    /// Those of a cgroup's unknown children that there is room for.
    pub(super) fn those_with_room(&mut self, id: Id, mut children: Vec<Child>) -> Vec<Child> {
        let Some(node) = self.tree.node(id) else { return Vec::new() };
        let (path, is_pod) = (node.below_root(), matches!(*node.facts.owner, Owner::Pod(_)));
        let path = path.to_owned();
        let (all, most) = (children.len(), self.tree.most);
        let mut count = self.tree.len();
        children.retain(|child| {
            let has_room = count < most
                || (count < most + MORE
                    && ((is_pod && self.has_pages(id, &path))
                        || self.has_pages(id, &path.join(&*child.name))));
            count += usize::from(has_room);
            has_room
        });
        match all - children.len() {
            0 => self.tree.left_out.remove(&id),
            more => self.tree.left_out.insert(id, more),
        };
        children
    }

    /// Whether a cgroup uses pages or was granted some; it has the same files as another.
    fn has_pages(&mut self, alike: Id, path: &Path) -> bool {
        let names = self.tree.node(alike).map(|node| Arc::clone(&node.names)).unwrap_or_default();
        names.iter().any(|names| {
            let mut figures = no_figures(names.page_size, self.tree.hierarchy.version);
            let kinds = [FileKind::Usage, FileKind::Reserved, FileKind::Limit];
            let read = self.files.read_figures(&mut figures, &kinds, (path, names));
            read.is_ok() && (figures.is_in_use() || figures.limit.is_grant())
        })
    }

    /// Says how many there is no room for.
    pub(super) fn complain_of_left_out(&mut self) {
        let (left_out, most) = (self.tree.left_out.values().sum::<usize>(), self.tree.most);
        if left_out > 0 {
            self.files.problems.add(|| {
                format!(
                    "{left_out} cgroups are left out: beyond {most} only those are kept that use huge pages or were granted some"
                )
            });
        }
    }
}
