//! What `try` and `fit` are held against: this process's own cgroup, and the node's pools.

use std::time::{Duration, SystemTime};

use super::flags::Flags;
use crate::config::{Config, in_kubernetes};
use crate::probe::Site;
use crate::snapshot::{Pool, Snapshot, Taken};
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

    /// The size that a mapping gets that names none.
    pub(super) fn default_page_size(&self) -> Option<PageSize> {
        self.snapshot.memory.default_page_size.present()
    }

    /// The pool of that page size.
    pub(super) fn pool(&self, page_size: PageSize) -> Option<&Pool> {
        self.snapshot.pools.iter().find(|pool| pool.page_size == page_size)
    }
}
