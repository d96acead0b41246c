//! What one snapshot can't know: peaks, counters that outlive a container, names that were known once,
//! and the dead.
//!
//! A container that lived a tenth of a second and was refused its first page is the commonest complaint
//! of all, so whatever was refused stays for a quarter of an hour after its cgroup is gone. Everything
//! here is bounded, and time is that of the snapshots: there is no clock.

mod by_size;
mod chain;
mod counter;
mod grant;
mod loops;
mod memory;
mod presence;
mod record;
mod refusals;
mod retention;
mod tally;
mod undecided;
mod witness;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::identity::{ContainerCgroup, ContainerId, Owner, PodCgroup, PodName, PodUid, QosClass};
use crate::snapshot::Snapshot;
use crate::units::{Bytes, PageSize};
use by_size::BySize;
use chain::Chains;
pub use grant::Grant;
pub use loops::RefusedEnds;
pub use memory::Stall;
use memory::Stalls;
pub use presence::Presence;
pub use record::Living;
use record::{Explained, InstanceRecord, PodRecord, See};
pub use refusals::{Fault, Refusals};
use witness::Signals;
pub use witness::{Cause, Counts, Death, Whose};

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
    /// Pods' cgroups by path: after a change of the cgroup driver a pod has two.
    pods: HashMap<Arc<str>, PodRecord>,
    /// Living containers by id.
    instances: HashMap<ContainerId, InstanceRecord>,
    /// What the dead instances of a container left behind.
    past: HashMap<ContainerKey, PastRecord>,
    /// Cgroups whose memory is full.
    stalls: Stalls,
    /// Who got SIGBUS, where there is a witness.
    signals: Signals,
}

/// A container through all its restarts: its pod, and its name or, where none is known, its short id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// Its pod.
    pub uid: PodUid,
    /// Its name in the pod's spec, or the first 12 digits of its id.
    pub container: Arc<str>,
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
    /// The same failures by what was refused.
    pub refusals: Refusals,
    /// The last touch that was refused.
    pub fault: Option<Fault>,
    /// The most that was seen mapped.
    pub peak_reserved: Bytes,
    /// Instances that ended over a refused mapping; of a living one nothing.
    pub refused_ends: Option<RefusedEnds>,
}

