//! The counters that tell a refusal by a limit from one by the pool.
//!
//! ```text
//! v2  hugetlb.2MB.events.local    max 7     faults and reservations, at the process's own cgroup
//! v1  hugetlb.2MB.failcnt         7         faults, at the cgroup whose limit it was
//! v1  hugetlb.2MB.rsvd.failcnt    7         reservations, and faults that a reservation limit refused
//! ```
//! A refusal by the pool is counted nowhere (mm/hugetlb.c, mm/hugetlb_cgroup.c).

use std::fs;
use std::path::PathBuf;

use super::site::Site;
use crate::snapshot::CgroupVersion;
use crate::units::PageSize;

/// The counters of one page size.
#[derive(Debug)]
pub(super) struct Counters {
    files: Vec<(Counted, PathBuf)>,
    /// Whether a refusal by any limit is counted in one of them.
    complete: bool,
    before: Vec<Option<u64>>,
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Faults,
    Reservations,
    Both,
}

/// What moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// A counter of faults.
    Faults,
    /// A counter of reservations.
    Reservations,
    /// A counter of both.
    Either,
    /// None, and one would have.
    Nothing,
    /// None of those that are seen.
    Unseen,
    /// There are none, for there is no controller.
    NoController,
}

impl Counters {
    /// Reads the counters as they are before something is tried; none where there is no controller.
    pub(super) fn before(site: &Site, page_size: PageSize) -> Option<Self> {
        let (version, directories, complete) = site.counted_in()?;
        Some(Self::read(version, &directories, complete, page_size))
    }

    /// The same of those cgroups, which are all that may refuse or not.
    pub(super) fn read(
        version: CgroupVersion,
        directories: &[PathBuf],
        complete: bool,
        page_size: PageSize,
    ) -> Self {
        let kinds: &[(Counted, &str)] = match version {
            CgroupVersion::V2 => &[(Counted::Both, "events.local")],
            CgroupVersion::V1 => {
                &[(Counted::Faults, "failcnt"), (Counted::Reservations, "rsvd.failcnt")]
            }
        };
        let name = |file: &str| format!("hugetlb.{}.{file}", page_size.cgroup_name());
        let files = directories.iter().flat_map(|directory| {
            kinds.iter().map(move |(counted, file)| (*counted, directory.join(name(file))))
        });
        let files: Vec<_> = files.collect();
        let before = read(&files);
        // Kernels before 5.7 have no counter of reservations, and none is missed.
        let missed = files
            .iter()
            .zip(&before)
            .any(|((counted, _), value)| value.is_none() && *counted != Counted::Reservations);
        Self { complete: complete && !missed, files, before }
    }

    /// What has moved since.
    pub(super) fn moved(&self) -> Moved {
        let after = read(&self.files);
        let moved: Vec<Counted> = self
            .files
            .iter()
            .zip(self.before.iter().zip(after))
            .filter(|(_, (before, after))| before.is_some() && after.is_some() && *before != after)
            .map(|((counted, _), _)| *counted)
            .collect();
        if moved.contains(&Counted::Both) {
            Moved::Either
        } else if moved.contains(&Counted::Faults) {
            Moved::Faults
        } else if moved.contains(&Counted::Reservations) {
            Moved::Reservations
        } else if self.complete {
            Moved::Nothing
        } else {
            Moved::Unseen
        }
    }
}

/// `max 7` or `7`; nothing where it can't be read or understood.
fn read(files: &[(Counted, PathBuf)]) -> Vec<Option<u64>> {
    let number = |path: &PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        text.split_ascii_whitespace().next_back()?.parse().ok()
    };
    files.iter().map(|(_, path)| number(path)).collect()
}
