//! Which cgroups there are: the directories that the kernel notified of, or all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::list::{Listing, list};
use super::poll::Poll;
use super::tree::{Id, Tree};
use super::watch::Watch;
use crate::snapshot::CgroupVersion;
use crate::sources::kernel_file::is_gone;
use crate::sources::parse::FileKind;

impl Poll<'_> {
    /// Lists the directories that must be, and whatever is found new below them.
    pub(super) fn discover(&mut self) {
        // What must be listed once more is so in the next poll.
        let mut pending = mem::take(&mut self.tree.unlisted);
        while let Some(id) = pending.pop_first() {
            self.list(id, &mut pending);
        }
    }

    /// Watches something of a cgroup, where the kernel notifies; whether it is watched.
    fn watch(&mut self, id: Id, path: &Path, how: fn(&mut Watch, &Path, Id) -> bool) -> bool {
        self.watch.as_deref_mut().is_some_and(|watch| how(watch, path, id))
    }

    fn list(&mut self, id: Id, pending: &mut BTreeSet<Id>) {
        let Some(node) = self.tree.node(id) else { return };
        let (location, had_files) = (self.tree.directory(id), !node.names.is_empty());
        // Watched before it is listed: what comes between is notified.
        self.watch(id, &location, Watch::directory);
        match list(&location, self.tree.hierarchy.version) {
            // The controller was withdrawn, or was never given to it.
            Ok(listing) if listing.files.is_empty() && id != Tree::ROOT => {
                if had_files {
                    self.forget(id);
                } else {
                    self.tree.remove(id);
                }
            }
            Ok(listing) => self.take_in(id, listing, pending),
            Err(error) if is_gone(&error) => self.forget(id),
            Err(error) => {
                self.files.problems.add(|| format!("can't list {}: {error}", location.display()));
                self.tree.unlisted.insert(id);
            }
        }
    }

    /// Takes in what is in a directory.
    fn take_in(&mut self, id: Id, mut listing: Listing, pending: &mut BTreeSet<Id>) {
        self.tree.set_names(id, listing.files);
        self.watch_events(id);
        if !listing.children.is_empty() && !self.passes_on(id) {
            listing.children.clear();
        }
        let Some(node) = self.tree.node_mut(id) else { return };
        let mut known = mem::take(&mut node.children);
        let (mut children, mut others) = (BTreeMap::new(), Vec::new());
        for child in listing.children {
            match known.remove(&child) {
                Some(id) => drop(children.insert(child, id)),
                None => others.push(child),
            }
        }
        known.into_values().for_each(|gone| self.tree.remove(gone));
        let others = self.those_with_room(id, others);
        for child in others {
            if let Some(new) = self.tree.add(id, &child, self.now) {
                children.insert(child, new);
                pending.insert(new);
            }
        }
        if let Some(node) = self.tree.node_mut(id) {
            node.children = children;
        }
    }

    /// The outermost counters of refusals are watched, for all below them.
    fn watch_events(&mut self, id: Id) {
        let Some(node) = self.tree.node(id) else { return };
        if self.tree.chain(id).skip(1).any(|above| !above.names.is_empty()) {
            return;
        }
        let (location, names) = (self.tree.directory(id), Arc::clone(&node.names));
        for name in names.iter().filter_map(|names| names.of(FileKind::Events)) {
            self.watch(id, &location.join(name), Watch::events);
        }
    }

    /// Whether the directories below a cgroup have hugetlb files. On v2 all have or none, as it passes the controller on
    /// or not; where it does not, it is watched whether it will.
    fn passes_on(&mut self, id: Id) -> bool {
        let file = self.tree.directory(id).join("cgroup.subtree_control");
        self.tree.hierarchy.version == CgroupVersion::V1
            || has_hugetlb(&file)
            || (self.watch(id, &file, Watch::file) && has_hugetlb(&file))
    }
}

/// Whether a list of controllers names ours. Where there is none that can be read, the directories themselves tell.
fn has_hugetlb(file: &Path) -> bool {
    fs::read_to_string(file).map_or(true, |text| {
        text.split_ascii_whitespace().any(|controller| controller == "hugetlb")
    })
}
