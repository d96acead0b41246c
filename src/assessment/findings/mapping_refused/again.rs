//! Which container of a pod it is that starts again and again, though no poll has seen it: the names tell.

use std::sync::Arc;
use std::time::Duration;

use super::super::Facts;
use crate::assessment::{Identity, pods};
use crate::history::Living;
use crate::identity::{ContainerId, Owner, PodUid};

/// An instance that lives so long after it was refused has not ended over it.
const SETTLED: Duration = Duration::from_secs(60);

/// A container that starts again and again.
pub(super) struct Again<'a> {
    pub(super) identity: Identity,
    /// How many of its instances have ended.
    pub(super) ended: u32,
    /// The one that is there.
    pub(super) living: Option<Living<'a>>,
}

impl<'a> Again<'a> {
    /// That of a pod, where no other can be it; or of a container, if it is that one.
    pub(super) fn of(facts: &Facts<'a>, who: &Identity) -> Option<Self> {
        let uid = PodUid::from_path(&who.uid)?;
        let cgroups = facts.snapshot.cgroups.iter();
        let living: Vec<&ContainerId> = cgroups
            .filter_map(|cgroup| match &*cgroup.owner {
                Owner::Container(container) if container.pod.uid == uid => Some(&container.id),
                _ => None,
            })
            .collect();
        let is_settled = |start: &str| {
            let of_it = living.iter().filter(|id| id.as_str().starts_with(start));
            let mut of_it = of_it.filter_map(|id| facts.history.living(id));
            of_it.any(|living| has_settled(facts, living))
        };
        let container = facts.snapshot.names.restarting(&uid, is_settled)?;
        if !who.container.is_empty() && who.container != container.name {
            return None;
        }
        let of_it = living.iter().filter_map(|id| facts.history.living(id));
        let mut of_it = of_it.filter_map(|living| Some((living.name()?, living)));
        let living = of_it.rfind(|((name, _), _)| **name == container.name);
        Some(Self {
            identity: pods::identity(&uid, Arc::clone(&container.name), facts.history),
            ended: container.attempt.saturating_add(u32::from(living.is_none())),
            living: living.map(|(_, living)| living),
        })
    }
}

/// Whether an instance has lived for long enough.
pub(super) fn has_settled(facts: &Facts<'_>, living: Living<'_>) -> bool {
    facts.history.now().saturating_sub(living.since()) >= SETTLED
}
