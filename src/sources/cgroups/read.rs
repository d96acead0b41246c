//! Reading the files of a cgroup. v1 and v2 differ only in them.

use std::path::Path;

use super::list::SizeNames;
use super::poll::Poll;
use super::tree::Id;
use super::turns::{self, Turns};
use crate::snapshot::{CgroupVersion, Failures, Hugetlb, Limit, Problems, Reading};
use crate::sources::kernel_file::{Directory, Gone, KernelFiles};
use crate::sources::parse::{self, FileKind, Format};
use crate::units::PageSize;

/// What changes without notification.
const USE: [FileKind; 2] = [FileKind::Usage, FileKind::Reserved];

/// What somebody sets.
const LIMITS: [FileKind; 2] = [FileKind::Limit, FileKind::ReservationLimit];

/// The counters of refusals, of both versions.
const COUNTERS: [FileKind; 4] =
    [FileKind::Events, FileKind::EventsLocal, FileKind::Failcnt, FileKind::ReservedFailcnt];

/// Nothing was read yet.
pub(super) fn no_figures(page_size: PageSize, version: CgroupVersion) -> Hugetlb {
    const NONE: Reading<u64> = Reading::Absent;
    Hugetlb {
        page_size,
        usage: Reading::Absent,
        limit: Reading::Absent,
        reserved: Reading::Absent,
        reservation_limit: Reading::Absent,
        failures: match version {
            CgroupVersion::V2 => Failures::V2 { hierarchical: NONE, local: NONE },
            CgroupVersion::V1 => Failures::V1 { faults: NONE, reservations: NONE },
        },
        max_usage: Reading::Absent,
        numa_usage: Reading::Absent,
    }
}

impl Poll<'_> {
    /// Reads a cgroup whole: all its files, of all page sizes.
    pub(super) fn read_whole(&mut self, id: Id) {
        if self.tree.is_new(id, self.now) {
            self.tree.must_read(id);
        }
        for size in self.tree.sizes(id) {
            self.read_use(id, size);
            self.read(id, size, &[self.beside_use(), &LIMITS, &COUNTERS].concat());
        }
        self.read_populated(id);
    }

    /// Reads what may have changed of an idle cgroup though nothing tells: its limits, and what v1 remembers.
    pub(super) fn read_those_in_turn(&mut self, turns: Turns) {
        let ids = self.tree.nodes().map(|(id, _)| id);
        let in_turn: Vec<Id> = ids.filter(|id| turns.has_come(*id, turns::LIMITS)).collect();
        let kinds = [&LIMITS, self.beside_use()].concat();
        for id in in_turn {
            for size in self.tree.sizes(id) {
                self.read(id, size, &kinds);
            }
            self.read_populated(id);
            if self.tree.left_out.contains_key(&id) {
                self.tree.unlisted.insert(id);
            }
        }
    }

    /// Reads usage and reservation of one size; whether they are above zero. Then it is in use, and its limits are
    /// watched.
    pub(super) fn read_use(&mut self, id: Id, size: PageSize) -> bool {
        self.read(id, size, &USE);
        if !self.tree.figures(id, size).is_some_and(Hugetlb::is_in_use) {
            return false;
        }
        self.tree.mark_in_use(id, size);
        if self.watch_limits(id, size) {
            // What was set before that was not notified.
            self.read(id, size, &LIMITS);
        }
        true
    }

    /// Watches the limits of one size where that is not done yet; whether it was tried.
    fn watch_limits(&mut self, id: Id, size: PageSize) -> bool {
        let Self { tree, watch: Some(watch), .. } = self else { return false };
        let state = tree.node_mut(id).and_then(|node| node.size(size));
        if state.is_none_or(|(_, state)| state.limits_watched) {
            return false;
        }
        let directory = tree.directory(id);
        let state = tree.node_mut(id).and_then(|node| node.size(size));
        let Some((names, state)) = state else { return false };
        let names = LIMITS.iter().filter_map(|kind| names.of(*kind));
        let mut names = names.map(|name| directory.join(name));
        state.limits_watched = names.all(|file| watch.file(&file, id));
        true
    }

    /// What is read along with usage: v1 remembers the most that was used even if it is over by now.
    pub(super) fn beside_use(&self) -> &'static [FileKind] {
        match (self.tree.hierarchy.version, self.has_numa_nodes()) {
            (CgroupVersion::V2, false) => &[],
            (CgroupVersion::V2, true) => &[FileKind::NumaStat],
            (CgroupVersion::V1, false) => &[FileKind::MaxUsage],
            (CgroupVersion::V1, true) => &[FileKind::MaxUsage, FileKind::NumaStat],
        }
    }

    /// v1 notifies of no refusal: the counters are read wherever a limit may have refused something, and where one
    /// moved the peak, which tells whether the limit was reached. Of those that hold nothing and were granted nothing (on
    /// most nodes nearly all pods) in their turn.
    pub(super) fn read_failcnts(&mut self, turns: Turns) {
        let nodes = self.tree.nodes();
        let figures =
            nodes.flat_map(|(id, node)| node.facts.hugetlb.iter().map(move |it| (id, it)));
        let due = figures.filter_map(|(id, figures)| {
            let is_due = figures.is_in_use()
                || figures.limit.is_grant()
                || figures.reservation_limit.is_grant()
                || turns.has_come(id, turns::COUNTERS);
            let counters = self.may_have_refused(figures);
            (is_due && !counters.is_empty()).then_some((
                id,
                figures.page_size,
                counters,
                figures.failures,
            ))
        });
        for (id, size, counters, before) in due.collect::<Vec<_>>() {
            self.read(id, size, counters);
            if self.tree.figures(id, size).is_some_and(|figures| figures.failures != before) {
                self.read(id, size, &[FileKind::MaxUsage]);
            }
        }
    }

    /// The counters whose limit is not known to be infinite. Not of sizes that nobody can have a page of (on most nodes all
    /// but one): every pod has a limit for them, and what it refuses there the pool would.
    fn may_have_refused(&self, figures: &Hugetlb) -> &'static [FileKind] {
        const UNLIMITED: [Reading<Limit>; 2] =
            [Reading::Absent, Reading::Present(Limit::Unlimited)];
        let [fault, reservation] =
            [figures.limit, figures.reservation_limit].map(|limit| !UNLIMITED.contains(&limit));
        match (fault, reservation) {
            _ if !self.can_be_had(figures.page_size) => &[],
            (true, true) => &[FileKind::Failcnt, FileKind::ReservedFailcnt],
            (true, false) => &[FileKind::Failcnt],
            (false, true) => &[FileKind::ReservedFailcnt],
            (false, false) => &[],
        }
    }

    /// Reads some files of one size, those of them that exist. Where a figure could not be read, all is tried again at the
    /// next poll; where the cgroup is gone it is forgotten.
    pub(super) fn read(&mut self, id: Id, size: PageSize, kinds: &[FileKind]) {
        let Some(node) = self.tree.node(id) else { return };
        let names = node.names.iter().find(|names| names.page_size == size);
        let Some((names, before)) = names.zip(node.facts.of_size(size)) else { return };
        let mut figures = before.clone();
        match self.files.read_figures(&mut figures, kinds, (node.below_root(), names)) {
            Ok(()) => self.tree.set_figures(id, &figures),
            Err(Gone) => self.forget(id),
        }
    }
}

