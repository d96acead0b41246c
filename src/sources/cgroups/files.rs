//! The files of one cgroup. v1 and v2 differ only in them.

use std::path::Path;

use super::tree::Directory;
use crate::snapshot::{CgroupVersion, Failures, Hugetlb, Problems, Reading};
use crate::sources::kernel_file::{Gone, KernelFiles};
use crate::sources::parse::{self, FileKind};
use crate::units::PageSize;

/// A cgroup's state for each page size it has files for, smallest first.
pub(super) fn read(
    directory: &Directory,
    version: CgroupVersion,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> Result<Vec<Hugetlb>, Gone> {
    let mut states: Vec<State> = Vec::new();
    for (page_size, kind, name) in &directory.files {
        if states.last().is_none_or(|last| last.hugetlb.page_size != *page_size) {
            states.push(State::new(*page_size));
        }
        if let Some(state) = states.last_mut() {
            state.read_file(*kind, &directory.location.join(name), files, problems)?;
        }
    }
    Ok(states.into_iter().map(|state| state.finish(version)).collect())
}

/// What was read so far of one page size.
struct State {
    hugetlb: Hugetlb,
    events: Reading<u64>,
    events_local: Reading<u64>,
    failcnt: Reading<u64>,
    reserved_failcnt: Reading<u64>,
}

impl State {
    fn new(page_size: PageSize) -> Self {
        let hugetlb = Hugetlb {
            page_size,
            usage: Reading::Absent,
            limit: Reading::Absent,
            reserved: Reading::Absent,
            reservation_limit: Reading::Absent,
            failures: Failures::V2 { hierarchical: Reading::Absent, local: Reading::Absent },
            max_usage: Reading::Absent,
            numa_usage: Reading::Absent,
        };
        Self {
            hugetlb,
            events: Reading::Absent,
            events_local: Reading::Absent,
            failcnt: Reading::Absent,
            reserved_failcnt: Reading::Absent,
        }
    }

    fn read_file(
        &mut self,
        kind: FileKind,
        path: &Path,
        files: &mut KernelFiles,
        problems: &mut Problems,
    ) -> Result<(), Gone> {
        const USAGE: &str = "bytes below 2^62";
        const LIMIT: &str = "`max` or bytes";
        const NUMA: &str = "`total=<bytes> N0=<bytes> ...`";
        let hugetlb = &mut self.hugetlb;
        match kind {
            FileKind::Usage => {
                hugetlb.usage = files.read_listed(path, USAGE, parse::usage, problems)?;
            }
            FileKind::Reserved => {
                hugetlb.reserved = files.read_listed(path, USAGE, parse::usage, problems)?;
            }
            FileKind::MaxUsage => {
                hugetlb.max_usage = files.read_listed(path, USAGE, parse::usage, problems)?;
            }
            FileKind::Limit => {
                hugetlb.limit = files.read_listed(path, LIMIT, parse::limit, problems)?;
            }
            FileKind::ReservationLimit => {
                hugetlb.reservation_limit =
                    files.read_listed(path, LIMIT, parse::limit, problems)?;
            }
            FileKind::NumaStat => {
                hugetlb.numa_usage = files.read_listed(path, NUMA, parse::numa_stat, problems)?;
            }
            FileKind::Events => {
                self.events = files.read_listed(path, "`max <number>`", parse::events, problems)?;
            }
            FileKind::EventsLocal => {
                self.events_local =
                    files.read_listed(path, "`max <number>`", parse::events, problems)?;
            }
            FileKind::Failcnt => {
                self.failcnt = files.read_listed(path, "a number", parse::number, problems)?;
            }
            FileKind::ReservedFailcnt => {
                self.reserved_failcnt =
                    files.read_listed(path, "a number", parse::number, problems)?;
            }
        }
        Ok(())
    }

    fn finish(self, version: CgroupVersion) -> Hugetlb {
        let failures = match version {
            CgroupVersion::V2 => {
                Failures::V2 { hierarchical: self.events, local: self.events_local }
            }
            CgroupVersion::V1 => {
                Failures::V1 { faults: self.failcnt, reservations: self.reserved_failcnt }
            }
        };
        Hugetlb { failures, ..self.hugetlb }
    }
}
