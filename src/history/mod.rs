//! What one snapshot can't know: peaks, counters that outlive a container, names that were known once,
//! and the dead.
//!
//! A container that lived a tenth of a second and was refused its first page is the commonest complaint
//! of all, so whatever was refused stays for a quarter of an hour after its cgroup is gone. Everything
//! here is bounded, and time is that of the snapshots: there is no clock.

mod counter;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::identity::{ContainerCgroup, ContainerId, Owner, PodCgroup, PodName, PodUid, QosClass};
use crate::snapshot::{Cgroup, Hugetlb, Reading, Snapshot};
use crate::units::{Bytes, PageSize};
use counter::Counter;

/// How long and how much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// How long a container without a name is held back: the kubelet's log entry comes a little after
    /// the cgroup, and a series that changes its labels is a new series.
    pub hold_back: Duration,
    /// How long the dead are remembered.
    pub dead_for: Duration,
    /// How many of them, at most.
    pub most_dead: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            hold_back: Duration::from_secs(10),
            dead_for: Duration::from_secs(15 * 60),
            most_dead: 256,
        }
    }
}

/// All that is remembered of earlier snapshots.
#[derive(Debug)]
pub struct History {
    retention: Retention,
    now: Duration,
    polls: u64,
    /// Names of pods, here or remembered. A container may lie outside its pod's cgroup.
    names: HashMap<PodUid, PodName>,
    pods: HashMap<PodUid, PodRecord>,
    /// Living containers by id.
    instances: HashMap<ContainerId, InstanceRecord>,
    /// What the dead instances of a container left behind.
    past: HashMap<ContainerKey, PastRecord>,
}

/// A container through all its restarts: its pod, and its name or, where none is known, its short id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// Its pod.
    pub uid: PodUid,
    /// Its name in the pod's spec, or the first 12 digits of its id.
    pub container: String,
}

/// What is remembered for one page size.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Refused charges, over restarts and resets.
    pub failures: u64,
    /// The most that was seen in use.
    pub peak: Bytes,
    /// When a refusal was last seen to happen.
    pub last_failure: Option<SystemTime>,
}

#[derive(Debug)]
struct PodRecord {
    qos: QosClass,
    sizes: BTreeMap<PageSize, Counter>,
    seen: Seen,
}

#[derive(Debug)]
struct InstanceRecord {
    uid: PodUid,
    name: Option<(String, u32)>,
    first_seen: Duration,
    sizes: BTreeMap<PageSize, Counter>,
    seen: Seen,
}

#[derive(Debug, Default)]
struct PastRecord {
    sizes: BTreeMap<PageSize, Tally>,
    died: Duration,
}

/// When something was last there: in which poll, and at what time.
#[derive(Debug, Clone, Copy)]
struct Seen {
    poll: u64,
    at: Duration,
}

impl History {
    /// An empty memory.
    pub fn new(retention: Retention) -> Self {
        Self {
            retention,
            now: Duration::ZERO,
            polls: 0,
            names: HashMap::new(),
            pods: HashMap::new(),
            instances: HashMap::new(),
            past: HashMap::new(),
        }
    }

    /// Takes in a snapshot, which must be younger than the last.
    pub fn update(&mut self, snapshot: &Snapshot) {
        self.polls += 1;
        self.now = snapshot.taken.since_start;
        for cgroup in &snapshot.cgroups {
            match &*cgroup.owner {
                Owner::Pod(pod) => self.see_pod(snapshot, cgroup, pod),
                Owner::Container(container) => self.see_container(snapshot, cgroup, container),
                Owner::InsideContainer
                | Owner::PodInfrastructure
                | Owner::Tier
                | Owner::Service => {}
            }
        }
        self.bury_instances();
        self.forget();
    }

    /// The pod's name, once known for as long as it lives.
    pub fn pod_name(&self, uid: &PodUid) -> Option<&PodName> {
        self.names.get(uid)
    }

    /// The container's name and how often it was restarted, once known for as long as it lives.
    pub fn container_name(&self, id: &ContainerId) -> Option<(&str, u32)> {
        let (name, attempt) = self.instances.get(id)?.name.as_ref()?;
        Some((name, *attempt))
    }

