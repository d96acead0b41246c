//! What is done with the dead: their counters are handed on, and in the end they are forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{ContainerKey, History};
use crate::identity::PodUid;

impl History {
    /// Containers that are not there any more leave their counters to their successors.
    pub(super) fn bury_instances(&mut self) {
        let polls = self.polls;
        for pod in self.pods.values_mut().filter(|pod| pod.seen.poll != polls) {
            pod.sizes.values_mut().for_each(|record| record.watch.end());
        }
        for (id, instance) in self.instances.extract_if(|_, instance| instance.seen.poll != polls) {
            let past = self.past.entry(instance.key(&id)).or_default();
            past.died = self.now;
            for (page_size, mut record) in instance.sizes {
                record.watch.end();
                let tally = past.sizes.entry(page_size).or_default();
                *tally = tally.with(record.tally());
            }
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

/// The least of the dead, as many as are too many.
fn surplus<T: Ord>(mut dead: Vec<T>, most: usize) -> impl Iterator<Item = T> {
    dead.sort_unstable();
    let surplus = dead.len().saturating_sub(most);
    dead.into_iter().take(surplus)
}
