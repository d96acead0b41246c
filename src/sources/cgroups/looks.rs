//! Looking at a cgroup anew: its files, as far as nothing else tells of them.

use super::Round;
use super::files::{LIMITS, SizeFiles};
use super::id::Id;
use super::node::Node;
use super::tree::Tree;
use crate::snapshot::{CgroupVersion, Limit, Reading};
use crate::sources::kernel_file::Gone;
use crate::sources::parse::FileKind;

/// Reads all files of a cgroup; of one that was looked at before, those that may have changed and nothing has told.
pub(super) fn look(tree: &mut Tree, id: Id, round: &mut Round<'_>) {
    let all = tree.node(id).is_some_and(|node| must_see_all(node, round));
    let sizes = tree.node(id).map_or(0, |node| node.sizes.len());
    for index in 0..sizes {
        if look_at_size(tree, id, index, all, round).is_err() {
            return round.forget(tree, id);
        }
    }
    tree.looked(id, all.then_some(round.number), round.now);
}

/// On v2 sums tell of what is in use, and the counters above a cgroup's of what was refused to it: while it is young its
/// limits are left, which nobody watches while it uses nothing. Later all is read once more now and then, whatever was told.
fn must_see_all(node: &Node, round: &Round<'_>) -> bool {
    let is_new = node.looked == 0;
    let is_told = round.version == CgroupVersion::V2 && round.watch.is_some() && !round.numa;
    is_new || !is_told || node.is_old(round.now) || node.sizes.iter().any(SizeFiles::has_failed)
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
        // Before they are read: what is set between is told.
        node.watch_limits(id, index, round.watch.as_deref_mut());
    } else {
        size.close_use();
    }
    let Some((place, size)) = node.size(index) else { return Ok(()) };
    size.read(&LIMITS, false, place, &mut round.reads)?;
    if !all {
        return Ok(());
    }
    if !size.in_use {
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
    if size.read(&LIMITS, false, place, &mut round.reads).is_err() {
        round.forget(tree, id);
    }
}

/// v1 tells nothing of refusals: they are read wherever a limit may have caused one.
pub(super) fn read_failcnts(tree: &mut Tree, round: &mut Round<'_>) {
    if round.version == CgroupVersion::V2 {
        return;
    }
    for id in tree.order().to_vec() {
        let Some(node) = tree.node_mut(id).filter(|node| node.looked != round.number) else {
            continue;
        };
        let read = (0..node.sizes.len()).try_for_each(|index| {
            let Some((place, size)) = node.size(index) else { return Ok(()) };
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
