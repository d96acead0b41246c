//! The files of one cgroup for one page size. v1 and v2 differ only in them.

use std::path::Path;

use super::listing::SizeNames;
use crate::snapshot::{CgroupVersion, Failures, Hugetlb, Limit, NumaUsage, Problems, Reading};
use crate::sources::kernel_file::{Gone, Kept, KernelFiles};
use crate::sources::parse::{self, FileKind};
use crate::units::{Bytes, PageSize};

/// What is read again and again while huge pages are in use.
const OF_USE: [FileKind; 2] = [FileKind::Usage, FileKind::Reserved];

/// What somebody sets.
pub(super) const LIMITS: [FileKind; 2] = [FileKind::Limit, FileKind::ReservationLimit];

/// Where a cgroup's files of one size are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    pub(super) names: &'a SizeNames,
}

/// What reading takes: the means, and where to complain.
pub(super) struct Reads<'a> {
    pub(super) files: &'a mut KernelFiles,
    pub(super) problems: &'a mut Problems,
    /// Which poll it is.
    pub(super) number: u64,
    /// Whether anything was read that is not as it was.
    pub(super) changed: bool,
}

impl<'a> Reads<'a> {
    /// For the poll of that number, in which nothing was read yet.
    pub(super) fn new(files: &'a mut KernelFiles, problems: &'a mut Problems, number: u64) -> Self {
        Self { files, problems, number, changed: false }
    }
}

/// A cgroup's figures for one page size, as they were last read.
#[derive(Debug)]
pub(super) struct SizeFiles {
    facts: Hugetlb,
    /// Whether they changed since they were last shown.
    pub(super) changed: bool,
    /// Files that stay open.
    kept: Vec<(FileKind, Kept)>,
    /// Whether pages are mapped or touched, or that is not known: then it is read at every poll.
    pub(super) in_use: bool,
    /// In which poll that was last read, and whether pages were in use before.
    read_in: u64,
    was_in_use: bool,
    /// Whether a notification tells when a limit is set.
    pub(super) limits_watched: bool,
    /// v2: the count of refusals up to which the cgroups below were looked through.
    pub(super) followed: Option<u64>,
}

impl SizeFiles {
    /// Nothing was read yet.
    pub(super) fn new(page_size: PageSize, version: CgroupVersion) -> Self {
        let failures = match version {
            CgroupVersion::V2 => {
                Failures::V2 { hierarchical: Reading::Absent, local: Reading::Absent }
            }
            CgroupVersion::V1 => {
                Failures::V1 { faults: Reading::Absent, reservations: Reading::Absent }
            }
        };
        let facts = Hugetlb {
            page_size,
            usage: Reading::Absent,
            limit: Reading::Absent,
            reserved: Reading::Absent,
            reservation_limit: Reading::Absent,
            failures,
            max_usage: Reading::Absent,
            numa_usage: Reading::Absent,
        };
        Self {
            facts,
            changed: true,
            kept: Vec::new(),
            in_use: true,
            read_in: 0,
            was_in_use: false,
            limits_watched: false,
            followed: None,
        }
    }

    /// What was last read.
    pub(super) fn facts(&self) -> &Hugetlb {
        &self.facts
    }

    /// Whether a figure was there and could not be had: then it is tried again, and complained of, at every poll.
    pub(super) fn has_failed(&self) -> bool {
        let facts = &self.facts;
        let bytes = [&facts.usage, &facts.reserved, &facts.max_usage];
        let (Failures::V2 { hierarchical: first, local: second }
        | Failures::V1 { faults: first, reservations: second }) = facts.failures;
        bytes.contains(&&Reading::Failed)
            || [facts.limit, facts.reservation_limit].contains(&Reading::Failed)
            || [first, second].contains(&Reading::Failed)
            || facts.numa_usage == Reading::Failed
    }

    /// Whether nothing is mapped and nothing touched, for certain.
    fn is_unused(&self) -> bool {
        [self.facts.usage, self.facts.reserved].into_iter().all(|reading| match reading {
            Reading::Present(bytes) => bytes == Bytes::ZERO,
            Reading::Absent => true,
            Reading::Failed => false,
        })
    }

    /// v2: refusals here and below.
    pub(super) fn events(&self) -> Reading<u64> {
        match self.facts.failures {
            Failures::V2 { hierarchical, .. } => hierarchical,
            Failures::V1 { .. } => Reading::Absent,
        }
    }

    /// Lets go of those that were open because it was in use.
    pub(super) fn close_use(&mut self) {
        let of_use = [FileKind::Usage, FileKind::Reserved, FileKind::MaxUsage, FileKind::NumaStat];
        self.kept.retain(|(kind, _)| !of_use.contains(kind));
    }

