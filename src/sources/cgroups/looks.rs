//! Looking at a cgroup anew: its files, as far as nothing else tells of them.

use super::Round;
use super::files::{LIMITS, SizeFiles};
use super::id::Id;
use super::node::Node;
use super::tree::Tree;
use crate::snapshot::{CgroupVersion, Limit, Reading};
use crate::sources::kernel_file::Gone;
use crate::sources::parse::FileKind;

/// Reads all files of a cgroup; of one that was looked at before, those that may have changed and nothing has told, unless
/// all are to be seen.
pub(super) fn look(tree: &mut Tree, id: Id, whole: bool, round: &mut Round<'_>) {
    let all = whole || tree.node(id).is_some_and(|node| must_see_all(node, round));
    let sizes = tree.node(id).map_or(0, |node| node.sizes.len());
    for index in 0..sizes {
        if look_at_size(tree, id, index, all, round).is_err() {
            return round.forget(tree, id);
        }
    }
    tree.looked(id, all.then_some(round.reads.number), round.now);
}

/// On v2 sums tell of what is in use, and the counters above a cgroup's of what was refused to it: its limits are left,
/// which nobody watches while it uses nothing.
fn must_see_all(node: &Node, round: &Round<'_>) -> bool {
    let is_new = node.looked == 0;
    let is_told = round.version == CgroupVersion::V2 && round.watch.is_some() && !round.numa;
    is_new || !is_told || node.has_failed()
}

fn look_at_size(
    tree: &mut Tree,
    id: Id,
    index: usize,
    all: bool,
    round: &mut Round<'_>,
) -> Result<(), Gone> {
    let Some(node) = tree.node_mut(id) else { return Ok(()) };
    let Some((place, size)) = node.size(index) else { return Ok(()) };
    if all {
        size.read_use(round.beside_use, place, &mut round.reads)?;
    }
    if size.in_use {
        let page_size = place.names.page_size;
        // Before they are read: what is set between is told.
        node.watch_limits(id, index, round.watch.as_deref_mut());
        tree.must_reach(id, page_size);
    } else {
        size.close_use();
    }
    let Some(node) = tree.node_mut(id) else { return Ok(()) };
    let Some((place, size)) = node.size(index) else { return Ok(()) };
    size.read(&LIMITS, false, place, &mut round.reads)?;
    if !all {
        return Ok(());
    }
    if !size.is_or_was_in_use(round.reads.number) {
        size.read(round.beside_use, false, place, &mut round.reads)?;
    }
    let counters =
        [FileKind::Events, FileKind::EventsLocal, FileKind::Failcnt, FileKind::ReservedFailcnt];
    size.read(&counters, false, place, &mut round.reads)?;
    // Whatever is found below later was counted then or comes on top.
    size.followed = size.followed.or(size.events().present());
    Ok(())
}

/// Reads the limits of one size: somebody has set one.
pub(super) fn read_limits(tree: &mut Tree, id: Id, index: usize, round: &mut Round<'_>) {
    let Some(node) = tree.node_mut(id) else { return };
    let Some((place, size)) = node.size(index) else { return };
    let read = size.read(&LIMITS, false, place, &mut round.reads);
    finish(tree, id, &read, round);
}

/// Reads all limits that somebody may have set without our being told.
pub(super) fn read_watched_limits(tree: &mut Tree, round: &mut Round<'_>) {
    for id in tree.order().to_vec() {
        let sizes = tree.node(id).map(|node| node.sizes.iter().enumerate());
        let watched = sizes.into_iter().flatten().filter(|(_, size)| size.limits_watched);
        let watched: Vec<usize> = watched.map(|(index, _)| index).collect();
        watched.into_iter().for_each(|index| read_limits(tree, id, index, round));
    }
}

/// After something of a cgroup was read outside a look: one that is gone is forgotten, and one of which a figure could
/// not be had is looked at in the next poll.
pub(super) fn finish(tree: &mut Tree, id: Id, read: &Result<(), Gone>, round: &mut Round<'_>) {
    if read.is_err() {
        round.forget(tree, id);
    } else if tree.node(id).is_some_and(Node::has_failed) {
        tree.must_look(id, round.now);
    }
}

/// v1 tells nothing of refusals: they are read wherever a limit may have caused one. Not for sizes that nobody can have a
/// page of (on most nodes all but one): every pod has a limit for them, and what it refuses there the pool would.
pub(super) fn read_failcnts(tree: &mut Tree, round: &mut Round<'_>) {
    if round.version == CgroupVersion::V2 {
        return;
    }
    for id in tree.order().to_vec() {
        let Some(node) = tree.node_mut(id).filter(|node| node.looked != round.reads.number) else {
            continue;
        };
        let read = (0..node.sizes.len()).try_for_each(|index| {
            let Some((place, size)) = node.size(index) else { return Ok(()) };
            if round.has_none_of(place.names.page_size) {
                return Ok(());
            }
            size.read(may_have_refused(size), true, place, &mut round.reads)
        });
        if read.is_err() {
            round.forget(tree, id);
        }
    }
}

