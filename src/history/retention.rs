//! What is done with the dead: their counters are handed on, and in the end they are forgotten.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::record::{InstanceRecord, See};
use super::{ContainerKey, History, PastRecord, Tally};
use crate::identity::{ContainerCgroup, ContainerId, PodUid};
use crate::units::PageSize;

/// So many dead instances of a container may come back; more than one is gone only in a crash loop.
const MOST_RECENT: usize = 2;

impl History {
    /// Containers that are not there any more leave their counters to their successors.
    pub(super) fn bury_instances(&mut self) {
        let polls = self.polls;
        for pod in self.pods.values_mut().filter(|pod| pod.seen.poll != polls) {
            pod.end();
        }
        for (id, instance) in self.instances.extract_if(|_, instance| instance.seen.poll != polls) {
            let past = self.past.entry(instance.key(&id)).or_default();
            past.died = self.now;
            past.bury(id, instance);
        }
    }

    /// A container that is back was not dead: its parent could not be listed, or one of its files not be read.
    pub(super) fn resume(&mut self, see: &See<'_>, container: &ContainerCgroup) {
        let (uid, id) = (&container.pod.uid, &container.id);
        if self.past.is_empty() || self.instances.contains_key(id) {
            return;
        }
        // It was buried under its name, if that was known by then.
        let name = see.snapshot.names.container(uid, id).map(|name| &name.name);
        for key in [ContainerKey::of(uid, name, id), ContainerKey::of(uid, None, id)] {
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
        let dead = self.past.iter().filter(|(key, _)| !living.contains(key));
        // Those that were refused nothing go first.
        let dead = dead.map(|(key, past)| ((past.was_refused(), past.died), key.clone())).collect();
        for (_, key) in surplus(dead, retention.most_dead) {
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
        self.recent.push_back((id, instance));
        if self.recent.len() > MOST_RECENT
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
        let mut record = record.clone();
        record.watch.end();
        let tally = sizes.entry(page_size).or_default();
        *tally = tally.with(record.tally());
    }
}

/// The least of the dead, as many as are too many.
fn surplus<T: Ord>(mut dead: Vec<T>, most: usize) -> impl Iterator<Item = T> {
    dead.sort_unstable();
    let surplus = dead.len().saturating_sub(most);
    dead.into_iter().take(surplus)
}
