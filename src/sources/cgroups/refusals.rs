//! Where something was refused, on v2: down the tree by the counters that moved.
//!
//! `hugetlb.2MB.events` counts for the cgroup and for all below it (mm/hugetlb_cgroup.c, hugetlb_event()), and a cgroup's
//! own count moves before those above it. So the outermost are read at every poll, and of the others those below one
//! that moved.

use super::id::Id;
use super::tree::Tree;
use super::{Round, looks};
use crate::snapshot::{CgroupVersion, Reading};
use crate::sources::kernel_file::Gone;
use crate::sources::parse::FileKind;
use crate::units::PageSize;

/// Reads the counters that moved; the innermost cgroups whose did.
pub(super) fn follow(tree: &mut Tree, round: &mut Round<'_>) -> Vec<Id> {
    let mut innermost = Vec::new();
    if round.version == CgroupVersion::V1 {
        return innermost;
    }
    for page_size in tree.page_sizes() {
        for id in tree.outermost() {
            if has_moved(tree, id, page_size, true, round) {
                descend(tree, id, page_size, round, &mut innermost);
            }
        }
    }
    innermost
}

fn descend(
    tree: &mut Tree,
    id: Id,
    page_size: PageSize,
    round: &mut Round<'_>,
    innermost: &mut Vec<Id>,
) {
    let mut pending = vec![id];
    while let Some(id) = pending.pop() {
        let children = tree.node(id).map(|node| node.children.clone()).unwrap_or_default();
        let before = pending.len();
        for child in children {
            if has_moved(tree, child, page_size, false, round) {
                pending.push(child);
            }
        }
        if pending.len() == before {
            innermost.push(id);
        }
    }
}

/// Whether a cgroup's counter is not what it was when those below it were last looked through.
fn has_moved(
    tree: &mut Tree,
    id: Id,
    page_size: PageSize,
    keep: bool,
    round: &mut Round<'_>,
) -> bool {
    let Some(node) = tree.node_mut(id) else { return false };
    let Some((place, size)) = node.size_of(page_size) else { return false };
    let read = size.read(&[FileKind::Events], keep, place, &mut round.reads).and_then(|()| {
        let moved = match size.events() {
            Reading::Present(count) => size.followed.replace(count) != Some(count),
            Reading::Failed => true,
            Reading::Absent => false,
        };
        if moved {
            size.read(&[FileKind::EventsLocal], false, place, &mut round.reads)?;
        }
        Ok::<bool, Gone>(moved)
    });
    let (moved, read) = read.map_or_else(|gone| (false, Err(gone)), |moved| (moved, Ok(())));
    looks::finish(tree, id, &read, round);
    moved
}

#[cfg(test)]
mod tests {
    use super::super::example::Example;
    use super::super::watch::Watch;
    use super::*;
    use crate::snapshot::Failures;

    /// The paths of the innermost whose counters moved.
    fn followed(example: &mut Example) -> Vec<String> {
        let ids = example.round(follow);
        let nodes = ids.into_iter().filter_map(|id| example.tree.node(id));
        nodes.map(|node| node.path.to_string()).collect()
    }

    #[test]
    fn a_refusal_is_followed_down_to_whom_it_befell() {
        let mut example = Example::new(&["k", "k/a", "k/a/c", "k/b", "k/b/d"]);
        example.look();
        assert!(followed(&mut example).is_empty());
        for (path, name) in
            [("k", "events"), ("k/a", "events"), ("k/a/c", "events"), ("k/a/c", "events.local")]
        {
            example.write(path, name, "max 2");
        }
        // Not below anything that moved: no kernel would show it.
        example.write("k/b/d", "events", "max 7");
        assert_eq!(followed(&mut example), ["/k/a/c"]);
        let two = Reading::Present(2);
        let failures = Failures::V2 { hierarchical: two, local: two };
        assert_eq!(example.facts("/k/a/c").failures, failures);
        assert!(followed(&mut example).is_empty(), "it is no news twice");
    }

    #[test]
    fn a_counter_that_could_not_be_had_is_read_in_the_next_poll() {
        let mut example = Example::new(&["k", "k/a"]);
        example.watch = Some(Watch::new().expect("notifications"));
        example.look_if_due();
        example.write("k", "events", "max 2");
        example.write("k/a", "events", "?");
        assert_eq!(followed(&mut example), ["/k/a"]);
        example.write("k/a", "events", "max 2");
        example.look_if_due();
        let Failures::V2 { hierarchical, .. } = example.facts("/k/a").failures else {
            panic!("v2")
        };
        assert_eq!(hierarchical, Reading::Present(2));
    }

    #[test]
    fn a_refusal_of_one_that_is_gone_is_its_parents() {
        let mut example = Example::new(&["k", "k/a", "k/a/c"]);
        example.look();
        std::fs::remove_dir_all(example.at("k/a/c")).expect("removed");
        for path in ["k", "k/a"] {
            example.write(path, "events", "max 1");
        }
        assert_eq!(followed(&mut example), ["/k/a"]);
    }
}
