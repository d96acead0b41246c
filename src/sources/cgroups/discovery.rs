//! Which cgroups there are: what the kernel told, and a listing where it can't or may not have.

use super::id::Id;
use super::listing::{Child, Listing, list};
use super::tree::Tree;
use super::watch::Target;
use super::{Round, looks};
use crate::sources::kernel_file::is_gone;

/// More cgroups than a node can bear; a tree without end must not cost us our memory.
const MOST_CGROUPS: usize = 100_000;

/// Takes in what the kernel told since the last poll.
pub(super) fn take_news(tree: &mut Tree, round: &mut Round<'_>) {
    let Some(watch) = round.watch.as_deref_mut() else {
        return all_must_be_listed(tree);
    };
    let news = watch.news();
    if news.incomplete || watch.is_incomplete() {
        all_must_be_listed(tree);
    }
    if news.incomplete {
        looks::read_watched_limits(tree, round);
    }
    for target in news.of {
        match target {
            Target::Directory(id) => tree.must_list(id),
            Target::Controllers(id) => tree.must_list_anew(id),
            Target::Limits(id, index) => looks::read_limits(tree, id, index, round),
        }
    }
}

fn all_must_be_listed(tree: &mut Tree) {
    for id in tree.order().to_vec() {
        tree.must_list_anew(id);
    }
}

/// Lists those that must be, and whatever is found new below them.
pub(super) fn list_all(tree: &mut Tree, round: &mut Round<'_>) {
    let mut pending: Vec<(Id, Option<Listing>)> =
        tree.take_unlisted().into_iter().map(|id| (id, None)).collect();
    while let Some((id, listing)) = pending.pop() {
        let Some(node) = tree.node_mut(id) else { continue };
        if let (Some(watch), None) = (round.watch.as_deref_mut(), &node.watches.directory) {
            node.watches.directory = watch.directory(&node.location, id);
        }
        match listing.map_or_else(|| list(&node.location, round.version), Ok) {
            Ok(listing) if listing.files.is_empty() && id != Tree::ROOT => round.forget(tree, id),
            Ok(listing) => take_in(tree, id, listing, round, &mut pending),
            Err(error) if is_gone(&error) => round.forget(tree, id),
            Err(error) => {
                let at = node.location.display();
                round.reads.problems.add(|| format!("can't list {at}: {error}"));
                round.to_list_again.push(id);
            }
        }
    }
    for id in std::mem::take(&mut round.to_list_again) {
        tree.must_list(id);
    }
}

/// Takes in what is in a directory.
fn take_in(
    tree: &mut Tree,
    id: Id,
    listing: Listing,
    round: &mut Round<'_>,
    pending: &mut Vec<(Id, Option<Listing>)>,
) {
    let Some(node) = tree.node_mut(id) else { return };
    node.bare.retain(|bare| listing.children.binary_search(bare).is_ok());
    let of_before = node.children.clone();
    if *node.names != *listing.files {
        round.end(tree.rename_files(id, listing.files, round.now));
    }
    for child in of_before {
        let is_there = tree.node(child).is_some_and(|child| child.is_among(&listing.children));
        if !is_there {
            round.end(tree.remove(child));
        }
    }
    for child in listing.children {
        let is_known = tree.child(id, &child).is_some()
            || tree.node(id).is_some_and(|node| node.bare.contains(&child));
        if !is_known {
            pending.extend(visit(tree, id, child, round));
        }
    }
    let Some(node) = tree.node_mut(id) else { return };
    if let (Some(watch), false, None) =
        (round.watch.as_deref_mut(), node.bare.is_empty(), &node.watches.controllers)
    {
        node.watches.controllers = watch.controllers(&node.location, id);
        if node.watches.controllers.is_some() {
            // What was given before it was watched was told to nobody.
            node.bare.clear();
            pending.push((id, None));
        }
    }
}

