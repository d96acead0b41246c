//! The open connections, and which one goes when there are too many.
//!
//! Whoever opens connections and says nothing must not keep Prometheus out. So a newcomer is never turned
//! away; the connection that has been longest without a complete request is closed instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

/// How many connections may be open, where the system gives descriptors for them.
pub(super) const MOST: usize = 512;

/// So many descriptors are for everything else: what stays open, a poll's files, the pipes of children, the kubelet.
const OURS: u64 = 32;

/// All open connections.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    most: usize,
    next: u64,
    slots: HashMap<u64, Slot>,
}

#[derive(Debug)]
struct Slot {
    /// The last complete request, or else the beginning.
    since: Instant,
    task: Option<AbortHandle>,
}

/// A place among the open connections; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    connections: Connections,
}

impl Connections {
    /// None yet, and never so many that clients could take the descriptors that polls need.
    pub(super) fn within(descriptors: u64) -> Self {
        let rest = usize::try_from(descriptors.saturating_sub(OURS)).unwrap_or(MOST);
        let open = Open { most: rest.clamp(1, MOST), next: 0, slots: HashMap::new() };
        Self(Arc::new(Mutex::new(open)))
    }

    /// A place for a newcomer, another's if need be.
    pub(super) fn admit(&self, now: Instant) -> Ticket {
        let mut open = self.lock();
        if open.slots.len() >= open.most {
            let oldest =
                open.slots.iter().min_by_key(|(id, slot)| (slot.since, **id)).map(|(id, _)| *id);
            let slot = oldest.and_then(|id| open.slots.remove(&id));
            if let Some(task) = slot.and_then(|slot| slot.task) {
                task.abort();
            }
        }
        let id = open.next;
        open.next += 1;
        open.slots.insert(id, Slot { since: now, task: None });
        Ticket { id, connections: self.clone() }
    }

    /// Names the task that serves a connection.
    pub(super) fn served_by(&self, id: u64, task: AbortHandle) {
        if let Some(slot) = self.lock().slots.get_mut(&id) {
            slot.task = Some(task);
        }
    }

    /// A poisoned lock is no reason to stop serving: every change of the map is whole.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Its number.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Marks a complete request.
    pub(super) fn request(&self, now: Instant) {
        if let Some(slot) = self.connections.lock().slots.get_mut(&self.id) {
            slot.since = now;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.lock().slots.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_longest_silent_one_goes_and_never_the_newcomer() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let connections = Connections::within(4_096);
        let mut tickets: Vec<Ticket> =
            (0..MOST as u64).map(|moment| connections.admit(at(moment))).collect();
        tickets[0].request(at(10_000));
        let newcomer = connections.admit(at(10_001));
        let ids = |connections: &Connections| {
            let mut ids: Vec<u64> = connections.lock().slots.keys().copied().collect();
            ids.sort_unstable();
            ids
        };
        let mut expected: Vec<u64> = (0..=MOST as u64).collect();
        expected.remove(1);
        assert_eq!(ids(&connections), expected, "0 had asked something, 1 had been silent longest");
        tickets.clear();
        assert_eq!(ids(&connections), [newcomer.id()]);
    }

    #[test]
    fn with_few_descriptors_there_are_few_places_but_one() {
        for (descriptors, places) in [(0, 1), (20, 1), (40, 8), (544, MOST), (u64::MAX, MOST)] {
            let connections = Connections::within(descriptors);
            let tickets: Vec<Ticket> =
                (0..2 * MOST).map(|_| connections.admit(Instant::now())).collect();
            assert_eq!(connections.lock().slots.len(), places, "{descriptors}");
            drop(tickets);
        }
    }
}
