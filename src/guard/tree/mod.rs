//! The pods and containers that there are below kubepods, as the kernel tells of them (inotify).
//!
//! kubepods and its tiers are watched for pods, pods for containers; of each the fault limits are watched, since a limit
//! that is set is what there is to act on. Nothing else is taken in: what lies below a container is its own business,
//! what is neither pod nor container is nobody that the guard knows. A directory is watched before it is listed, so
//! nothing that is made in between is missed.

mod watch;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::facts::Which;
use super::files::{Directory, name};
use super::kubepods::Kubepods;
use crate::identity::{ContainerId, Owner, PodUid};
use crate::units::PageSize;
use watch::Target;
pub use watch::{Told, Watch};

/// More cgroups than these are not taken in: a node has a few hundred.
const MOST: usize = 8_192;

/// Which pod; none has the number of one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u64);

/// kubepods or a tier of it.
#[derive(Debug)]
pub struct Tier {
    /// Its directory.
    pub directory: Directory,
    /// Which kubepods it belongs to.
    pub kubepods: usize,
    /// The tier above, but for kubepods itself.
    pub above: Option<usize>,
    is_gone: bool,
}

/// A pod.
#[derive(Debug)]
pub struct Pod {
    /// Its UID.
    pub uid: PodUid,
    /// Its directory.
    pub directory: Directory,
    /// The tier it is in.
    pub tier: usize,
    /// Its containers, by the names of their directories.
    pub containers: BTreeMap<OsString, Container>,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its directory.
    pub directory: Directory,
}

/// All of them.
#[derive(Debug)]
pub struct Tree {
    /// kubepods, mostly one.
    pub kubepods: Vec<Kubepods>,
    tiers: Vec<Tier>,
    pods: BTreeMap<PodId, Pod>,
    /// Pods by their directories.
    at: HashMap<PathBuf, PodId>,
    last: u64,
    count: usize,
    /// What the kernel tells.
    pub watch: Watch,
    /// Why not all are taken in.
    pub trouble: Option<String>,
}

impl Tree {
    /// Those that there are now.
    pub fn new(kubepods: Vec<Kubepods>) -> io::Result<Self> {
        let mut tree = Self {
            kubepods: Vec::new(),
            tiers: Vec::new(),
            pods: BTreeMap::new(),
            at: HashMap::new(),
            last: 0,
            count: 0,
            watch: Watch::new()?,
            trouble: None,
        };
        for (index, kubepods) in kubepods.into_iter().enumerate() {
            let directory = kubepods.directory.clone();
            tree.kubepods.push(kubepods);
            tree.add_tier(directory, index, None);
        }
        Ok(tree)
    }

