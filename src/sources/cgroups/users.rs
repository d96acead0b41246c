//! Reading what is in use, and nothing that can't be.
//!
//! Usage and reservation are hierarchical: a cgroup's figure is the sum of its children's and of what is its own (files of
//! the dead). So while a cgroup's figure is exactly that of the children known to use, all its other children use nothing,
//! and none of their files is read (docs/adr/0006-nothing-is-read-that-cannot-have-changed.md). Where something is left
//! over, all its children are read: it may be theirs.

use super::files::LIMITS;
use super::id::Id;
use super::tree::Tree;
use super::{Round, looks};
use crate::snapshot::Reading;
use crate::units::{Bytes, PageSize};

/// Reads the figures of everything that uses pages of that size, or may.
pub(super) fn read(tree: &mut Tree, page_size: PageSize, round: &mut Round<'_>) {
    let outermost = tree.outermost();
    for id in &outermost {
        read_use(tree, *id, page_size, round);
    }
    let mut pending = outermost;
    while let Some(id) = pending.pop() {
        let children = tree.node(id).map(|node| node.children.clone()).unwrap_or_default();
        // Those known to use pages may have stopped, and then what is below them too.
        let known: Vec<Id> = children
            .iter()
            .copied()
            .filter(|child| is_known(tree, *child, page_size, round.reads.number))
            .collect();
        for child in &known {
            read_use(tree, *child, page_size, round);
        }
        pending.extend(known);
        if is_left_over(tree, id, &children, page_size) {
            for child in children {
                let was_known = is_known(tree, child, page_size, round.reads.number);
                read_use(tree, child, page_size, round);
                if is_known(tree, child, page_size, round.reads.number) && !was_known {
                    pending.push(child);
                }
            }
        } else {
            // Some may have been looked into for what was left over, or have stopped: others need the descriptors more.
            children.into_iter().for_each(|child| close_unused(tree, child, page_size));
        }
        // It was read as unused, and then one below it as used.
        if !is_in_use(tree, id, page_size)
            && let Some(user) = user_below(tree, id, page_size)
        {
            tree.must_reach(user, page_size);
        }
    }
}

fn is_in_use(tree: &Tree, id: Id, page_size: PageSize) -> bool {
    tree.node(id).and_then(|node| node.of_size(page_size)).is_some_and(|size| size.in_use)
}

fn user_below(tree: &Tree, id: Id, page_size: PageSize) -> Option<Id> {
    let children = tree.node(id)?.children.iter().copied();
    children.into_iter().find(|child| is_in_use(tree, *child, page_size))
}

fn close_unused(tree: &mut Tree, id: Id, page_size: PageSize) {
    if let Some(node) = tree.node_mut(id)
        && let Some((_, size)) = node.size_of(page_size)
        && !size.in_use
    {
        size.close_use();
    }
}

/// Whether it is known to use pages, or was until this poll.
fn is_known(tree: &Tree, id: Id, page_size: PageSize, number: u64) -> bool {
    let size = tree.node(id).and_then(|node| node.of_size(page_size));
    size.is_some_and(|size| size.is_or_was_in_use(number))
}

/// Whether a cgroup has more or less than its children that are known to use pages.
fn is_left_over(tree: &Tree, id: Id, children: &[Id], page_size: PageSize) -> bool {
    let facts = |id| Some(tree.node(id)?.of_size(page_size)?.facts());
    let Some(own) = facts(id) else { return true };
    let mut sum = (Reading::Present(Bytes::ZERO), Reading::Present(Bytes::ZERO));
    for child in children.iter().filter_map(|child| facts(*child)) {
        sum = (sum.0.plus(child.usage), sum.1.plus(child.reserved));
    }
    // Two failures are no proof of anything.
    let is_sum = |own: Reading<Bytes>, sum| match own {
        Reading::Present(_) => own == sum,
        Reading::Absent => true,
        Reading::Failed => false,
    };
    !(is_sum(own.usage, sum.0) && is_sum(own.reserved, sum.1))
}

