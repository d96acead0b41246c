//! Containers: their cgroups, their instances made one, their dead.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::pods::identity;
use super::{ContainerState, Instance, Selection, TenantSize};
use crate::history::{ContainerKey, History, Tally};
use crate::identity::{ContainerCgroup, Owner, PodUid};
use crate::snapshot::{Cgroup, Hugetlb, NumaUsage, Snapshot};
use crate::units::PageSize;

/// The containers to show, by UID and name.
pub(super) fn states(
    snapshot: &Snapshot,
    history: &History,
    selection: Selection,
) -> Vec<ContainerState> {
    let granted = granted_pods(snapshot);
    let inner = inner_containers(snapshot);
    let mut merged: BTreeMap<ContainerKey, Merged> = BTreeMap::new();
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Container(container) = &*cgroup.owner else { continue };
        let name = history.container_name(&container.id);
        let own = Own::read(cgroup, inner.get(&index).copied(), container, history);
        if name.is_none() && history.may_be_named_soon(&container.id) && !own.is_urgent() {
            continue;
        }
        let key = ContainerKey::of(&container.pod.uid, name.map(|(name, _)| name), &container.id);
        let age = (name.map(|(_, attempt)| attempt), cgroup.inode);
        merged.entry(key).or_default().add(own, age, name.is_some());
    }
    for (key, tallies) in history.all_past() {
        merged.entry(key.clone()).or_default().add_past(tallies);
    }
    merged
        .into_iter()
        .filter_map(|(key, merged)| merged.into_state(key, &granted, history, selection))
        .collect()
}

/// Which pods were granted pages of which size.
fn granted_pods(snapshot: &Snapshot) -> HashSet<(&PodUid, PageSize)> {
    let mut granted = HashSet::new();
    for cgroup in &snapshot.cgroups {
        if let Owner::Pod(pod) = &*cgroup.owner {
            let sizes = cgroup.hugetlb.iter().filter(|hugetlb| hugetlb.limit.is_grant());
            granted.extend(sizes.map(|hugetlb| (&pod.uid, hugetlb.page_size)));
        }
    }
    granted
}

/// crun puts the container itself into `<scope>/container` and writes the limit only there: for each such
/// scope, the inner cgroup.
fn inner_containers(snapshot: &Snapshot) -> HashMap<usize, &Cgroup> {
    let inside = snapshot.cgroups.iter().filter(|cgroup| {
        *cgroup.owner == Owner::InsideContainer && cgroup.path.ends_with("/container")
    });
    inside
        .filter_map(|cgroup| {
            let parent = cgroup.parent?;
            let is_container = matches!(&*snapshot.cgroups.get(parent)?.owner, Owner::Container(_));
            is_container.then_some((parent, cgroup))
        })
        .collect()
}

/// One instance of a container.
struct Own {
    instance: Instance,
    sizes: Vec<TenantSize>,
}

impl Own {
    fn read(
        cgroup: &Cgroup,
        inner: Option<&Cgroup>,
        container: &ContainerCgroup,
        history: &History,
    ) -> Self {
        let size = |hugetlb: &Hugetlb| {
            let mut size =
                TenantSize::of_cgroup(hugetlb, history.instance(&container.id, hugetlb.page_size));
            if let Some(inner) = inner.and_then(|inner| inner.of_size(hugetlb.page_size)) {
                size.limit = size.limit.least(inner.limit);
                size.reservation_limit = size.reservation_limit.least(inner.reservation_limit);
            }
            size
        };
        let instance = Instance {
            container_id: container.runtime.qualify(&container.id),
            cgroup: cgroup.path.to_string(),
            qos: container.pod.qos,
            runtime: container.runtime,
            in_pod_cgroup: container.in_pod_cgroup,
        };
        Self { instance, sizes: cgroup.hugetlb.iter().map(size).collect() }
    }

    /// Too important to wait for a name.
    fn is_urgent(&self) -> bool {
        self.sizes.iter().any(|size| size.was_refused() || size.is_overcommitted())
    }
}

/// How young an instance is: by its number of restarts, then by its cgroup's inode number.
type Age = (Option<u32>, u64);

/// All instances of one container.
#[derive(Default)]
struct Merged {
    newest: Option<(Age, Instance)>,
    sizes: BTreeMap<PageSize, TenantSize>,
    named: bool,
}

impl Merged {
    fn add(&mut self, own: Own, age: Age, named: bool) {
        self.named |= named;
        let is_newest = self.newest.as_ref().is_none_or(|(newest, _)| age > *newest);
        for size in own.sizes {
            self.sizes
                .entry(size.page_size)
                .and_modify(|sum| sum.add_instance(&size, is_newest))
                .or_insert(size);
        }
        if is_newest {
            self.newest = Some((age, own.instance));
        }
    }

    fn add_past(&mut self, tallies: impl Iterator<Item = (PageSize, Tally)>) {
        for (page_size, tally) in tallies {
            self.sizes
                .entry(page_size)
                .and_modify(|size| size.add_past(tally))
                .or_insert_with(|| TenantSize::of_the_dead(page_size, tally));
        }
    }

    fn into_state(
        self,
        key: ContainerKey,
        granted: &HashSet<(&PodUid, PageSize)>,
        history: &History,
        selection: Selection,
    ) -> Option<ContainerState> {
        let Self { newest, sizes, named } = self;
        let alive = newest.is_some();
        // A sandbox has no name, no limit and no pages; it is no container that anyone would look for.
        let pod_grant = |page_size| named && granted.contains(&(&key.uid, page_size));
        let shown = |size: &TenantSize| {
            let granted = size.limit.is_grant() || pod_grant(size.page_size);
            size.was_refused() || (alive && (selection.idle || granted || size.is_active()))
        };
        let sizes: Vec<_> = sizes.into_values().filter(shown).collect();
        let identity = identity(&key.uid, key.container, history);
        (!sizes.is_empty()).then(|| ContainerState {
            identity,
            newest: newest.map(|(_, instance)| instance),
            sizes,
        })
    }
}

impl TenantSize {
    /// Another instance of the same container: what it holds and was refused adds up, limits are the newest's.
    fn add_instance(&mut self, other: &Self, other_is_newest: bool) {
        self.usage = self.usage.plus(other.usage);
        self.reserved = self.reserved.plus(other.reserved);
        self.failures = self.failures.plus(other.failures);
        self.peak_usage = self.peak_usage.combine(other.peak_usage, |a, b| Some(a.max(b)));
        // Two instances that run together may use more than either ever did.
        self.peak_usage = self.peak_usage.combine(self.usage, |peak, usage| Some(peak.max(usage)));
        self.last_failure = self.last_failure.max(other.last_failure);
        self.numa_usage =
            std::mem::take(&mut self.numa_usage).combine(other.numa_usage.clone(), add_nodes);
        if other_is_newest {
            (self.limit, self.reservation_limit) = (other.limit, other.reservation_limit);
        }
    }

    /// What earlier instances left behind.
    fn add_past(&mut self, past: Tally) {
        self.failures = self.failures.and_then(|failures| failures.checked_add(past.failures));
        self.peak_usage = self.peak_usage.map(|peak| peak.max(past.peak));
        self.last_failure = self.last_failure.max(past.last_failure);
    }
}

/// What two instances use, node by node.
fn add_nodes(mut sum: Vec<NumaUsage>, other: Vec<NumaUsage>) -> Option<Vec<NumaUsage>> {
    for part in other {
        match sum.iter_mut().find(|known| known.node == part.node) {
            Some(known) => known.usage = known.usage.checked_add(part.usage)?,
            None => sum.push(part),
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