    /// A pod, as long as it is there.
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(&id)
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        self.pods.iter().map(|(id, pod)| (*id, pod))
    }

    /// The kubepods that a pod is in.
    pub fn kubepods_of(&self, pod: &Pod) -> Option<&Kubepods> {
        self.kubepods.get(self.tiers.get(pod.tier)?.kubepods)
    }

    /// The tiers above a pod, the innermost first.
    pub fn above<'a>(&'a self, pod: &Pod) -> impl Iterator<Item = &'a Tier> + use<'a> {
        std::iter::successors(self.tiers.get(pod.tier), |tier| self.tiers.get(tier.above?))
    }

    /// Whether kubepods itself is gone, so that all has to be found anew.
    pub fn is_gone(&self) -> bool {
        self.tiers.first().is_none_or(|tier| tier.directory.open().is_err())
    }

    /// Takes in what the kernel has told; what concerns a pod, or somebody else.
    pub fn take(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for (target, mask, name) in self.watch.drain() {
            match target {
                Target::Overflow => {
                    self.list_all();
                    told.extend(self.pods.keys().map(|id| Told::Pod(*id)));
                }
                Target::Tier(tier) => match name {
                    Some(name) if Watch::is_made(mask) => told.extend(self.add_below(tier, &name)),
                    Some(name) => self.remove_below(tier, &name),
                    None => {}
                },
                Target::Pod(id) => {
                    match name {
                        Some(name) if Watch::is_made(mask) => self.add_container(id, &name),
                        Some(name) => self.remove_container(id, &name),
                        None => {}
                    }
                    told.push(Told::Pod(id));
                }
                Target::Limit(id) => told.push(Told::Pod(id)),
                Target::Names => {
                    told.extend(name.map(|name| Told::Name(name, Watch::is_made(mask))));
                }
                Target::State => told.push(Told::State),
            }
        }
        told
    }

    /// Looks through all directories anew: what is new is added, what is gone is removed.
    pub fn list_all(&mut self) {
        self.trouble = None;
        let gone: Vec<PodId> = self
            .pods()
            .filter(|(_, pod)| pod.directory.open().is_err())
            .map(|(id, _)| id)
            .collect();
        gone.into_iter().for_each(|id| self.remove(id));
        for tier in 0..self.tiers.len() {
            self.list_tier(tier);
        }
        let ids: Vec<PodId> = self.pods.keys().copied().collect();
        for id in ids {
            let Some(pod) = self.pods.get(&id) else { continue };
            let containers = pod.containers.iter();
            let gone: Vec<OsString> = containers
                .filter(|(_, container)| container.directory.open().is_err())
                .map(|(name, _)| name.clone())
                .collect();
            gone.iter().for_each(|name| self.remove_container(id, name));
            self.list_pod(id);
        }
    }

    /// Watches one of a pod's reservation limits, which the guard has set: somebody else may set it, too.
    pub fn watch_reservation(&mut self, id: PodId, directory: &Directory, size: PageSize) {
        let Some(version) = self.pod(id).and_then(|pod| Some(self.kubepods_of(pod)?.version))
        else {
            return;
        };
        let file = name(version, size, Which::Reservation.into());
        self.watch.file(&directory.path.join(file), &directory.path, Target::Limit(id));
    }

    fn add_tier(&mut self, directory: Directory, kubepods: usize, above: Option<usize>) {
        let tier = self.tiers.len();
        self.watch.directory(&directory.path, Target::Tier(tier));
        self.tiers.push(Tier { directory, kubepods, above, is_gone: false });
        self.list_tier(tier);
    }

    fn list_tier(&mut self, tier: usize) {
        let Some(path) = self.tiers.get(tier).map(|tier| tier.directory.path.clone()) else {
            return;
        };
        for name in directories(&path) {
            self.add_below(tier, &name);
        }
    }

    /// Takes in a pod or a tier that is below another.
    fn add_below(&mut self, above: usize, name: &OsStr) -> Option<Told> {
        let tier = self.tiers.get(above)?;
        let directory = tier.directory.below(name)?;
        let kubepods = tier.kubepods;
        match Owner::of(&directory.shown) {
            Owner::Pod(pod) => {
                if let Some(id) = self.at.get(&directory.path).copied() {
                    if self.pod(id).is_some_and(|pod| pod.directory == directory) {
                        return None;
                    }
                    self.remove(id);
                }
                self.add_pod(above, pod.uid, directory).map(Told::Pod)
            }
            Owner::Tier => {
                let same = |tier: &Tier| !tier.is_gone && tier.directory == directory;
                if self.tiers.len() < MOST && !self.tiers.iter().any(same) {
                    self.add_tier(directory, kubepods, Some(above));
                }
                None
            }
            _ => None,
        }
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.count < MOST;
        if !has_room {
            let why = || format!("more than {MOST} cgroups of pods: the others are left alone");
            self.trouble.get_or_insert_with(why);
        }
        has_room
    }

    fn add_pod(&mut self, tier: usize, uid: PodUid, directory: Directory) -> Option<PodId> {
        if !self.has_room() {
            return None;
        }
        self.last += 1;
        self.count += 1;
        let id = PodId(self.last);
        self.watch.directory(&directory.path, Target::Pod(id));
        let pod = Pod { uid, directory, tier, containers: BTreeMap::new() };
        self.watch_limits(id, &pod.directory.path, tier);
        self.at.insert(pod.directory.path.clone(), id);
        self.pods.insert(id, pod);
        self.list_pod(id);
        Some(id)
    }

    fn list_pod(&mut self, id: PodId) {
        let Some(path) = self.pods.get(&id).map(|pod| pod.directory.path.clone()) else { return };
        for name in directories(&path) {
            self.add_container(id, &name);
        }
    }

    fn add_container(&mut self, id: PodId, name: &OsStr) {
        let Some(pod) = self.pods.get(&id) else { return };
        let Some(directory) = pod.directory.below(name) else { return };
        let Owner::Container(container) = Owner::of(&directory.shown) else { return };
        let is_known = pod.containers.get(name).is_some_and(|known| known.directory == directory);
        if is_known || container.pod.uid != pod.uid {
            return;
        }
        let tier = pod.tier;
        self.remove_container(id, name);
        if self.has_room() {
            self.count += 1;
            self.watch_limits(id, &directory.path, tier);
            let container = Container { id: container.id, directory };
            if let Some(pod) = self.pods.get_mut(&id) {
                pod.containers.insert(name.to_owned(), container);
            }
        }
    }

    fn watch_limits(&mut self, id: PodId, path: &Path, tier: usize) {
        let kubepods = self.tiers.get(tier).and_then(|tier| self.kubepods.get(tier.kubepods));
        for size in kubepods.into_iter().flat_map(|kubepods| &kubepods.sizes) {
            let version = kubepods.map(|kubepods| kubepods.version);
            let file = version.map(|version| name(version, *size, Which::Fault.into()));
            if let Some(file) = file {
                self.watch.file(&path.join(file), path, Target::Limit(id));
            }
        }
    }

    fn remove_below(&mut self, tier: usize, name: &OsStr) {
        let Some(path) = self.tiers.get(tier).map(|tier| tier.directory.path.join(name)) else {
            return;
        };
        if let Some(id) = self.at.get(&path).copied() {
            self.remove(id);
        }
        for tier in self.tiers.iter_mut().filter(|tier| tier.directory.path == path) {
            tier.is_gone = true;
            self.watch.end(&path);
        }
    }

    fn remove(&mut self, id: PodId) {
        if let Some(pod) = self.pods.remove(&id) {
            self.count -= 1 + pod.containers.len();
            self.at.remove(&pod.directory.path);
            self.watch.end(&pod.directory.path);
            for container in pod.containers.values() {
                self.watch.end(&container.directory.path);
            }
        }
    }

    fn remove_container(&mut self, id: PodId, name: &OsStr) {
        let pod = self.pods.get_mut(&id);
        if let Some(container) = pod.and_then(|pod| pod.containers.remove(name)) {
            self.count -= 1;
            self.watch.end(&container.directory.path);
        }
    }
}

impl Pod {
    /// Its own directory and its containers', in the order in which they are decided on.
    pub fn directories(&self) -> impl Iterator<Item = &Directory> {
        let containers = self.containers.values().map(|container| &container.directory);
        std::iter::once(&self.directory).chain(containers)
    }
}

/// The directories in one, none where it is gone.
fn directories(path: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.file_name()).collect()
}

#[cfg(test)]
mod tests;