    /// Whether a container is so young that its name may still come.
    pub fn may_be_named_soon(&self, id: &ContainerId) -> bool {
        self.instances.get(id).is_some_and(|instance| {
            instance.name.is_none()
                && self.now.saturating_sub(instance.first_seen) < self.retention.hold_back
        })
    }

    /// Whether any container waits for its name.
    pub fn awaits_names(&self) -> bool {
        self.instances.keys().any(|id| self.may_be_named_soon(id))
    }

    /// What is remembered of a living container's own cgroup.
    pub fn instance(&self, id: &ContainerId, page_size: PageSize) -> Option<Tally> {
        self.instances.get(id)?.sizes.get(&page_size).map(|counter| counter.tally)
    }

    /// What is remembered of a pod's own cgroup.
    pub fn pod(&self, uid: &PodUid, page_size: PageSize) -> Option<Tally> {
        self.pods.get(uid)?.sizes.get(&page_size).map(|counter| counter.tally)
    }

    /// Pods that are gone and are remembered for what was refused them.
    pub fn dead_pods(
        &self,
    ) -> impl Iterator<Item = (&PodUid, QosClass, impl Iterator<Item = (PageSize, Tally)>)> {
        self.pods.iter().filter(|(_, pod)| pod.seen.poll != self.polls).map(|(uid, pod)| {
            (uid, pod.qos, pod.sizes.iter().map(|(page_size, counter)| (*page_size, counter.tally)))
        })
    }

    /// Everything the dead instances of containers left behind, for containers that live and that do not.
    pub fn all_past(
        &self,
    ) -> impl Iterator<Item = (&ContainerKey, impl Iterator<Item = (PageSize, Tally)>)> {
        self.past.iter().map(|(key, past)| {
            (key, past.sizes.iter().map(|(page_size, tally)| (*page_size, *tally)))
        })
    }

    fn see_pod(&mut self, snapshot: &Snapshot, cgroup: &Cgroup, pod: &PodCgroup) {
        let seen = Seen { poll: self.polls, at: self.now };
        let young = self.polls > 1;
        self.name_pod(snapshot, &pod.uid);
        let record = self.pods.entry(pod.uid.clone()).or_insert_with(|| PodRecord {
            qos: pod.qos,
            sizes: BTreeMap::new(),
            seen,
        });
        record.seen = seen;
        take_in(&mut record.sizes, &cgroup.hugetlb, young, snapshot.taken.wall);
    }

    fn see_container(&mut self, snapshot: &Snapshot, cgroup: &Cgroup, container: &ContainerCgroup) {
        let seen = Seen { poll: self.polls, at: self.now };
        let young = self.polls > 1;
        let uid = &container.pod.uid;
        self.name_pod(snapshot, uid);
        let record = self.instances.entry(container.id.clone()).or_insert_with(|| InstanceRecord {
            uid: uid.clone(),
            name: None,
            first_seen: seen.at,
            sizes: BTreeMap::new(),
            seen,
        });
        record.seen = seen;
        if record.name.is_none() {
            record.name = snapshot
                .names
                .container(uid, &container.id)
                .map(|name| (name.name.clone(), name.attempt));
        }
        take_in(&mut record.sizes, &cgroup.hugetlb, young, snapshot.taken.wall);
    }

    fn name_pod(&mut self, snapshot: &Snapshot, uid: &PodUid) {
        if let (false, Some(name)) = (self.names.contains_key(uid), snapshot.names.pod(uid)) {
            self.names.insert(uid.clone(), name.clone());
        }
    }

    /// Containers that are not there any more leave their counters to their successors.
    fn bury_instances(&mut self) {
        let polls = self.polls;
        for (id, instance) in self.instances.extract_if(|_, instance| instance.seen.poll != polls) {
            let past = self.past.entry(instance.key(&id)).or_default();
            past.died = self.now;
            for (page_size, counter) in instance.sizes {
                let tally = past.sizes.entry(page_size).or_default();
                *tally = tally.with(counter.tally);
            }
        }
    }

