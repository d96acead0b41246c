//! A cgroup, and when its counters moved.

use std::collections::VecDeque;
use std::time::Duration;

use super::Whose;
use crate::identity::Owner;
use crate::snapshot::{Cgroup, Hugetlb, Snapshot};
use crate::units::PageSize;

/// So many moves of a cgroup's counters.
const MOST_MOVES: usize = 4;

/// A cgroup, as it was when it was last seen.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) whose: Option<Whose>,
    pub(super) parent: Option<u64>,
    pub(super) seen: Duration,
    /// Refusals so far, by size.
    refusals: Vec<(PageSize, u64)>,
    /// When more were counted: from when to when.
    pub(super) moves: VecDeque<(PageSize, Duration, Duration)>,
    /// The sizes of which it last held pages, and when.
    pub(super) held: Vec<(PageSize, Duration)>,
}

impl Place {
    /// One that was just found.
    pub(super) fn new(whose: Option<Whose>, parent: Option<u64>) -> Self {
        let (refusals, moves, held) = Default::default();
        Self { whose, parent, seen: Duration::ZERO, refusals, moves, held }
    }

    pub(super) fn take_in(&mut self, cgroup: &Cgroup, before: Option<Duration>, now: Duration) {
        for hugetlb in cgroup.hugetlb.iter() {
            let size = hugetlb.page_size;
            let holds = |hugetlb: &Hugetlb| hugetlb.usage.is_some() || hugetlb.reserved.is_some();
            if holds(hugetlb) {
                self.held.retain(|(other, _)| *other != size);
                self.held.push((size, now));
            }
            let Some(total) = hugetlb.failures.total().present() else { continue };
            let was = self.refusals.iter_mut().find(|(other, _)| *other == size);
            // What a cgroup had counted before we looked at all is no news.
            let was = match was {
                Some((_, was)) => std::mem::replace(was, total),
                None => {
                    self.refusals.push((size, total));
                    if before.is_some() { 0 } else { total }
                }
            };
            if total > was {
                self.moves.push_back((size, before.unwrap_or_default(), now));
                if self.moves.len() > MOST_MOVES {
                    self.moves.pop_front();
                }
            }
        }
    }
}

/// Whose processes a cgroup has; nothing where it is no pod's.
pub(super) fn whose(snapshot: &Snapshot, index: usize) -> Option<Whose> {
    snapshot.chain(index).find_map(|cgroup| match &*cgroup.owner {
        Owner::Pod(pod) => Some(Whose { uid: pod.uid.clone(), container: None }),
        Owner::Container(container) => {
            Some(Whose { uid: container.pod.uid.clone(), container: Some(container.id.clone()) })
        }
        _ => None,
    })
}