/// What files are read with.
pub(super) struct Files<'a> {
    /// The hierarchy's root, open.
    pub(super) root: Directory,
    pub(super) files: &'a mut KernelFiles,
    pub(super) problems: &'a mut Problems,
}

impl Files<'_> {
    /// Reads a file that was listed in the directory at that path below the root.
    pub(super) fn read<T>(
        &mut self,
        at: &Path,
        name: &str,
        of: Format<T>,
    ) -> Result<Reading<T>, Gone> {
        self.files.listed((&self.root, at, name), of, self.problems)
    }

    /// Reads some figures of one page size: those that there are files of.
    pub(super) fn read_figures(
        &mut self,
        of: &mut Hugetlb,
        kinds: &[FileKind],
        (at, names): (&Path, &SizeNames),
    ) -> Result<(), Gone> {
        use parse::{BYTES, EVENTS, LIMIT, NUMA_STAT, NUMBER};
        let (Failures::V2 { hierarchical: first, local: second }
        | Failures::V1 { faults: first, reservations: second }) = &mut of.failures;
        for (kind, name) in kinds.iter().filter_map(|kind| Some((*kind, names.of(*kind)?))) {
            match kind {
                FileKind::Usage => of.usage = self.read(at, name, BYTES)?,
                FileKind::Reserved => of.reserved = self.read(at, name, BYTES)?,
                FileKind::MaxUsage => of.max_usage = self.read(at, name, BYTES)?,
                FileKind::Limit => of.limit = self.read(at, name, LIMIT)?,
                FileKind::ReservationLimit => of.reservation_limit = self.read(at, name, LIMIT)?,
                FileKind::NumaStat => of.numa_usage = self.read(at, name, NUMA_STAT)?,
                FileKind::Events => *first = self.read(at, name, EVENTS)?,
                FileKind::EventsLocal => *second = self.read(at, name, EVENTS)?,
                FileKind::Failcnt => *first = self.read(at, name, NUMBER)?,
                FileKind::ReservedFailcnt => *second = self.read(at, name, NUMBER)?,
            }
        }
        Ok(())
    }
}
