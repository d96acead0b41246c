//! What came of mapping and touching by hand, `hugetlb-exporter try`.

use std::time::Duration;

use super::{Pool, Reading};
use crate::snapshot::Limit;
use crate::units::{Bytes, PageSize, Pages};

/// What was asked for, of whom, and what came of it.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The size of the pages.
    pub page_size: PageSize,
    /// How they were mapped, in words: `private`, `shared, without a reservation`.
    pub mapping: String,
    /// How many were to be mapped.
    pub pages: Pages,
    /// How many of them were to be touched.
    pub touch: Pages,
    /// The node's pool of that page size before.
    pub pool: Reading<Pool>,
    /// What limited it before, the own cgroup first.
    pub limits: Vec<LevelLimits>,
    /// Whether these are all limits that there are.
    pub sees_all_limits: bool,
    /// The limits of memory that huge pages count against, the own cgroup's first; none where they do not count.
    pub memory: Vec<LevelMemory>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The limits of one cgroup, for one page size.
#[derive(Debug, Clone)]
pub struct LevelLimits {
    /// Its path, as far as it is seen; `this cgroup` for the own one in a namespace of its own.
    pub cgroup: String,
    /// The fault limit.
    pub limit: Reading<Limit>,
    /// Touched.
    pub usage: Reading<Bytes>,
    /// The reservation limit.
    pub reservation_limit: Reading<Limit>,
    /// Mapped.
    pub reserved: Reading<Bytes>,
}

/// The limit of memory of one cgroup, where huge pages count as memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelMemory {
    /// Its path, as far as it is seen; `this cgroup` for the own one in a namespace of its own.
    pub cgroup: String,
    /// `memory.max`.
    pub limit: Reading<Bytes>,
    /// What it leaves beside what can't be reclaimed.
    pub room: Reading<Bytes>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// mmap was refused.
    RefusedAtMmap(RefusedBy),
    /// All was mapped, and all that was to be touched was touched.
    Fits,
    /// A touch was refused: SIGBUS.
    RefusedAtTouch {
        /// So many pages were touched before.
        touched: Pages,
        /// By what the next one was refused.
        by: RefusedBy,
    },
    /// The next touch was not tried: a limit of memory has no room for the page, and it would hang.
    WouldHang {
        /// So many pages were touched before.
        touched: Pages,
        /// Whose limit it is.
        at: LevelMemory,
    },
    /// A touch did not come back in time, and was ended.
    Hung {
        /// So many pages were touched before.
        touched: Pages,
        /// How long it was waited for.
        after: Duration,
        /// Whether a limit of memory may be why.
        counts_memory: bool,
    },
}

/// What refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedBy {
    /// The fault limit of a cgroup.
    Limit {
        /// Its path, as far as it is seen.
        cgroup: String,
        /// The limit.
        at: Bytes,
    },
    /// The reservation limit of a cgroup.
    ReservationLimit {
        /// Its path, as far as it is seen.
        cgroup: String,
        /// The limit.
        at: Bytes,
    },
    /// A limit of a cgroup above that can't be seen from here.
    LimitAbove,
    /// The node's pool: a mapping needs pages that nobody has reserved.
    Pool,
    /// A limit above or the pool: the counters that would tell can't be seen from here.
    LimitAboveOrPool,
    /// Neither: the reason that the kernel gave.
    Other(String),
}
