//! What the limits above a cgroup leave it, in one snapshot.

use std::collections::HashMap;

use crate::identity::Owner;
use crate::snapshot::{Cgroup, Hugetlb, Limit, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

/// A cgroup and all above it, for one page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// What the cgroup itself holds.
    pub(super) usage: Reading<Bytes>,
    pub(super) reserved: Reading<Bytes>,
    /// What it or its pod holds, whichever is more.
    pub(super) held: Bytes,
    /// The least fault limit, its own or one above.
    pub(super) limit: Reading<Limit>,
    /// The least that a fault limit leaves to touch, and that a reservation limit leaves to map.
    pub(super) room: Room,
    pub(super) reservation_room: Room,
    /// At a refusal: what was in use on the node then and is not now.
    pub(super) given_back: Bytes,
    /// Whether more is mapped than may be touched on any level, so that some touch to come will be refused.
    pub(super) is_short: bool,
    /// Whether any reservation limit here, above or below is finite, or unknown: then a refusal may be that
    /// of a mapping, and harmless.
    pub(super) may_refuse_mappings: bool,
}

/// What may still be touched or mapped.
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

/// What a cgroup held: usage and reservation.
type Held = (Reading<Bytes>, Reading<Bytes>);

impl Chains {
    /// With the figures of the snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self::with(snapshot, |_, hugetlb| (hugetlb.usage, hugetlb.reserved))
    }

    /// With those at the refusals that the reader heard of since the last snapshot; nothing where it heard of none.
    pub(super) fn at_refusals(snapshot: &Snapshot) -> Option<Self> {
        let then: HashMap<(usize, PageSize), Held> = snapshot
            .at_refusals
            .iter()
            .map(|it| ((it.cgroup, it.page_size), (it.usage, it.reserved)))
            .collect();
        let held = |index, hugetlb: &Hugetlb| {
            then.get(&(index, hugetlb.page_size))
                .copied()
                .unwrap_or((hugetlb.usage, hugetlb.reserved))
        };
        (!then.is_empty()).then(|| Self::with(snapshot, held))
    }

    /// Parents come before their children, so one way down and one way up do.
    fn with(snapshot: &Snapshot, held: impl Fn(usize, &Hugetlb) -> Held) -> Self {
        let mut all = Self { chains: Vec::new(), starts: Vec::new() };
        for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
            let start = all.chains.len();
            let is_in_pod = matches!(&*cgroup.owner, Owner::Container(_) | Owner::InsideContainer);
            for hugetlb in cgroup.hugetlb.iter() {
                let above =
                    all.place(snapshot, cgroup, hugetlb).and_then(|place| all.chains.get(place));
                let own = Chain::own(hugetlb, held(index, hugetlb));
                let now = hugetlb.usage.present();
                let given_back = own.usage.present().zip(now).map(|(then, now)| then.less(now));
                let own = Chain { given_back: given_back.unwrap_or_default(), ..own };
                let chain = above.map_or(own, |above| own.below(above, is_in_pod));
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
                        parent.limited_by(&own);
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
    pub(super) fn own(hugetlb: &Hugetlb, (usage, reserved): Held) -> Self {
        let limit = hugetlb.limit.finite();
        Self {
            usage,
            reserved,
            held: usage.present().max(reserved.present()).unwrap_or_default(),
            limit: hugetlb.limit,
            room: Room::of(hugetlb.limit, usage),
            reservation_room: Room::of(hugetlb.reservation_limit, reserved),
            given_back: Bytes::ZERO,
            is_short: limit.is_some_and(|limit| reserved.present() > Some(limit)),
            may_refuse_mappings: match hugetlb.reservation_limit {
                Reading::Present(limit) => limit.finite().is_some(),
                Reading::Absent => false,
                Reading::Failed => true,
            },
        }
    }

    /// The same with what is above it.
    fn below(mut self, above: &Self, is_in_pod: bool) -> Self {
        self.limited_by(above);
        self.may_refuse_mappings |= above.may_refuse_mappings;
        self.given_back = self.given_back.max(above.given_back);
        if is_in_pod {
            self.held = self.held.max(above.held);
        }
        self
    }

    fn limited_by(&mut self, other: &Self) {
        self.limit = self.limit.least(other.limit);
        self.room = self.room.min(other.room);
        self.reservation_room = self.reservation_room.min(other.reservation_room);
        self.is_short |= other.is_short;
    }
}

impl Room {
    fn of(limit: Reading<Limit>, held: Reading<Bytes>) -> Self {
        match (limit, held) {
            (Reading::Present(Limit::Unlimited) | Reading::Absent, _) => Self::Unlimited,
            (Reading::Present(Limit::At(limit)), Reading::Present(held)) => {
                Self::Bytes(Bytes(limit.0.saturating_sub(held.0)))
            }
            _ => Self::Unknown,
        }
    }

    /// Whether so much is left for certain.
    pub(super) fn has(self, bytes: Bytes) -> bool {
        match self {
            Self::Unknown => false,
            Self::Bytes(left) => left >= bytes,
            Self::Unlimited => true,
        }
    }

    /// Whether less than so much is left for certain.
    pub(super) fn lacks(self, bytes: Bytes) -> bool {
        matches!(self, Self::Bytes(left) if left < bytes)
    }
}
