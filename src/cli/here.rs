//! What `try` and `fit` are held against: this process's own cgroup, and the node's pools.

use std::time::{Duration, SystemTime};

use anyhow::bail;

use super::flags::Flags;
use crate::config::{Config, in_kubernetes};
use crate::probe::Site;
use crate::snapshot::{LevelLimits, Pool, Reading, Snapshot, Source, Taken};
use crate::sources::{Aside, Reader};
use crate::units::PageSize;

/// Here and now.
pub(super) struct Here {
    snapshot: Snapshot,
    pub(super) site: Site,
}

impl Here {
    /// One look, without names.
    pub(super) fn look(flags: Flags) -> Self {
        let taken = Taken { wall: SystemTime::now(), since_start: Duration::ZERO };
        let snapshot = Reader::new(Config::from(flags).roots).read(taken, Aside::default());
        let site = Site::of(&snapshot, in_kubernetes());
        Self { snapshot, site }
    }

    /// The size that was asked for, or else the one that a mapping gets that names none.
    pub(super) fn page_size(&self, wanted: Option<PageSize>) -> anyhow::Result<PageSize> {
        match wanted.or(self.snapshot.memory.default_page_size.present()) {
            Some(page_size) => Ok(page_size),
            None if self.failed(Source::Meminfo) => {
                bail!("can't tell the size of this node's huge pages{}", self.because())
            }
            None => bail!("this node has no huge pages"),
        }
    }

    /// The pool of that page size.
    pub(super) fn pool(&self, page_size: PageSize) -> Reading<Pool> {
        match self.snapshot.pools.iter().find(|pool| pool.page_size == page_size) {
            Some(pool) => Reading::Present(pool.clone()),
            None if self.failed(Source::Pools) => Reading::Failed,
            None => Reading::Absent,
        }
    }

    /// What limits pages of that size, the own cgroup first; and whether these are all limits.
    pub(super) fn limits(&self, page_size: PageSize) -> (Vec<LevelLimits>, bool) {
        let limits = self.site.limits(page_size);
        // That none is seen says nothing where nobody could look.
        let blind = limits.is_empty() && self.failed(Source::Cgroups);
        (limits, self.site.sees_all_limits() && !blind)
    }

    /// What could not be looked at, to end a sentence with.
    pub(super) fn because(&self) -> String {
        // Names are not looked for here.
        let failures = self.snapshot.failures().filter(|(source, _)| *source != Source::PodLogs);
        failures.map(|(source, why)| format!("; {source}: {why}")).collect()
    }

    fn failed(&self, source: Source) -> bool {
        self.snapshot.failures().any(|(failed, _)| failed == source)
    }
}
