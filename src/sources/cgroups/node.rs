//! A cgroup that is known: where it is, whose, its files, what of it is watched.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::files::{LIMITS, Place, SizeFiles};
use super::id::Id;
use super::listing::{Child, SizeNames};
use super::watch::{Watch, Watched};
use crate::identity::Owner;
use crate::snapshot::{CgroupVersion, Hugetlb, Reading};
use crate::units::{NumaNode, PageSize};

/// A cgroup is looked at anew at twice its age each time and then every ten minutes: it was found a moment before its
/// limits are set. What stays unknown for so long is at most a limit that was set by hand where nothing is in use.
pub(super) const SOONEST: Duration = Duration::from_secs(1);
pub(super) const LATEST: Duration = Duration::from_secs(600);

/// A cgroup.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: Arc<str>,
    pub(super) name: OsString,
    pub(super) location: PathBuf,
    pub(super) inode: u64,
    pub(super) owner: Arc<Owner>,
    pub(super) parent: Option<Id>,
    /// By name.
    pub(super) children: Vec<Id>,
    /// Directories below that have no hugetlb files: nothing below them has.
    pub(super) bare: Vec<Child>,
    /// The names of its files, shared by all that have the same.
    pub(super) names: Arc<[SizeNames]>,
    /// Its files, in the order of their names.
    pub(super) sizes: Vec<SizeFiles>,
    pub(super) memory_nodes: Reading<Vec<NumaNode>>,
    /// Its figures as they were last shown.
    pub(super) shown: Option<Arc<[Hugetlb]>>,
    pub(super) watches: Watches,
    /// In which poll all of its files were last read; 0 before the first.
    pub(super) looked: u64,
    pub(super) found: Duration,
    pub(super) next_look: Duration,
    /// Whether what made the container is known from the kubelet alone.
    pub(super) told: bool,
}

/// What of a cgroup is watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) directory: Option<Watched>,
    pub(super) controllers: Option<Watched>,
    pub(super) events: Vec<Watched>,
    pub(super) limits: Vec<Watched>,
}

impl Node {
    /// One that was found just now; where it is and whose, the tree says.
    pub(super) fn new(version: CgroupVersion, names: Arc<[SizeNames]>, now: Duration) -> Self {
        let sizes = names.iter().map(|names| SizeFiles::new(names.page_size, version)).collect();
        Self {
            path: "".into(),
            name: OsString::new(),
            location: PathBuf::new(),
            inode: 0,
            owner: Arc::new(Owner::Service),
            parent: None,
            children: Vec::new(),
            bare: Vec::new(),
            names,
            sizes,
            memory_nodes: Reading::Absent,
            shown: None,
            watches: Watches::default(),
            looked: 0,
            found: now,
            next_look: now,
            told: false,
        }
    }

    /// Its files are others than before; what was watched of those is to be ended.
    pub(super) fn rename_files(
        &mut self,
        names: Vec<SizeNames>,
        version: CgroupVersion,
    ) -> impl Iterator<Item = Watched> + use<> {
        self.sizes = names.iter().map(|names| SizeFiles::new(names.page_size, version)).collect();
        self.names = names.into();
        self.shown = None;
        self.looked = 0;
        let Watches { events, limits, .. } = &mut self.watches;
        std::mem::take(events).into_iter().chain(std::mem::take(limits))
    }

    /// Whether its limits were set long ago.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.found) >= LATEST
    }

    /// Whether a listing of its parent shows it.
    pub(super) fn is_among(&self, listed: &[Child]) -> bool {
        let place = listed.binary_search_by(|child| child.name.cmp(&self.name));
        place
            .ok()
            .and_then(|place| listed.get(place))
            .is_some_and(|child| child.inode == self.inode)
    }

    /// Its files of one size, by their place among its sizes.
    pub(super) fn size(&mut self, index: usize) -> Option<(Place<'_>, &mut SizeFiles)> {
        let place = Place { directory: &self.location, names: self.names.get(index)? };
        Some((place, self.sizes.get_mut(index)?))
    }

    /// The same by the page size.
    pub(super) fn size_of(&mut self, page_size: PageSize) -> Option<(Place<'_>, &mut SizeFiles)> {
        self.size(self.index_of(page_size)?)
    }

    /// Watches the limits of one size, unless they are, or it can't be done.
    pub(super) fn watch_limits(&mut self, id: Id, index: usize, watch: Option<&mut Watch>) {
        let Self { location, names, sizes, watches, .. } = self;
        let (Some(names), Some(size), Some(watch)) =
            (names.get(index), sizes.get_mut(index), watch)
        else {
            return;
        };
        if size.limits_watched {
            return;
        }
        let files = LIMITS.iter().filter_map(|kind| names.of(*kind));
        size.limits_watched = files.fold(true, |all, name| {
            let watched = watch.limit(&location.join(name), id, index);
            watches.limits.extend(watched);
            all && watched.is_some()
        });
    }

    /// Where a size stands among its own.
    pub(super) fn index_of(&self, page_size: PageSize) -> Option<usize> {
        self.names.iter().position(|names| names.page_size == page_size)
    }

    /// What was last read of a size.
    pub(super) fn of_size(&self, page_size: PageSize) -> Option<&SizeFiles> {
        self.sizes.get(self.index_of(page_size)?)
    }

    /// Whether any figure changed since they were last shown.
    pub(super) fn has_changed(&self) -> bool {
        self.shown.is_none() || self.sizes.iter().any(|size| size.changed)
    }

    /// Its figures, shared while they stay the same.
    pub(super) fn show(&mut self) -> Arc<[Hugetlb]> {
        if let Some(shown) = self.shown.as_ref().filter(|_| !self.has_changed()) {
            return Arc::clone(shown);
        }
        self.sizes.iter_mut().for_each(|size| size.changed = false);
        let figures: Arc<[Hugetlb]> = self.sizes.iter().map(|size| size.facts().clone()).collect();
        self.shown = Some(Arc::clone(&figures));
        figures
    }
}

impl Watches {
    /// All of them, to be ended.
    pub(super) fn into_all(self) -> impl Iterator<Item = Watched> {
        let Self { directory, controllers, events, limits } = self;
        directory.into_iter().chain(controllers).chain(events).chain(limits)
    }
}
