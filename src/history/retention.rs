//! What is done with the dead: their counters are handed on, and in the end they are forgotten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::record::{InstanceRecord, PodRecord, See};
use super::{ContainerKey, History, PastRecord, Tally};
use crate::identity::{ContainerCgroup, ContainerId, NameIndex, PodUid};
use crate::units::PageSize;

/// So many dead instances of a container may come back; more than one is gone only in a crash loop.
const MOST_RECENT: usize = 2;

/// And so many of a pod's may still get their names.
const MOST_NAMELESS: usize = 64;

/// So many containers of a pod that lives are remembered when they are gone, however many others are.
pub(super) const MOST_OF_A_POD: usize = 64;

impl History {
    /// Containers that are not there any more leave their counters to their successors.
    pub(super) fn bury_instances(&mut self) {
        let polls = self.polls;
        for pod in self.pods.values_mut().filter(|pod| pod.seen.poll != polls) {
            pod.end();
        }
        let gone = self.instances.extract_if(|_, instance| instance.seen.poll != polls);
        for (id, mut instance) in gone {
            instance.pod_refused = refused_to_pod(&self.pods, &instance);
            instance.ended = self.now;
            let past = self.past.entry(instance.past_key()).or_default();
            past.died = self.now;
            past.bury(id, instance);
        }
    }

    /// A log link is often seen when its container is gone already.
    pub(super) fn name_the_dead(&mut self, names: &NameIndex) {
        let nameless = self.past.iter().filter(|(key, _)| key.is_nameless());
        let named: Vec<_> = nameless
            .flat_map(|(key, past)| {
                let ids = past.recent.iter().map(|(id, _)| id);
                ids.filter_map(|id| Some((key.clone(), id.clone(), names.container(&key.uid, id)?)))
            })
            .collect();
        for (key, id, name) in named {
            let Some(past) = self.past.get_mut(&key) else { continue };
            let (died, instance) = (past.died, past.dig_up(&id));
            if past.is_empty() {
                self.past.remove(&key);
            }
            if let Some(mut instance) = instance {
                instance.name = Some((name.name.clone(), name.attempt));
                let past = self.past.entry(instance.past_key()).or_default();
                past.died = past.died.max(died);
                past.bury(id, instance);
            }
        }
    }

    /// Whether any that is gone since a moment waits for its name.
    pub(super) fn dead_await_names(&self) -> bool {
        let nameless = self.past.iter().filter(|(key, _)| key.is_nameless());
        let mut gone = nameless.flat_map(|(_, past)| past.recent.iter());
        gone.any(|(_, it)| self.now.saturating_sub(it.ended) < self.retention.hold_back)
    }

    /// Whether a pod was refused something a moment ago by containers that were gone before they were seen: who they were
    /// their links may tell.
    pub(super) fn unseen_await_names(&self) -> bool {
        let sizes = self.pods.values().flat_map(|pod| pod.sizes.values());
        let mut ends = sizes.filter_map(|record| record.watch.unseen_ends);
        ends.any(|ends| self.now.saturating_sub(ends.last) < self.retention.hold_back)
    }

    /// A container that is back was not dead: its parent could not be listed, or one of its files not be read.
    pub(super) fn resume(&mut self, see: &See<'_>, container: &ContainerCgroup) {
        let (uid, id) = (&container.pod.uid, &container.id);
        if self.past.is_empty() || self.instances.contains_key(id) {
            return;
        }
        // It was buried under its name, if that was known by then.
        let name = see.snapshot.names.container(uid, id).map(|name| &name.name);
        for key in [ContainerKey::of(uid, name, id), ContainerKey::nameless(uid)] {
            let Some(past) = self.past.get_mut(&key) else { continue };
            let Some(instance) = past.dig_up(id) else { continue };
            if past.is_empty() {
                self.past.remove(&key);
            }
            self.instances.insert(id.clone(), instance);
            return;
        }
    }

    /// Drops the dead that are too old, and the least of them where there are too many.
    pub(super) fn forget(&mut self) {
        self.forget_pods();
        self.forget_containers();
        let mut known: HashSet<&PodUid> = self.pods.values().map(|pod| &pod.uid).collect();
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
        let dead = dead.map(|(path, pod)| (pod.seen.at, Arc::clone(path))).collect();
        for (_, path) in surplus(dead, retention.most_dead) {
            self.pods.remove(&path);
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
        let mut of_pods: HashMap<&PodUid, Vec<_>> = self
            .pods
            .values()
            .filter(|pod| pod.seen.poll == self.polls)
            .map(|pod| (&pod.uid, Vec::new()))
            .collect();
        of_pods.extend(self.instances.values().map(|instance| (&instance.uid, Vec::new())));
        let mut others = Vec::new();
        for (key, past) in self.past.iter().filter(|(key, _)| !living.contains(key)) {
            // Those that were refused nothing go first.
            let one = ((past.was_refused(), past.died), key.clone());
            of_pods.get_mut(&key.uid).unwrap_or(&mut others).push(one);
        }
        let too_many: Vec<_> = of_pods
            .into_values()
            .flat_map(|dead| surplus(dead, MOST_OF_A_POD))
            .chain(surplus(others, retention.most_dead))
            .collect();
        for (_, key) in too_many {
            self.past.remove(&key);
        }
    }
}

impl PastRecord {
    pub(super) fn was_refused(&self) -> bool {
        self.sizes.values().any(|tally| tally.failures > 0)
    }

    fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.recent.is_empty()
    }

    fn bury(&mut self, id: ContainerId, instance: InstanceRecord) {
        add(&mut self.sizes, &instance);
        let most = if instance.name.is_some() { MOST_RECENT } else { MOST_NAMELESS };
        self.recent.push_back((id, instance));
        if self.recent.len() > most
            && let Some((_, oldest)) = self.recent.pop_front()
        {
            add(&mut self.settled, &oldest);
        }
    }

    fn dig_up(&mut self, id: &ContainerId) -> Option<InstanceRecord> {
        let place = self.recent.iter().position(|(buried, _)| buried == id)?;
        let (_, instance) = self.recent.remove(place)?;
        self.sizes.clone_from(&self.settled);
        for (_, other) in &self.recent {
            add(&mut self.sizes, other);
        }
        Some(instance)
    }
}

/// Adds what an instance that is gone leaves behind.
fn add(sizes: &mut BTreeMap<PageSize, Tally>, instance: &InstanceRecord) {
    for (page_size, record) in instance.sizes.iter() {
        let left = record.left(instance.ended, instance.pod_refused(page_size));
        let tally = sizes.entry(page_size).or_default();
        *tally = tally.with(left);
    }
}

/// When the pod of an instance that is gone was refused mappings while that was there, as v1 counts them: where the limit
/// is. On v2 its own counter tells.
fn refused_to_pod(
    pods: &HashMap<Arc<str>, PodRecord>,
    instance: &InstanceRecord,
) -> Vec<(PageSize, Duration)> {
    let own = pods.values().filter(|pod| pod.uid == instance.uid && !pod.counts_its_containers);
    let sizes = own.flat_map(|pod| pod.sizes.iter());
    let refused = sizes.filter_map(|(page_size, it)| Some((page_size, it.watch.last_mapping()?)));
    refused.filter(|(_, at)| *at >= instance.first_seen).collect()
}

/// The least of the dead, as many as are too many.
fn surplus<T: Ord>(mut dead: Vec<T>, most: usize) -> impl Iterator<Item = T> {
    dead.sort_unstable();
    let surplus = dead.len().saturating_sub(most);
    dead.into_iter().take(surplus)
}