/// Reads what a cgroup uses, unless that was done in this poll. A limit is read again only where nothing tells that it was
/// set.
fn read_use(tree: &mut Tree, id: Id, page_size: PageSize, round: &mut Round<'_>) {
    let Some(node) = tree.node_mut(id) else { return };
    let Some(index) = node.index_of(page_size) else { return };
    let Some((place, size)) = node.size(index) else { return };
    if size.is_read_in(round.reads.number) {
        return;
    }
    let mut read = size.read_use(round.beside_use, place, &mut round.reads);
    if read.is_ok() && size.in_use && !size.limits_watched {
        node.watch_limits(id, index, round.watch.as_deref_mut());
        let Some((place, size)) = node.size(index) else { return };
        read = size.read(&LIMITS, false, place, &mut round.reads);
        return looks::finish(tree, id, &read, round);
    }
    if read.is_err() {
        round.forget(tree, id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Example;
    use super::super::watch::Watch;
    use super::*;
    use crate::sources::parse::FileKind;
    use crate::units::Pages;

    fn size() -> PageSize {
        PageSize::from_bytes(2 << 20).expect("a power of two")
    }

    /// Writes how many pages a cgroup and all below it use.
    fn use_pages(example: &Example, path: &str, pages: u64) {
        example.write(path, "current", &(pages << 21).to_string());
    }

    const CHAIN: [&str; 3] = ["k", "k/a", "k/a/c"];

    /// Three below one another, the innermost of which uses three pages.
    fn chain_in_use() -> Example {
        let mut example = Example::new(&CHAIN);
        CHAIN.iter().for_each(|path| use_pages(&example, path, 3));
        example.look();
        example
    }

    /// How many pages were last seen in use.
    fn seen(example: &mut Example, path: &str) -> Reading<Bytes> {
        example.round(|tree, round| read(tree, size(), round));
        example.facts(path).usage
    }

    fn pages(number: u64) -> Reading<Bytes> {
        Reading::Present(Pages(number).bytes(size()).expect("few"))
    }

    #[test]
    fn whoever_uses_nothing_is_not_read_while_the_sum_is_that_of_the_others() {
        let mut example = Example::new(&["k", "k/a", "k/b", "k/b/c"]);
        use_pages(&example, "k", 3);
        use_pages(&example, "k/a", 3);
        example.look();
        // What no kernel would show: that it is not seen tells that it is not read.
        use_pages(&example, "k/b", 2);
        assert_eq!(seen(&mut example, "/k/b"), pages(0));
        use_pages(&example, "k", 5);
        assert_eq!(seen(&mut example, "/k/b"), pages(2), "something is left over");
        assert_eq!(seen(&mut example, "/k/b/c"), pages(0));
        use_pages(&example, "k/b/c", 2);
        assert_eq!(seen(&mut example, "/k/b/c"), pages(2), "left over below it");
    }

    #[test]
    fn whoever_stops_using_is_read_once_more() {
        let mut example = chain_in_use();
        for path in CHAIN {
            use_pages(&example, path, 0);
        }
        assert_eq!(seen(&mut example, "/k/a/c"), pages(0));
    }

    #[test]
    fn whoever_stops_using_is_read_once_more_also_where_its_parent_was_just_looked_at() {
        let mut example = chain_in_use();
        CHAIN.iter().for_each(|path| use_pages(&example, path, 0));
        let parent = example.id("/k/a");
        example.round(|tree, round| {
            looks::look(tree, parent, true, round);
            read(tree, size(), round);
        });
        assert_eq!(example.facts("/k/a/c").usage, pages(0));
    }

    #[test]
    fn whoever_came_between_the_reading_of_those_above_and_its_own_is_read_again() {
        let mut example = chain_in_use();
        // It had stopped when those above were read, and was at it again when it was read itself.
        CHAIN[..2].iter().for_each(|path| use_pages(&example, path, 0));
        assert_eq!(seen(&mut example, "/k/a/c"), pages(3));
        use_pages(&example, "k/a/c", 0);
        assert_eq!(seen(&mut example, "/k/a/c"), pages(0));
        // The same in a look.
        use_pages(&example, "k/a/c", 2);
        let id = example.id("/k/a/c");
        example.round(|tree, round| {
            looks::look(tree, id, true, round);
            read(tree, size(), round);
        });
        assert_eq!(example.facts("/k/a/c").usage, pages(2));
        use_pages(&example, "k/a/c", 0);
        assert_eq!(seen(&mut example, "/k/a/c"), pages(0));
    }

    #[test]
    fn two_figures_that_could_not_be_had_are_not_the_same() {
        let mut example = Example::new(&["k", "k/a", "k/b"]);
        use_pages(&example, "k", 3);
        use_pages(&example, "k/a", 3);
        example.look();
        ["k", "k/a"].iter().for_each(|path| example.write(path, "rsvd.current", "?"));
        assert_eq!(seen(&mut example, "/k/a"), pages(3));
        example.write("k/b", "rsvd.current", "2097152");
        seen(&mut example, "/k/b");
        assert_eq!(example.facts("/k/b").reserved, pages(1));
    }

    #[test]
    fn what_goes_with_use_is_read_once_more_when_it_is_over() {
        let mut example = Example::new(&["k"]);
        use_pages(&example, "k", 3);
        example.write("k", "numa_stat", "total=6291456 N0=6291456");
        let nodes = |example: &mut Example| {
            example.round(|tree, round| {
                round.beside_use = &[FileKind::NumaStat];
                read(tree, size(), round);
            });
            let nodes = example.facts("/k").numa_usage.clone().present().expect("read");
            nodes.iter().map(|node| node.usage).collect::<Vec<_>>()
        };
        example.look();
        assert_eq!(nodes(&mut example), [Bytes(3 << 21)]);
        use_pages(&example, "k", 0);
        example.write("k", "numa_stat", "total=0 N0=0");
        assert_eq!(nodes(&mut example), [Bytes::ZERO]);
    }

    #[test]
    fn a_limit_is_watched_once_however_often_the_other_can_not_be() {
        let mut example = Example::new(&["k"]);
        example.write("k", "max", "max");
        example.write("k", "rsvd.max", "max");
        example.watch = Some(Watch::new().expect("notifications"));
        example.discover();
        std::fs::remove_file(example.at("k/hugetlb.2MB.rsvd.max")).expect("removed");
        let id = example.id("/k");
        for _ in 0..3 {
            example.round(|tree, round| {
                let node = tree.node_mut(id).expect("there");
                node.watch_limits(id, 0, round.watch.as_deref_mut());
            });
        }
        let node = example.tree.node(id).expect("there");
        assert_eq!((node.watches.limits.len(), node.sizes[0].limits_watched), (1, false));
    }

    #[test]
    fn files_stay_open_of_whoever_uses_pages_and_while_something_is_left_over() {
        let mut example = Example::new(&["k", "k/a", "k/b"]);
        use_pages(&example, "k", 3);
        use_pages(&example, "k/a", 3);
        example.look();
        let open = |example: &mut Example, path| {
            example.round(|tree, round| read(tree, size(), round));
            example.open(path)
        };
        assert_eq!(open(&mut example, "k/a"), 2);
        assert_eq!(open(&mut example, "k/b"), 0);
        use_pages(&example, "k", 5);
        assert_eq!(open(&mut example, "k/b"), 2, "it is read at every poll");
        use_pages(&example, "k", 3);
        assert_eq!(open(&mut example, "k/b"), 0);
        use_pages(&example, "k", 0);
        use_pages(&example, "k/a", 0);
        assert_eq!(open(&mut example, "k/a"), 0);
    }
}