    /// Whether pages are in use, or were until this poll: then some below may not be known yet to have fallen to zero.
    pub(super) fn is_or_was_in_use(&self, number: u64) -> bool {
        self.in_use || (self.read_in == number && self.was_in_use)
    }

    /// Whether what is in use was read in this poll.
    pub(super) fn is_read_in(&self, number: u64) -> bool {
        self.read_in == number
    }

    /// Reads what is in use, and if anything is or was until now, what goes with it.
    pub(super) fn read_use(
        &mut self,
        beside: &[FileKind],
        place: Place<'_>,
        reads: &mut Reads<'_>,
    ) -> Result<(), Gone> {
        self.was_in_use = self.is_or_was_in_use(reads.number);
        self.read_in = reads.number;
        self.read(&OF_USE, true, place, reads)?;
        self.in_use = !self.is_unused();
        // Of one that has stopped, once more.
        if self.is_or_was_in_use(reads.number) {
            self.read(beside, true, place, reads)?;
        }
        Ok(())
    }

    /// Reads some of its files, those that exist.
    pub(super) fn read(
        &mut self,
        kinds: &[FileKind],
        keep: bool,
        place: Place<'_>,
        reads: &mut Reads<'_>,
    ) -> Result<(), Gone> {
        for kind in kinds {
            if let Some(name) = place.names.of(*kind) {
                self.read_one(*kind, (place.directory, name), keep, reads)?;
            }
        }
        Ok(())
    }

    fn read_one(
        &mut self,
        kind: FileKind,
        (directory, name): (&Path, &str),
        keep: bool,
        reads: &mut Reads<'_>,
    ) -> Result<(), Gone> {
        const USAGE: &str = "bytes below 2^62";
        const LIMIT: &str = "`max` or bytes";
        const NUMA: &str = "`total=<bytes> N0=<bytes> ...`";
        const EVENTS: &str = "`max <number>`";
        let position = self.kept.iter().position(|(open, _)| *open == kind);
        let mut file = position.map(|position| self.kept.swap_remove(position).1);
        let how = (&mut file, keep);
        let path = || directory.join(name);
        let Reads { files, problems, .. } = reads;
        let changed = match kind {
            FileKind::Usage | FileKind::Reserved | FileKind::MaxUsage => {
                let bytes = files.read_listed(how, path, USAGE, parse::usage, problems)?;
                set(self.bytes(kind), bytes)
            }
            FileKind::Limit | FileKind::ReservationLimit => {
                let limit = files.read_listed(how, path, LIMIT, parse::limit, problems)?;
                set(self.limit(kind), limit)
            }
            FileKind::NumaStat => {
                let parts = files.read_listed(how, path, NUMA, parse::numa_stat, problems)?;
                set::<Reading<Vec<NumaUsage>>>(&mut self.facts.numa_usage, parts)
            }
            FileKind::Events | FileKind::EventsLocal => {
                let count = files.read_listed(how, path, EVENTS, parse::events, problems)?;
                set(self.count(kind), count)
            }
            FileKind::Failcnt | FileKind::ReservedFailcnt => {
                let count = files.read_listed(how, path, "a number", parse::number, problems)?;
                set(self.count(kind), count)
            }
        };
        self.changed |= changed;
        reads.changed |= changed;
        if let Some(file) = file {
            // Room for those that are kept and no others.
            self.kept.reserve_exact(1);
            self.kept.push((kind, file));
        }
        Ok(())
    }

    fn bytes(&mut self, kind: FileKind) -> &mut Reading<Bytes> {
        match kind {
            FileKind::Reserved => &mut self.facts.reserved,
            FileKind::MaxUsage => &mut self.facts.max_usage,
            _ => &mut self.facts.usage,
        }
    }

    fn limit(&mut self, kind: FileKind) -> &mut Reading<Limit> {
        match kind {
            FileKind::ReservationLimit => &mut self.facts.reservation_limit,
            _ => &mut self.facts.limit,
        }
    }

    fn count(&mut self, kind: FileKind) -> &mut Reading<u64> {
        let (Failures::V2 { hierarchical: first, local: second }
        | Failures::V1 { faults: first, reservations: second }) = &mut self.facts.failures;
        match kind {
            FileKind::EventsLocal | FileKind::ReservedFailcnt => second,
            _ => first,
        }
    }
}

/// Whether it was something else before.
fn set<T: PartialEq>(slot: &mut T, value: T) -> bool {
    let differs = *slot != value;
    if differs {
        *slot = value;
    }
    differs
}
