//! What the guard decides from: one pod's figures for one page size, as plain data.

use std::time::Duration;

use crate::snapshot::guard::Action;
use crate::snapshot::{Limit, Reading};
use crate::units::{Bytes, PageSize};

/// A pod and its containers, for one page size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Which pages.
    pub page_size: PageSize,
    /// The pod's own cgroup.
    pub pod: Level,
    /// Its containers' cgroups, those that lie in it.
    pub containers: Vec<Level>,
    /// Whether the pod was seen with another limit than 0: then it was granted pages once.
    pub was_granted: bool,
    /// How long ago a limit of this pod was last raised; nothing if it never was.
    pub since_rescue: Option<Duration>,
}

/// A cgroup's figures, hierarchical as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// What is touched.
    pub usage: Bytes,
    /// What is reserved, which touched pages are a part of.
    pub reserved: Bytes,
    /// The fault limit.
    pub limit: Limit,
    /// The reservation limit.
    pub reservation_limit: Limit,
    /// What of the two is the guard's.
    pub ours: Ours,
}

/// What the guard has written to a cgroup, by its own record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ours {
    /// The fault limit, raised.
    pub limit: Option<Change>,
    /// The reservation limit.
    pub reservation: Option<Change>,
}

/// A limit that the guard has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What for.
    pub why: Action,
    /// What was there before the first of ours.
    pub old: Limit,
    /// What is ours.
    pub new: Limit,
    /// Whether somebody had set another, and ours was written once more.
    pub repeated: bool,
}

/// Which of a cgroup's two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The fault limit: `max`, `limit_in_bytes`.
    Fault,
    /// The reservation limit: `rsvd.max`, `rsvd.limit_in_bytes`.
    Reservation,
}

/// Which of a pod's cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The pod's own.
    Pod,
    /// A container's, by its number.
    Container(usize),
}

impl Place {
    /// Where it stands among a pod's directories.
    pub fn index(self) -> usize {
        match self {
            Self::Pod => 0,
            Self::Container(index) => index + 1,
        }
    }
}

/// What else is to be known before a limit is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The pool's pages; failed where they can't be read.
    pub pool: Reading<PoolFacts>,
    /// Whether any cgroup has touched more than it has reserved: then others' reservations are used up.
    pub is_crossed: bool,
    /// The room below the limits above the pod, the least of them.
    pub above: Reading<Limit>,
    /// Whether huge pages count as memory, and what is then left of it.
    pub memory: MemoryRoom,
}

/// A pool's pages in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFacts {
    /// Not in use; those that are reserved are among them.
    pub free: Bytes,
    /// Promised to mappings and not touched yet.
    pub reserved: Bytes,
}

/// What memory.max leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryRoom {
    /// Huge pages do not count as memory.
    NotCounted,
    /// They do. So much is left to the pod with all above it, and to each container.
    Counted {
        /// The least of the pod and all above it.
        pod: Reading<Limit>,
        /// Each container's own.
        containers: Vec<Reading<Limit>>,
    },
    /// Whether they do can't be told.
    Unknown,
}

impl PodFacts {
    /// All its cgroups, the pod's first.
    pub fn levels(&self) -> impl Iterator<Item = (Place, &Level)> {
        let containers = self.containers.iter().enumerate();
        let containers = containers.map(|(index, level)| (Place::Container(index), level));
        std::iter::once((Place::Pod, &self.pod)).chain(containers)
    }

    /// One of them.
    pub fn level(&self, place: Place) -> Option<&Level> {
        match place {
            Place::Pod => Some(&self.pod),
            Place::Container(index) => self.containers.get(index),
        }
    }
}

impl Level {
    /// The fault limit that somebody else set.
    pub fn granted(&self) -> Limit {
        match self.ours.limit {
            Some(ours) if ours.new == self.limit => ours.old,
            _ => self.limit,
        }
    }

    /// Whether its fault limit is one that the guard raised.
    pub fn is_rescued(&self) -> bool {
        self.ours.limit.is_some_and(|ours| ours.new == self.limit)
    }

    /// The reservation limit, if it is the guard's.
    pub fn our_reservation(&self) -> Option<Change> {
        self.ours.reservation.filter(|ours| ours.new == self.reservation_limit)
    }

    /// What it has reserved, in whole pages.
    pub fn reserved_pages(&self, page_size: PageSize) -> Bytes {
        let page = page_size.bytes().0;
        Bytes(self.reserved.0.div_ceil(page).saturating_mul(page))
    }

    /// What is reserved and not touched.
    pub fn outstanding(&self) -> Bytes {
        self.reserved.less(self.usage)
    }
}
