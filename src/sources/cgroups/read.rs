//! Reading the files of a cgroup. v1 and v2 differ only in them.

use std::sync::Arc;

use super::round::Round;
use super::tree::Id;
use super::watch::Watch;
use crate::snapshot::{CgroupVersion, Failures, Hugetlb, Limit, Reading};
use crate::sources::kernel_file::{Directory, Gone, Listed};
use crate::sources::parse::{self, FileKind};
use crate::units::{Bytes, PageSize};

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

impl Round<'_> {
    /// Reads a cgroup whole: all its files, of all page sizes.
    pub(super) fn read_whole(&mut self, id: Id) {
        let (directory, sizes) = (Directory::open(&self.tree.directory(id)), self.sizes(id));
        if self.tree.is_new(id, self.now) {
            self.tree.must_read(id);
        }
        if (0..sizes).try_for_each(|index| self.read_size(id, index, &directory)).is_err() {
            self.forget(id);
            return;
        }
        self.read_populated(id, &directory);
    }

    /// Reads what may have changed of an idle cgroup though nothing tells: its limits, and what v1 remembers.
    pub(super) fn read_in_turn(&mut self, id: Id, root: &Directory) {
        let (directory, sizes) = (root.below(self.tree.below_root(id)), self.sizes(id));
        let kinds = [&LIMITS, self.beside_use()].concat();
        if (0..sizes).try_for_each(|index| self.read(id, index, &kinds, &directory)).is_err() {
            self.forget(id);
            return;
        }
        self.read_populated(id, &directory);
        if self.tree.left_out.contains_key(&id) {
            self.tree.unlisted.insert(id);
        }
    }

    fn sizes(&self, id: Id) -> usize {
        self.tree.node(id).map_or(0, |node| node.sizes.len())
    }

    fn read_size(&mut self, id: Id, index: usize, at: &Directory) -> Result<(), Gone> {
        self.read_use(id, index, at)?;
        for kinds in [self.beside_use(), &LIMITS, &COUNTERS] {
            self.read(id, index, kinds, at)?;
        }
        let Some(node) = self.tree.node_mut(id) else { return Ok(()) };
        let refused = node.facts.hugetlb.get(index).and_then(|it| it.failures.total().present());
        if let Some(size) = node.sizes.get_mut(index) {
            // What is found below later was counted by then or comes on top.
            size.followed = size.followed.or(refused);
        }
        Ok(())
    }

    /// Reads usage and reservation of one size; whether they are above zero. Then it is in use, and its limits are
    /// followed.
    pub(super) fn read_use(&mut self, id: Id, index: usize, at: &Directory) -> Result<bool, Gone> {
        self.read(id, index, &USE, at)?;
        let Some(node) = self.tree.node(id) else { return Ok(false) };
        let Some(used) = node.facts.hugetlb.get(index).filter(|it| is_used(it)) else {
            return Ok(false);
        };
        let is_watched = node.sizes.get(index).is_none_or(|size| size.limits_watched);
        self.tree.must_reach(id, used.page_size);
        if !is_watched && self.watch.is_some() {
            self.watch_limits(id, index);
            // What was set before that was not notified.
            self.read(id, index, &LIMITS, at)?;
        }
        Ok(true)
    }

    fn watch_limits(&mut self, id: Id, index: usize) {
        let Some(node) = self.tree.node(id) else { return };
        let Some(names) = node.names.get(index) else { return };
        let names = LIMITS.iter().filter_map(|kind| names.of(*kind));
        let directory = self.tree.directory(id);
        let files: Vec<_> = names.map(|name| directory.join(name)).collect();
        let watched: Vec<_> = files.iter().map(|it| self.watch(id, it, Watch::file)).collect();
        if let Some(size) = self.tree.node_mut(id).and_then(|node| node.sizes.get_mut(index)) {
            size.limits_watched = !watched.contains(&false);
        }
    }

    /// What is read along with usage: v1 remembers the most that was used even if it is over by now.
    pub(super) fn beside_use(&self) -> &'static [FileKind] {
        match (self.tree.version, self.numa()) {
            (CgroupVersion::V2, false) => &[],
            (CgroupVersion::V2, true) => &[FileKind::NumaStat],
            (CgroupVersion::V1, false) => &[FileKind::MaxUsage],
            (CgroupVersion::V1, true) => &[FileKind::MaxUsage, FileKind::NumaStat],
        }
    }

    /// v1 notifies of no refusal: the counters are read wherever a limit may have refused something. Not for sizes that
    /// nobody can have a page of (on most nodes all but one): every pod has a limit for them, and what it refuses there
    /// the pool would.
    pub(super) fn read_failcnts(&mut self) {
        let root = self.root();
        for id in self.tree.ids() {
            let Some(node) = self.tree.node(id) else { continue };
            let figures = node.facts.hugetlb.iter();
            let counters: Vec<_> = figures.map(|it| self.may_have_refused(it)).collect();
            if counters.iter().all(|kinds| kinds.is_empty()) {
                continue;
            }
            let at = root.below(self.tree.below_root(id));
            let mut counters = counters.iter().enumerate();
            if counters
                .try_for_each(|(index, kinds)| self.read_failcnt(id, index, kinds, &at))
                .is_err()
            {
                self.forget(id);
            }
        }
    }

    /// Reads counters of one size, and if one moved the peak, which tells whether the limit was reached.
    fn read_failcnt(
        &mut self,
        id: Id,
        index: usize,
        kinds: &[FileKind],
        at: &Directory,
    ) -> Result<(), Gone> {
        let counted = |round: &Self| {
            let figures = round.tree.node(id).and_then(|node| node.facts.hugetlb.get(index));
            figures.map(|figures| figures.failures)
        };
        let before = counted(self);
        self.read(id, index, kinds, at)?;
        if counted(self) != before {
            self.read(id, index, &[FileKind::MaxUsage], at)?;
        }
        Ok(())
    }

    /// The counters whose limit is not known to be infinite, of a size that somebody may have a page of.
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

    /// Reads some files of one size, those of them that exist. Where a figure could not be had, all is tried again at the
    /// next poll.
    pub(super) fn read(
        &mut self,
        id: Id,
        index: usize,
        kinds: &[FileKind],
        directory: &Directory,
    ) -> Result<(), Gone> {
        let Some(node) = self.tree.node(id) else { return Ok(()) };
        let names = Arc::clone(&node.names);
        let (Some(names), Some(before)) = (names.get(index), node.facts.hugetlb.get(index)) else {
            return Ok(());
        };
        let mut figures = before.clone();
        for kind in kinds {
            if let Some(name) = names.of(*kind) {
                self.read_file(&mut figures, *kind, (directory, name))?;
            }
        }
        if has_failed(&figures) {
            self.tree.must_read(id);
        }
        self.tree.set_figures(id, index, figures);
        Ok(())
    }

    pub(super) fn read_file(
        &mut self,
        of: &mut Hugetlb,
        kind: FileKind,
        at: Listed<'_>,
    ) -> Result<(), Gone> {
        const USAGE: &str = "bytes below 2^62";
        const LIMIT: &str = "`max` or bytes";
        const NUMA: &str = "`total=<bytes> N0=<bytes> ...`";
        const EVENTS: &str = "`max <number>`";
        const NUMBER: &str = "a number";
        let Self { files, problems, .. } = self;
        let (Failures::V2 { hierarchical: first, local: second }
        | Failures::V1 { faults: first, reservations: second }) = &mut of.failures;
        match kind {
            FileKind::Usage => of.usage = files.listed(at, USAGE, parse::usage, problems)?,
            FileKind::Reserved => of.reserved = files.listed(at, USAGE, parse::usage, problems)?,
            FileKind::MaxUsage => of.max_usage = files.listed(at, USAGE, parse::usage, problems)?,
            FileKind::Limit => of.limit = files.listed(at, LIMIT, parse::limit, problems)?,
            FileKind::ReservationLimit => {
                of.reservation_limit = files.listed(at, LIMIT, parse::limit, problems)?;
            }
            FileKind::NumaStat => {
                of.numa_usage = files.listed(at, NUMA, parse::numa_stat, problems)?;
            }
            FileKind::Events => *first = files.listed(at, EVENTS, parse::events, problems)?,
            FileKind::EventsLocal => *second = files.listed(at, EVENTS, parse::events, problems)?,
            FileKind::Failcnt => *first = files.listed(at, NUMBER, parse::number, problems)?,
            FileKind::ReservedFailcnt => {
                *second = files.listed(at, NUMBER, parse::number, problems)?;
            }
        }
        Ok(())
    }
}

/// Whether pages are mapped or touched, or that is not known.
pub(super) fn is_used(figures: &Hugetlb) -> bool {
    let none = [Reading::Present(Bytes::ZERO), Reading::Absent];
    !(none.contains(&figures.usage) && none.contains(&figures.reserved))
}

/// Whether it may use pages, and not all that there are.
pub(super) fn is_granted(figures: &Hugetlb) -> bool {
    matches!(figures.limit, Reading::Present(Limit::At(limit)) if limit > Bytes::ZERO)
}

/// Whether a figure was there and could not be had.
fn has_failed(figures: &Hugetlb) -> bool {
    let (Failures::V2 { hierarchical: first, local: second }
    | Failures::V1 { faults: first, reservations: second }) = figures.failures;
    [figures.usage, figures.reserved, figures.max_usage].contains(&Reading::Failed)
        || [figures.limit, figures.reservation_limit].contains(&Reading::Failed)
        || [first, second].contains(&Reading::Failed)
        || figures.numa_usage == Reading::Failed
}
