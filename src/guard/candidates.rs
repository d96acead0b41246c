//! Which pods can come to have reserved more than they may touch. The kernel tells nobody when reservations grow, so
//! somebody has to look; but only where a reservation limit does not keep them below the fault limit, and only when the
//! sum of all pods', which is one figure, has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::facts::PodFacts;
use super::files::{Kind, name};
use super::tree::{PodId, Tree};
use crate::snapshot::Limit;
use crate::units::{Bytes, PageSize};

/// The pods that have to be looked at, and what was last seen.
#[derive(Debug, Default)]
pub struct Candidates {
    pods: BTreeMap<(PageSize, PodId), Bytes>,
    sums: BTreeMap<(usize, PageSize), Sum>,
}

#[derive(Debug)]
struct Sum {
    file: File,
    last: Vec<u8>,
}

impl Candidates {
    /// Notes whether a pod is one.
    pub fn note(&mut self, id: PodId, size: PageSize, facts: &PodFacts, is_rescuing: bool) {
        let is_open =
            |limit: Limit, reservation: Limit| limit != Limit::Unlimited && reservation > limit;
        let is_candidate = facts.levels().any(|(_, level)| {
            level.is_rescued() || is_rescuing && is_open(level.limit, level.reservation_limit)
        });
        if is_candidate {
            self.pods.insert((size, id), facts.pod.reserved);
        } else {
            self.pods.remove(&(size, id));
        }
    }

    /// One that is gone.
    pub fn forget(&mut self, id: PodId) {
        self.pods.retain(|(_, of), _| *of != id);
    }

    /// Whether there is anything to look at.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<PodId> {
        self.pods.keys().map(|(_, id)| *id).collect()
    }

    /// Those whose reservations have changed since they were last seen.
    pub fn changed(&mut self, tree: &Tree) -> BTreeSet<PodId> {
        let sizes: BTreeSet<PageSize> = self.pods.keys().map(|(size, _)| *size).collect();
        let moved: Vec<PageSize> =
            sizes.into_iter().filter(|size| self.has_moved(tree, *size)).collect();
        let mut changed = BTreeSet::new();
        for ((size, id), last) in self.pods.iter().filter(|((size, _), _)| moved.contains(size)) {
            let reserved = tree.pod(*id).and_then(|pod| {
                let version = tree.kubepods_of(pod)?.version;
                Some(pod.directory.open().ok()?.held(version, *size).ok()?.1)
            });
            if reserved != Some(*last) {
                changed.insert(*id);
            }
        }
        changed
    }

    /// Whether the sum of a size has changed since this was last asked. One read of a file that stays open.
    fn has_moved(&mut self, tree: &Tree, size: PageSize) -> bool {
        let mut moved = false;
        for (index, kubepods) in tree.kubepods.iter().enumerate() {
            let file = || {
                let name = name(kubepods.version, size, Kind::Reserved);
                File::open(kubepods.directory.path.join(name)).ok()
            };
            let sum = match self.sums.remove(&(index, size)) {
                Some(sum) => Some(sum),
                None => file().map(|file| Sum { file, last: Vec::new() }),
            };
            let mut text = [0; 32];
            let read = sum.and_then(|sum| Some((sum.file.read_at(&mut text, 0).ok()?, sum)));
            // What can't be read is looked at whole.
            let Some((length, mut sum)) = read else {
                moved = true;
                continue;
            };
            let text = text.get(..length).unwrap_or_default();
            if sum.last != text {
                sum.last = text.to_vec();
                moved = true;
            }
            self.sums.insert((index, size), sum);
        }
        moved
    }
}