/// What is left of a container's dead.
#[derive(Debug, Default)]
struct PastRecord {
    /// Of all of them.
    sizes: BTreeMap<PageSize, Tally>,
    /// Of those that will not come back.
    settled: BTreeMap<PageSize, Tally>,
    /// The last of them as they were: a directory that could not be listed once is no death.
    recent: VecDeque<(ContainerId, InstanceRecord)>,
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
            stalls: Stalls::default(),
            signals: Signals::default(),
        }
    }

    /// Takes in a snapshot, which must be younger than the last.
    pub fn update(&mut self, snapshot: &Snapshot) {
        self.polls += 1;
        self.now = snapshot.taken.since_start;
        let chains = Chains::of(snapshot);
        let at_refusals = Chains::at_refusals(snapshot);
        let at_refusals = |index| at_refusals.as_ref().map_or(&[][..], |it| it.of_cgroup(index));
        let mut explained: HashMap<usize, Explained> = HashMap::new();
        // A pod's containers stand behind it, and what they were refused it need not be reported too.
        for (index, cgroup) in snapshot.cgroups.iter().enumerate().rev() {
            let seen = See {
                snapshot,
                cgroup,
                chains: chains.of_cgroup(index),
                at_refusals: at_refusals(index),
                explained: &explained.remove(&index).unwrap_or_default(),
            };
            match &*cgroup.owner {
                Owner::Pod(pod) => self.see_pod(&seen, pod),
                Owner::Container(container) => {
                    let new = self.see_container(&seen, container);
                    let is_named = self.living(&container.id).is_some_and(|it| it.name().is_some());
                    if let Some(pod) = cgroup.parent {
                        explained.entry(pod).or_default().join(new, is_named);
                    }
                }
                Owner::InsideContainer
                | Owner::PodInfrastructure(_)
                | Owner::Tier
                | Owner::Service => {}
            }
        }
        self.stalls.update(snapshot);
        self.bury_instances();
        self.name_the_dead(&snapshot.names);
        self.signals.update(snapshot, self.retention);
        self.name_signals(&snapshot.names);
        self.forget();
    }

    /// The pod's name, once known for as long as it lives.
    pub fn pod_name(&self, uid: &PodUid) -> Option<&PodName> {
        self.names.get(uid)
    }

    /// What is remembered of a living container.
    pub fn living(&self, id: &ContainerId) -> Option<Living<'_>> {
        self.instances.get(id).map(|record| Living { record })
    }

    /// Whether a container is so young that its name may still come.
    pub fn may_be_named_soon(&self, id: &ContainerId) -> bool {
        self.instances.get(id).is_some_and(|instance| {
            instance.name.is_none()
                && self.now.saturating_sub(instance.first_seen) < self.retention.hold_back
        })
    }

    /// Whether any container waits for its name, or any that is gone since a moment, seen or not.
    pub fn awaits_names(&self) -> bool {
        let of_living = self.instances.keys().any(|id| self.may_be_named_soon(id));
        of_living || self.dead_await_names() || self.unseen_await_names()
    }

    /// What those of a pod's containers were refused that have no name: those that are gone, and those that wait for one.
    pub fn nameless(&self) -> impl Iterator<Item = (&PodUid, PageSize, Tally)> {
        let gone = self.past.iter().filter(|(key, _)| key.is_nameless()).flat_map(|(key, past)| {
            past.sizes.iter().map(move |(page_size, tally)| (&key.uid, *page_size, *tally))
        });
        let waiting = self.instances.iter().filter(|(id, _)| self.may_be_named_soon(id));
        let waiting = waiting.flat_map(|(_, instance)| {
            let sizes = instance.sizes.iter();
            sizes.map(move |(page_size, record)| (&instance.uid, page_size, record.tally()))
        });
        gone.chain(waiting)
    }

    /// What is remembered of a living pod's own cgroup, and what became of its grant.
    pub fn pod(&self, path: &str, page_size: PageSize) -> Option<(Tally, Grant)> {
        self.pods.get(path)?.sizes.get(page_size).map(|record| (record.tally(), record.grant))
    }

    /// Since when a cgroup meets its limit of memory again and again and nothing moves, if that is so.
    pub fn stall(&self, path: &str) -> Option<Stall> {
        self.stalls.of(path)
    }

    /// Since when a living pod's cgroup is there, and whether anybody is in it.
    pub fn presence(&self, path: &str) -> Option<&Presence> {
        self.pods.get(path).map(|pod| &pod.presence)
    }

    /// The time of the newest snapshot, since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Pods' cgroups that are gone and are remembered for what was refused them.
    pub fn dead_pods(
        &self,
    ) -> impl Iterator<Item = (&PodUid, Option<QosClass>, impl Iterator<Item = (PageSize, Tally)>)>
    {
        self.pods.values().filter(|pod| pod.seen.poll != self.polls).map(|pod| {
            let tallies = pod.sizes.iter().map(|(page_size, record)| (page_size, record.tally()));
            (&pod.uid, pod.qos, tallies)
        })
    }

    /// Everything the dead instances of containers left behind, for containers that live and that do not.
    pub fn all_past(
        &self,
    ) -> impl Iterator<Item = (&ContainerKey, impl Iterator<Item = (PageSize, Tally)>)> {
        self.past.iter().filter(|(key, _)| !key.is_nameless()).map(|(key, past)| {
            (key, past.sizes.iter().map(|(page_size, tally)| (*page_size, *tally)))
        })
    }

    fn see_pod(&mut self, see: &See<'_>, pod: &PodCgroup) {
        let seen = Seen { poll: self.polls, at: self.now };
        let young = self.polls > 1;
        self.name_pod(see.snapshot, &pod.uid);
        let path = Arc::clone(&see.cgroup.path);
        let record = self.pods.entry(path).or_insert_with(|| PodRecord {
            uid: pod.uid.clone(),
            qos: pod.qos,
            sizes: BySize::new(),
            as_seen: None,
            presence: Presence::new(seen.at, young),
            seen,
            counts_its_containers: see.counts_below(),
        });
        record.seen = seen;
        record.presence.take_in(see.cgroup.populated, seen.at);
        record.resume();
        see.take_in(&mut record.sizes, young);
    }

    fn see_container(&mut self, see: &See<'_>, container: &ContainerCgroup) -> Explained {
        let seen = Seen { poll: self.polls, at: self.now };
        let young = self.polls > 1;
        let uid = &container.pod.uid;
        self.name_pod(see.snapshot, uid);
        self.resume(see, container);
        let record = self.instances.entry(container.id.clone()).or_insert_with(|| InstanceRecord {
            uid: uid.clone(),
            name: None,
            first_seen: seen.at,
            sizes: BySize::new(),
            seen,
            ended: Duration::ZERO,
            pod_refused: Vec::new(),
        });
        record.seen = seen;
        let names = &see.snapshot.names;
        if (record.name.is_none() || names.is_told(uid))
            && let Some(name) = names.container(uid, &container.id)
        {
            record.name = Some((name.name.clone(), name.attempt));
        }
        see.take_in(&mut record.sizes, young)
    }

    /// A name once known stays, unless the kubelet itself says otherwise.
    fn name_pod(&mut self, snapshot: &Snapshot, uid: &PodUid) {
        let Some(name) = snapshot.names.pod(uid) else { return };
        match self.names.get_mut(uid) {
            None => drop(self.names.insert(uid.clone(), name.clone())),
            Some(known) if known != name && snapshot.names.is_told(uid) => known.clone_from(name),
            Some(_) => {}
        }
    }
}

impl ContainerKey {
    /// Those of a pod's containers that are gone and have no name: they are reported of their pod.
    fn nameless(uid: &PodUid) -> Self {
        Self { uid: uid.clone(), container: "".into() }
    }

    fn is_nameless(&self) -> bool {
        self.container.is_empty()
    }

    /// The key of a container by its name, or by its id where it has none.
    pub fn of(uid: &PodUid, name: Option<&Arc<str>>, id: &ContainerId) -> Self {
        let container = name.map_or_else(|| id.short().into(), Arc::clone);
        Self { uid: uid.clone(), container }
    }
}

#[cfg(test)]
mod fates;
#[cfg(test)]
mod tests;
