//! What the touch-probe found: whether a page that must be refused is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Taken;
use crate::units::PageSize;

/// What has been probed so far.
#[derive(Debug, Clone)]
pub struct Probes {
    /// Where.
    pub target: Target,
    /// How long it is from one probe to the next.
    pub interval: Duration,
    /// The newest result of every check, by page size.
    pub results: BTreeMap<(PageSize, Check), Probed>,
    /// How often each verdict was given since the start.
    pub runs: BTreeMap<(PageSize, Check, VerdictKind), u64>,
    /// The newest probe of every page size.
    pub last: BTreeMap<PageSize, LastProbe>,
}

/// Where a probe maps and touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// In the exporter's own cgroup, which was granted nothing.
    Own,
    /// In a cgroup made for it, with a limit made for it.
    #[cfg(feature = "scratch-probe")]
    Scratch,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A page mapped without a reservation is touched: SIGBUS where limits are enforced.
    Fault,
    /// Pages are mapped with a reservation: ENOMEM where reservation limits are enforced.
    Reserve,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What it shows.
    pub verdict: Verdict,
    /// How many checks in a row have shown it, this one included.
    pub in_a_row: u32,
}

/// When a page size was last probed, both checks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastProbe {
    /// When it ended.
    pub ended: Taken,
    /// How long it took.
    pub took: Duration,
}

/// What a check shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was refused, and a counter says that a limit did it.
    Enforced(EnforcedBy),
    /// It was not refused, or by nothing but the pool.
    NotEnforced,
    /// Nothing has to be refused here.
    NotApplicable(Exempt),
    /// It can't be told.
    Inconclusive(Doubt),
}

/// A verdict without its reasons, as in `hugetlb_probe_runs_total{verdict}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictKind {
    /// See [`Verdict::Enforced`].
    Enforced,
    /// See [`Verdict::NotEnforced`].
    NotEnforced,
    /// See [`Verdict::NotApplicable`].
    NotApplicable,
    /// See [`Verdict::Inconclusive`].
    Inconclusive,
}

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforcedBy {
    /// The fault limit (`hugetlb.*.max`, v1 `limit_in_bytes`).
    Limit,
    /// The reservation limit (`rsvd.max`), which is charged first, also by a touch that has no reservation.
    ReservationLimit,
    /// One of the two, somewhere above, where we can't look.
    Either,
}

/// Why nothing has to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exempt {
    /// The exporter does not run in a pod, and its own cgroup is not limited to nothing.
    NotInPod,
    /// The exporter's own pod was granted pages (a LimitRange's default).
    Granted,
    /// Gigantic pages, which a scratch cgroup does not take unless it is told to.
    #[cfg(feature = "scratch-probe")]
    Gigantic,
}

/// Why it can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It was refused, and no counter moved: there was no page to be had.
    Pool,
    /// It was not tried: it might have taken a page that somebody was promised.
    PoolTight,
    /// It was not tried: a limit of memory may have no room for it, and huge pages count as memory.
    MemoryTight,
    /// It was refused, and the counters that would tell by what are not to be seen from here.
    CountersUnseen,
    /// It was not refused, and the limit that should have refused it is not to be seen from here.
    LimitUnseen,
    /// It was refused, and without a hugetlb controller only the pool can have done it.
    NoController,
    /// The kernel's filter of system calls forbids it.
    Seccomp,
    /// The process that tried did not answer in time.
    Timeout,
    /// Something else, in words.
    Other(String),
}

impl Verdict {
    /// Without its reasons.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Enforced(_) => VerdictKind::Enforced,
            Self::NotEnforced => VerdictKind::NotEnforced,
            Self::NotApplicable(_) => VerdictKind::NotApplicable,
            Self::Inconclusive(_) => VerdictKind::Inconclusive,
        }
    }

    /// Whether the limit is enforced, where the check told.
    pub fn is_enforced(&self) -> Option<bool> {
        match self {
            Self::Enforced(_) => Some(true),
            Self::NotEnforced => Some(false),
            Self::NotApplicable(_) | Self::Inconclusive(_) => None,
        }
    }
}

