//! A cgroup that is known: where it is, whose, its files, what of it is watched.

use std::ffi::OsStr;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::files::{LIMITS, Place, SizeFiles};
use super::id::Id;
use super::listing::{Child, SizeNames};
use super::watch::{Watch, Watched};
use crate::identity::Owner;
use crate::snapshot::{Cgroup, CgroupVersion, Hugetlb, Reading};
use crate::units::{NumaNode, PageSize};

/// A cgroup is looked at anew at twice its age each time and then every ten minutes: it was found a moment before its
/// limits are set. What stays unknown for so long is at most a limit that was set by hand where nothing is in use.
pub(super) const SOONEST: Duration = Duration::from_secs(1);
pub(super) const LATEST: Duration = Duration::from_secs(600);

/// So often all of it is seen, whatever was told of it and what was not.
const WHOLE: Duration = Duration::from_secs(3600);

/// A cgroup.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: Arc<str>,
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
    /// Whether anything but its figures changed since it was last shown.
    pub(super) changed: bool,
    /// Its figures as they were last shown, and in which showing it last was another than before.
    shown: Arc<[Hugetlb]>,
    changed_in: u64,
    pub(super) watches: Watches,
    /// In which poll all of its files were last read; 0 before the first.
    pub(super) looked: u64,
    pub(super) found: Duration,
    pub(super) next_look: Duration,
    /// When all of it was last seen.
    whole: Duration,
    /// Whether what made the container is known from the kubelet alone.
    pub(super) told: bool,
}

/// A cgroup as it is found.
pub(super) struct Found {
    pub(super) path: Arc<str>,
    pub(super) location: PathBuf,
    pub(super) inode: u64,
    pub(super) parent: Option<Id>,
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
    /// One that was found just now.
    pub(super) fn new(
        found: Found,
        version: CgroupVersion,
        names: Arc<[SizeNames]>,
        now: Duration,
    ) -> Self {
        let sizes = names.iter().map(|names| SizeFiles::new(names.page_size, version)).collect();
        let Found { path, location, inode, parent } = found;
        Self {
            owner: Arc::new(Owner::of(&path)),
            path,
            location,
            inode,
            parent,
            children: Vec::new(),
            bare: Vec::new(),
            names,
            sizes,
            memory_nodes: Reading::Absent,
            changed: true,
            shown: Arc::default(),
            changed_in: 0,
            watches: Watches::default(),
            looked: 0,
            found: now,
            next_look: now,
            whole: now,
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
        self.changed = true;
        self.looked = 0;
        let Watches { events, limits, .. } = &mut self.watches;
        std::mem::take(events).into_iter().chain(std::mem::take(limits))
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> &OsStr {
        self.location.file_name().unwrap_or_default()
    }

    /// Whether it is time to see all of it again; then that is done now.
    pub(super) fn take_whole(&mut self, now: Duration) -> bool {
        let is_time = now.saturating_sub(self.whole) >= WHOLE;
        if is_time {
            self.whole = now;
        }
        is_time
    }

    /// Whether a listing of its parent shows it.
    pub(super) fn is_among(&self, listed: &[Child]) -> bool {
        let place = listed.binary_search_by(|child| (*child.name).cmp(self.name()));
        place
            .ok()
            .and_then(|place| listed.get(place))
            .is_some_and(|child| child.inode == self.inode)
    }

    /// Whether a figure was there and could not be had.
    pub(super) fn has_failed(&self) -> bool {
        self.sizes.iter().any(SizeFiles::has_failed)
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
            // The second time it is the same one.
            watches.limits.extend(watched.filter(|watched| !watches.limits.contains(watched)));
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

    /// Brings what was shown of it in the showing before the last up to date, whose number comes first; then that of the
    /// one which is being made. Its figures are shared by both while they stay the same.
    pub(super) fn show(&mut self, cgroup: &mut Cgroup, (before, number): (u64, u64)) {
        let figures_changed =
            self.sizes.iter_mut().fold(false, |any, size| mem::take(&mut size.changed) | any);
        let changed = mem::take(&mut self.changed) | figures_changed;
        if changed {
            self.changed_in = number;
        }
        if self.changed_in <= before {
            return;
        }
        cgroup.memory_nodes.clone_from(&self.memory_nodes);
        if !Arc::ptr_eq(&cgroup.owner, &self.owner) {
            cgroup.owner = Arc::clone(&self.owner);
        }
        if changed {
            self.write_figures(&mut cgroup.hugetlb);
            self.shown = Arc::clone(&cgroup.hugetlb);
        } else {
            cgroup.hugetlb = Arc::clone(&self.shown);
        }
    }

    /// Into the same memory, unless somebody else still looks at what is there.
    fn write_figures(&self, shown: &mut Arc<[Hugetlb]>) {
        let facts = self.sizes.iter().map(SizeFiles::facts);
        match Arc::get_mut(shown).filter(|shown| shown.len() == self.sizes.len()) {
            Some(shown) => shown.iter_mut().zip(facts).for_each(|(shown, facts)| {
                shown.clone_from(facts);
            }),
            None => *shown = facts.cloned().collect(),
        }
    }
}

impl Watches {
    /// All of them, to be ended.
    pub(super) fn into_all(self) -> impl Iterator<Item = Watched> {
        let Self { directory, controllers, events, limits } = self;
        directory.into_iter().chain(controllers).chain(events).chain(limits)
    }
}
