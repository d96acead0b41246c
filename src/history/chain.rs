//! What the limits above a cgroup leave it, in one snapshot.

use crate::identity::Owner;
use crate::snapshot::{Cgroup, Hugetlb, Limit, Reading, Snapshot};
use crate::units::Bytes;

/// A cgroup and all above it, for one page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The least fault limit, its own or one above.
    pub(super) limit: Reading<Limit>,
    /// The least that a fault limit leaves to touch.
    pub(super) room: Room,
    /// Whether any reservation limit here, above or below is finite, or unknown: then a refusal may be that
    /// of a mapping, and harmless.
    pub(super) may_refuse_mappings: bool,
}

/// What may still be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// A figure that it needs could not be had.
    Unknown,
    /// So much.
    Bytes(Bytes),
    /// As much as there is.
    Unlimited,
}

/// The chains of all cgroups of a snapshot.
#[derive(Debug)]
pub(super) struct Chains {
    chains: Vec<Chain>,
    /// Where each cgroup's begin.
    starts: Vec<usize>,
}

impl Chains {
    /// Parents come before their children, so one way down and one way up do.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut all = Self { chains: Vec::new(), starts: Vec::new() };
        for cgroup in snapshot.cgroups.iter() {
            let start = all.chains.len();
            for hugetlb in cgroup.hugetlb.iter() {
                let above =
                    all.place(snapshot, cgroup, hugetlb).and_then(|place| all.chains.get(place));
                let own = Chain::own(hugetlb);
                let chain = above.map_or(own, |above| Chain {
                    limit: own.limit.least(above.limit),
                    room: own.room.min(above.room),
                    may_refuse_mappings: own.may_refuse_mappings || above.may_refuse_mappings,
                });
                all.chains.push(chain);
            }
            all.starts.push(start);
        }
        all.tell_parents(snapshot);
        all
    }

    /// The chains of the cgroup with that index, in the order of its sizes.
    pub(super) fn of_cgroup(&self, index: usize) -> &[Chain] {
        let start = self.starts.get(index).copied().unwrap_or_default();
        let end = self.starts.get(index + 1).copied().unwrap_or(self.chains.len());
        self.chains.get(start..end).unwrap_or_default()
    }

    /// v2 counts in a pod what its containers were refused, so their reservation limits count there too. crun
    /// limits a container in `<scope>/container`, so the scope has no more room than that.
    fn tell_parents(&mut self, snapshot: &Snapshot) {
        for (index, cgroup) in snapshot.cgroups.iter().enumerate().rev() {
            let is_inner = is_cruns(snapshot, cgroup);
            for (offset, hugetlb) in cgroup.hugetlb.iter().enumerate() {
                let own = self.of_cgroup(index).get(offset).copied();
                let parent = self.place(snapshot, cgroup, hugetlb);
                if let (Some(own), Some(parent)) =
                    (own, parent.and_then(|place| self.chains.get_mut(place)))
                {
                    parent.may_refuse_mappings |= own.may_refuse_mappings;
                    if is_inner {
                        parent.room = parent.room.min(own.room);
                        parent.limit = parent.limit.least(own.limit);
                    }
                }
            }
        }
    }

    /// Where the parent's chain of the same size is.
    fn place(&self, snapshot: &Snapshot, cgroup: &Cgroup, hugetlb: &Hugetlb) -> Option<usize> {
        let parent = cgroup.parent?;
        let same = |other: &Hugetlb| other.page_size == hugetlb.page_size;
        let offset = snapshot.cgroups.get(parent)?.hugetlb.iter().position(same)?;
        Some(self.starts.get(parent)? + offset)
    }
}

/// Whether it is the cgroup that crun makes in a container's scope and puts the container into.
fn is_cruns(snapshot: &Snapshot, cgroup: &Cgroup) -> bool {
    let scope = cgroup.parent.and_then(|parent| snapshot.cgroups.get(parent));
    *cgroup.owner == Owner::InsideContainer
        && cgroup.path.ends_with("/container")
        && scope.is_some_and(|scope| matches!(&*scope.owner, Owner::Container(_)))
}

impl Chain {
    fn own(hugetlb: &Hugetlb) -> Self {
        let room = match (hugetlb.limit, hugetlb.usage) {
            (Reading::Present(Limit::Unlimited) | Reading::Absent, _) => Room::Unlimited,
            (Reading::Present(Limit::At(limit)), Reading::Present(usage)) => {
                Room::Bytes(Bytes(limit.0.saturating_sub(usage.0)))
            }
            _ => Room::Unknown,
        };
        let may_refuse_mappings = match hugetlb.reservation_limit {
            Reading::Present(limit) => limit.finite().is_some(),
            Reading::Absent => false,
            Reading::Failed => true,
        };
        Self { limit: hugetlb.limit, room, may_refuse_mappings }
    }
}

impl Room {
    /// Whether so much is left for certain.
    pub(super) fn has(self, bytes: Bytes) -> bool {
        match self {
            Self::Unknown => false,
            Self::Bytes(left) => left >= bytes,
            Self::Unlimited => true,
        }
    }
}