impl Probes {
    /// Before the first probe.
    pub fn none_yet(target: Target, interval: Duration) -> Self {
        Self {
            target,
            interval,
            results: BTreeMap::new(),
            runs: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Takes in a check's verdict; says what the one before it was, if it was another.
    pub fn add(
        &mut self,
        page_size: PageSize,
        check: Check,
        verdict: Verdict,
    ) -> Option<Option<Verdict>> {
        let runs = self.runs.entry((page_size, check, verdict.kind())).or_default();
        *runs = runs.saturating_add(1);
        let before = self.results.remove(&(page_size, check));
        let same = before.as_ref().filter(|before| before.verdict == verdict);
        let in_a_row = same.map_or(1, |before| before.in_a_row.saturating_add(1));
        let changed = same.is_none();
        self.results.insert((page_size, check), Probed { verdict, in_a_row });
        changed.then(|| before.map(|before| before.verdict))
    }

    /// Whether a check was last refused by a limit, where it told.
    pub fn is_enforced(&self, page_size: PageSize, check: Check) -> Option<bool> {
        self.results.get(&(page_size, check))?.verdict.is_enforced()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "own",
            #[cfg(feature = "scratch-probe")]
            Self::Scratch => "scratch",
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fault => "fault",
            Self::Reserve => "reserve",
        })
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enforced => "enforced",
            Self::NotEnforced => "not_enforced",
            Self::NotApplicable => "not_applicable",
            Self::Inconclusive => "inconclusive",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforced(EnforcedBy::Limit) => f.write_str("enforced"),
            Self::Enforced(EnforcedBy::ReservationLimit) => {
                f.write_str("enforced, by the reservation limit")
            }
            Self::Enforced(EnforcedBy::Either) => {
                f.write_str("enforced, by a limit that can't be seen from here")
            }
            Self::NotEnforced => f.write_str("not enforced"),
            Self::NotApplicable(exempt) => write!(f, "not applicable: {exempt}"),
            Self::Inconclusive(doubt) => write!(f, "inconclusive: {doubt}"),
        }
    }
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInPod => {
                "the exporter is in no pod, and its own cgroup is not limited to nothing"
            }
            Self::Granted => "the exporter's own pod was granted pages",
            #[cfg(feature = "scratch-probe")]
            Self::Gigantic => {
                "gigantic pages are left alone unless --probe.scratch-gigantic is set"
            }
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pool => "refused without a counter that moved, so the pool had no page",
            Self::PoolTight => "not tried, since it might take a page that somebody was promised",
            Self::MemoryTight => {
                "not tried, since huge pages count as memory, the limit of memory has no room for one, and the touch would hang"
            }
            Self::CountersUnseen => {
                "refused, and the pod's counters that would tell by what are not seen: mount the host's /sys/fs/cgroup"
            }
            Self::LimitUnseen => {
                "not refused, and the pod's limit is not seen: mount the host's /sys/fs/cgroup"
            }
            Self::NoController => {
                "refused without a hugetlb controller, so the pool had no page"
            }
            Self::Seccomp => "the system-call filter (seccomp) forbids to map huge pages",
            Self::Timeout => "the process that tried did not answer in time",
            Self::Other(why) => why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::page_size;

    #[test]
    fn verdicts_are_counted_and_their_changes_told() {
        let mut probes = Probes::none_yet(Target::Own, Duration::from_secs(300));
        let mut add = |verdict: Verdict| {
            let change = probes.add(page_size(), Check::Fault, verdict);
            (change, probes.results[&(page_size(), Check::Fault)].in_a_row)
        };
        let pool = || Verdict::Inconclusive(Doubt::Pool);
        assert_eq!(add(Verdict::NotEnforced), (Some(None), 1));
        assert_eq!(add(Verdict::NotEnforced), (None, 2));
        assert_eq!(add(pool()), (Some(Some(Verdict::NotEnforced)), 1));
        assert_eq!(add(Verdict::NotEnforced), (Some(Some(pool())), 1));
        let count = |kind| probes.runs.get(&(page_size(), Check::Fault, kind)).copied();
        assert_eq!(count(VerdictKind::NotEnforced), Some(3));
        assert_eq!(count(VerdictKind::Inconclusive), Some(1));
        assert_eq!(count(VerdictKind::Enforced), None);
        assert_eq!(probes.is_enforced(page_size(), Check::Fault), Some(false));
        assert_eq!(probes.is_enforced(page_size(), Check::Reserve), None);
    }
}