/// Looks into a directory that is new.
fn visit(
    tree: &mut Tree,
    parent: Id,
    child: Child,
    round: &mut Round<'_>,
) -> Option<(Id, Option<Listing>)> {
    if tree.len() >= MOST_CGROUPS {
        round
            .reads
            .problems
            .add(|| format!("more than {MOST_CGROUPS} cgroups: the rest is not shown"));
        round.to_list_again.push(parent);
        return None;
    }
    let location = tree.node(parent)?.location.join(&child.name);
    match list(&location, round.version) {
        // v2 gives a controller's files only to cgroups whose parent has them, the root excepted.
        Ok(listing) if listing.files.is_empty() => {
            tree.node_mut(parent)?.bare.push(child);
            None
        }
        Ok(Listing { files, children }) => {
            let id = tree.add(parent, &child, &files, round.now)?;
            // Where it will be watched it is listed once more then: what came meanwhile was told to nobody.
            Some((id, round.watch.is_none().then_some(Listing { files, children })))
        }
        Err(error) if is_gone(&error) => None,
        Err(error) => {
            let at = location.display();
            round.reads.problems.add(|| format!("can't list {at}: {error}"));
            round.to_list_again.push(parent);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::super::example::Example;
    use super::super::watch::Watch;
    use super::*;

    #[test]
    fn parents_come_first_and_branches_without_files_are_left_out() {
        let mut example = Example::new(&["b", "b/c", "a", "none/deeper"]);
        fs::create_dir(example.at("empty")).expect("made");
        example.discover();
        let root = Some("/");
        assert_eq!(example.paths(), [("/a", root), ("/b", root), ("/b/c", Some("/b"))]);
        let nodes = example.tree.order().iter().filter_map(|id| example.tree.node(*id));
        assert!(nodes.map(|node| node.inode).all(|inode| inode != 0));
    }

    #[test]
    fn names_that_are_no_text_are_found() {
        let mut example = Example::new(&[]);
        let strange = example.at("").join(OsString::from_vec(b"x\xff".to_vec()));
        fs::create_dir(&strange).expect("made");
        fs::write(strange.join("hugetlb.2MB.current"), "0\n").expect("written");
        example.discover();
        let node = example.tree.node(example.id("/x%FF")).expect("found");
        assert_eq!(node.location, strange);
    }

    #[test]
    fn another_of_the_same_name_is_another() {
        let mut example = Example::new(&["a/b", "a"]);
        example.discover();
        let before = example.tree.node(example.id("/a")).expect("there").inode;
        fs::rename(example.at("a"), example.at("c")).expect("renamed");
        example.make("a");
        example.tree.must_list(Tree::ROOT);
        example.discover();
        let root = Some("/");
        assert_eq!(example.paths(), [("/a", root), ("/c", root), ("/c/b", Some("/c"))]);
        assert_ne!(example.tree.node(example.id("/a")).expect("there").inode, before);
        assert_eq!(example.tree.node(example.id("/c")).expect("there").inode, before);
    }

    #[test]
    fn what_comes_and_goes_is_told_by_the_kernel() {
        let mut example = Example::new(&["a", "a/b"]);
        example.watch = Some(Watch::new().expect("notifications"));
        example.discover();
        example.make("a/c");
        example.make("a/c/d");
        fs::remove_dir_all(example.at("a/b")).expect("removed");
        example.discover();
        let (root, a) = (Some("/"), Some("/a"));
        assert_eq!(example.paths(), [("/a", root), ("/a/c", a), ("/a/c/d", Some("/a/c"))]);
        // What came since is watched as well.
        example.make("a/c/d/e");
        example.discover();
        assert_eq!(example.paths().last(), Some(&("/a/c/d/e", Some("/a/c/d"))));
    }

    #[test]
    fn without_notifications_too_whoever_is_given_the_controller_later_is_found() {
        let mut example = Example::new(&["a"]);
        fs::create_dir(example.at("a/b")).expect("made");
        example.discover();
        assert_eq!(example.paths(), [("/a", Some("/"))]);
        example.make("a/b");
        example.discover();
        assert_eq!(example.paths(), [("/a", Some("/")), ("/a/b", Some("/a"))]);
    }

    #[test]
    fn whoever_is_given_the_controller_later_is_found_then() {
        let mut example = Example::new(&["a"]);
        example.watch = Some(Watch::new().expect("notifications"));
        fs::create_dir(example.at("a/b")).expect("made");
        let controllers = example.at("a/cgroup.subtree_control");
        fs::write(&controllers, "").expect("written");
        example.discover();
        assert_eq!(example.paths(), [("/a", Some("/"))]);
        example.make("a/b");
        fs::write(&controllers, "hugetlb").expect("written");
        example.discover();
        assert_eq!(example.paths(), [("/a", Some("/")), ("/a/b", Some("/a"))]);
    }
}