/// The counters whose limit is not known to be infinite.
fn may_have_refused(size: &SizeFiles) -> &'static [FileKind] {
    const BOTH: [FileKind; 2] = [FileKind::Failcnt, FileKind::ReservedFailcnt];
    let is_finite = |limit| !matches!(limit, Reading::Absent | Reading::Present(Limit::Unlimited));
    let facts = size.facts();
    match (is_finite(facts.limit), is_finite(facts.reservation_limit)) {
        (true, true) => &BOTH,
        (true, false) => &BOTH[..1],
        (false, true) => &BOTH[1..],
        (false, false) => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::Example;
    use super::super::watch::Watch;
    use super::read_failcnts;
    use crate::snapshot::example::pool;
    use crate::snapshot::{CgroupVersion, Failures, Limit, Pool, Reading};
    use crate::units::{Bytes, Pages};

    fn with_notifications() -> Example {
        let mut example = Example::new(&["a"]);
        example.watch = Some(Watch::new().expect("notifications"));
        example.write("a", "max", "max");
        example.look_if_due();
        example
    }

    #[test]
    fn limits_are_looked_at_often_first_and_then_every_ten_minutes() {
        let mut example = with_notifications();
        let mut seen = |seconds, limit: u64| {
            example.write("a", "max", &limit.to_string());
            example.now = Duration::from_secs(seconds);
            example.look_if_due();
            example.facts("/a").limit == Reading::Present(Limit::At(Bytes(limit)))
        };
        // No look comes later than at twice the age of the one before, or ten minutes after it.
        let looks =
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1624, 2224].map(|at| seen(at, at));
        assert_eq!(looks, [true; 13]);
        assert!(!seen(2225, 1), "the next is not due yet");
    }

    #[test]
    fn what_nothing_told_of_is_seen_within_the_hour() {
        let mut example = with_notifications();
        let id = example.id("/a");
        let unwatched = example.tree.node_mut(id).and_then(|node| node.watches.directory.take());
        example.watch.as_mut().expect("notifications").end(unwatched.expect("watched"));
        example.make("a/lost");
        example.write("a", "events", "max 7");
        let seen = |example: &mut Example, seconds| {
            example.now = Duration::from_secs(seconds);
            example.look_if_due();
            let Failures::V2 { hierarchical, .. } = example.facts("/a").failures else {
                panic!("v2")
            };
            (example.paths().len(), hierarchical.present())
        };
        assert_eq!(seen(&mut example, 1800), (1, Some(0)));
        assert_eq!(seen(&mut example, 3600), (2, Some(7)));
        example.write("a", "events", "max 8");
        assert_eq!(seen(&mut example, 5400), (2, Some(7)));
        assert_eq!(seen(&mut example, 7200), (2, Some(8)));
    }

    #[test]
    fn whoever_is_given_files_without_our_being_told_is_found_within_the_hour() {
        let mut example = with_notifications();
        std::fs::create_dir(example.at("a/bare")).expect("made");
        example.look_if_due();
        example.make("a/bare");
        let mut found = |seconds| {
            example.now = Duration::from_secs(seconds);
            example.look_if_due();
            example.paths().len()
        };
        assert_eq!((found(1800), found(3600)), (1, 2));
    }

    #[test]
    fn limits_that_were_set_while_the_queue_was_full_are_read() {
        let mut example = with_notifications();
        for path in ["b", "c", "d"] {
            example.make(path);
            example.write(path, "max", "max");
            example.write(path, "current", "1");
        }
        example.look_if_due();
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
        let most: usize = most.expect("a limit").trim().parse().expect("a number");
        // Two in turn, or the kernel would tell of them once.
        for number in 0..most {
            example.write(["b", "c"][number % 2], "max", "max");
        }
        example.write("d", "max", "4096");
        example.look_if_due();
        assert_eq!(example.facts("/d").limit, Reading::Present(Limit::At(Bytes(4096))));
    }

    #[test]
    fn refusals_of_v1_are_read_at_every_poll_where_somebody_could_have_had_the_page() {
        let mut example = Example::of(CgroupVersion::V1, &["a"]);
        example.look();
        example.write("a", "failcnt", "3");
        let mut seen = |size, overcommit_limit| {
            example.pools = vec![Pool { size, overcommit_limit, ..pool(0, 0) }];
            example.round(read_failcnts);
            let Failures::V1 { faults, .. } = example.facts("/a").failures else { panic!("v1") };
            faults.present().expect("read")
        };
        let [none, one] = [0, 1].map(|pages| Reading::Present(Pages(pages)));
        assert_eq!((seen(none, none), seen(none, Reading::Absent)), (0, 0));
        assert_eq!(seen(none, one), 3);
    }
}