    /// Drops the dead that are too old, and the least of them where there are too many.
    fn forget(&mut self) {
        self.forget_pods();
        self.forget_containers();
        let mut known: HashSet<&PodUid> = self.pods.keys().collect();
        known.extend(self.instances.values().map(|instance| &instance.uid));
        known.extend(self.past.keys().map(|key| &key.uid));
        self.names.retain(|uid, _| known.contains(uid));
    }

    fn forget_pods(&mut self) {
        let (now, retention, polls) = (self.now, self.retention, self.polls);
        let too_old = |died: Duration| now.saturating_sub(died) > retention.dead_for;
        self.pods.retain(|_, pod| {
            pod.seen.poll == polls || (pod.was_refused() && !too_old(pod.seen.at))
        });
        let dead = self.pods.iter().filter(|(_, pod)| pod.seen.poll != polls);
        let dead = dead.map(|(uid, pod)| (pod.seen.at, uid.clone())).collect();
        for (_, uid) in surplus(dead, retention.most_dead) {
            self.pods.remove(&uid);
        }
    }

    fn forget_containers(&mut self) {
        if self.past.is_empty() {
            return;
        }
        let (now, retention) = (self.now, self.retention);
        let living: HashSet<ContainerKey> =
            self.instances.iter().map(|(id, instance)| instance.key(id)).collect();
        let too_old = |died: Duration| now.saturating_sub(died) > retention.dead_for;
        self.past.retain(|key, past| living.contains(key) || !too_old(past.died));
        let dead = self.past.iter().filter(|(key, _)| !living.contains(key));
        // Those that were refused nothing go first.
        let dead = dead.map(|(key, past)| ((past.was_refused(), past.died), key.clone())).collect();
        for (_, key) in surplus(dead, retention.most_dead) {
            self.past.remove(&key);
        }
    }
}

/// The least of the dead, as many as are too many.
fn surplus<T: Ord>(mut dead: Vec<T>, most: usize) -> impl Iterator<Item = T> {
    dead.sort_unstable();
    let surplus = dead.len().saturating_sub(most);
    dead.into_iter().take(surplus)
}

/// Feeds the counters of a cgroup that is there.
fn take_in(
    sizes: &mut BTreeMap<PageSize, Counter>,
    figures: &[Hugetlb],
    young: bool,
    wall: SystemTime,
) {
    for hugetlb in figures {
        let counter = sizes.entry(hugetlb.page_size).or_insert_with(|| Counter::new(young));
        if let Reading::Present(failures) = hugetlb.failures.total() {
            counter.count(failures, wall);
        }
        let peak = hugetlb.max_usage.present().into_iter().chain(hugetlb.usage.present()).max();
        counter.tally.peak = counter.tally.peak.max(peak.unwrap_or_default());
    }
}

impl PodRecord {
    fn was_refused(&self) -> bool {
        self.sizes.values().any(|counter| counter.tally.failures > 0)
    }
}

impl InstanceRecord {
    fn key(&self, id: &ContainerId) -> ContainerKey {
        ContainerKey::of(&self.uid, self.name.as_ref().map(|(name, _)| name.as_str()), id)
    }
}

impl PastRecord {
    fn was_refused(&self) -> bool {
        self.sizes.values().any(|tally| tally.failures > 0)
    }
}

impl ContainerKey {
    /// The key of a container by its name, or by its id where it has none.
    pub fn of(uid: &PodUid, name: Option<&str>, id: &ContainerId) -> Self {
        Self { uid: uid.clone(), container: name.unwrap_or_else(|| id.short()).to_owned() }
    }
}

impl Tally {
    /// Both together: failures added, the greater peak, the later failure.
    pub fn with(self, other: Self) -> Self {
        Self {
            failures: self.failures.saturating_add(other.failures),
            peak: self.peak.max(other.peak),
            last_failure: self.last_failure.max(other.last_failure),
        }
    }
}

#[cfg(test)]
mod tests;
