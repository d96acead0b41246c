//! Containers: their cgroups, their instances made one, their dead.

use std::sync::Arc;

use super::ledger::{Ledger, Outlook};
use super::pods::identity;
use super::{ContainerState, Identity, Instance, PodState, TenantSize, Thresholds};
use crate::history::{ContainerKey, History, Living, Tally};
use crate::identity::{ContainerCgroup, Owner};
use crate::snapshot::{Cgroup, EXPORTER, Hugetlb, NumaUsage, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

/// The containers to show, by UID and name.
pub(super) fn states(
    snapshot: &Snapshot,
    history: &History,
    ledger: &Ledger,
    inner: &[Option<usize>],
    pods: &[PodState],
    thresholds: &Thresholds,
) -> Vec<ContainerState> {
    let mut merged = instances(snapshot, history, ledger, inner);
    // In the order of the tree they are nearly in the order of the keys.
    merged.sort_by(|(left, _), (right, _)| left.cmp(right));
    merged.dedup_by(|(key, later), (first, merged)| {
        let same = key == first;
        if same {
            merged.add(std::mem::take(later));
        }
        same
    });
    let mut dead = Vec::new();
    // What an exporter that is gone was refused, its probe was refused.
    for (key, tallies) in history.all_past().filter(|(key, _)| &*key.container != EXPORTER) {
        let place = merged.binary_search_by(|(other, _)| other.cmp(key));
        match place.ok().and_then(|place| merged.get_mut(place)) {
            Some((_, living)) => living.add_past(tallies),
            None => {
                let mut past = Merged::default();
                past.add_past(tallies);
                dead.push((key.clone(), past));
            }
        }
    }
    if !dead.is_empty() {
        merged.append(&mut dead);
        merged.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    let mut states = Vec::with_capacity(merged.len());
    states.extend(
        merged
            .into_iter()
            .filter_map(|(key, merged)| merged.into_state(key, pods, history, thresholds)),
    );
    states
}

/// Every instance that is not held back, each by itself.
fn instances(
    snapshot: &Snapshot,
    history: &History,
    ledger: &Ledger,
    inner: &[Option<usize>],
) -> Vec<(ContainerKey, Merged)> {
    let is_container = |cgroup: &&Cgroup| matches!(&*cgroup.owner, Owner::Container(_));
    let mut found = Vec::with_capacity(snapshot.cgroups.iter().filter(is_container).count());
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Container(container) = &*cgroup.owner else { continue };
        let living = history.living(&container.id);
        let name = living.and_then(Living::name);
        let inner = inner.get(index).copied().flatten();
        let mut own = Own::read(snapshot, (index, inner), cgroup, container, living, ledger);
        if snapshot.is_probing(&container.pod.uid) {
            own.sizes = own.sizes.into_iter().map(TenantSize::without_refusals).collect();
        }
        if name.is_none() && history.may_be_named_soon(&container.id) && !own.is_urgent() {
            continue;
        }
        let key = ContainerKey::of(&container.pod.uid, name.map(|(name, _)| name), &container.id);
        let age = (name.map(|(_, attempt)| attempt), cgroup.inode);
        let newest = Some((age, own.instance));
        found.push((key, Merged { newest, sizes: own.sizes, named: name.is_some() }));
    }
    found
}

/// crun puts the container itself into `<scope>/container` and writes the limit only there: for each
/// cgroup that is such a scope, the index of the inner one.
pub(super) fn inner(snapshot: &Snapshot) -> Vec<Option<usize>> {
    let mut inner = vec![None; snapshot.cgroups.len()];
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Some(parent) = cgroup.parent else { continue };
        let is_inner =
            *cgroup.owner == Owner::InsideContainer && cgroup.path.ends_with("/container");
        let scope = snapshot.cgroups.get(parent).map(|parent| &*parent.owner);
        if let (true, Some(Owner::Container(_)), Some(place)) =
            (is_inner, scope, inner.get_mut(parent))
        {
            *place = Some(index);
        }
    }
    inner
}

/// One instance of a container.
struct Own {
    instance: Instance,
    sizes: Vec<TenantSize>,
}

impl Own {
    fn read(
        snapshot: &Snapshot,
        (index, inner): (usize, Option<usize>),
        cgroup: &Cgroup,
        container: &ContainerCgroup,
        living: Option<Living<'_>>,
        ledger: &Ledger,
    ) -> Self {
        let inner_cgroup = inner.and_then(|inner| snapshot.cgroups.get(inner));
        let size = |hugetlb: &Hugetlb| {
            let page_size = hugetlb.page_size;
            let (tally, grant) = living.and_then(|living| living.size(page_size)).unzip();
            let mut size = TenantSize {
                outlook: ledger.outlook(index, page_size),
                guarding: snapshot.guarding(cgroup, hugetlb),
                grant: grant.unwrap_or_default(),
                ..TenantSize::of_cgroup(hugetlb, tally)
            };
            if let Some((inner_cgroup, hugetlb)) =
                inner_cgroup.and_then(|inner| Some((inner, inner.of_size(page_size)?)))
            {
                size.guarding = size.guarding.with(snapshot.guarding(inner_cgroup, hugetlb));
                size.limit = size.limit.least(hugetlb.limit);
                size.reservation_limit = size.reservation_limit.least(hugetlb.reservation_limit);
                let inner = inner.map(|inner| ledger.outlook(inner, page_size));
                size.outlook = inner.unwrap_or_default().of_the_same(size.outlook);
            }
            size
        };
        let instance = Instance {
            id: container.id.clone(),
            cgroup: Arc::clone(&cgroup.path),
            qos: container.pod.qos,
            runtime: container.runtime,
            in_pod_cgroup: container.in_pod_cgroup,
        };
        Self { instance, sizes: cgroup.hugetlb.iter().map(size).collect() }
    }

    /// Too important to wait for a name. What it was refused is reported of its pod meanwhile.
    fn is_urgent(&self) -> bool {
        self.sizes.iter().any(|size| size.outlook.shortfall.is_some())
    }
}

/// How young an instance is: by its number of restarts, then by its cgroup's inode number.
type Age = (Option<u32>, u64);

/// All instances of one container.
#[derive(Default)]
struct Merged {
    newest: Option<(Age, Instance)>,
    sizes: Vec<TenantSize>,
    named: bool,
}

impl Merged {
    fn add(&mut self, other: Self) {
        self.named |= other.named;
        let age = |newest: &Option<(Age, Instance)>| newest.as_ref().map(|(age, _)| *age);
        let is_newest = age(&other.newest) > age(&self.newest);
        for size in other.sizes {
            match self.of_size(size.page_size) {
                Some(sum) => sum.add_instance(&size, is_newest),
                None => self.sizes.push(size),
            }
        }
        if is_newest {
            self.newest = other.newest;
        }
    }

    fn add_past(&mut self, tallies: impl Iterator<Item = (PageSize, Tally)>) {
        for (page_size, tally) in tallies {
            match self.of_size(page_size) {
                Some(size) => size.add_past(tally),
                None => self.sizes.push(TenantSize::of_the_dead(page_size, tally)),
            }
        }
    }

    fn of_size(&mut self, page_size: PageSize) -> Option<&mut TenantSize> {
        self.sizes.iter_mut().find(|size| size.page_size == page_size)
    }

    fn into_state(
        self,
        key: ContainerKey,
        pods: &[PodState],
        history: &History,
        thresholds: &Thresholds,
    ) -> Option<ContainerState> {
        let Self { newest, mut sizes, named } = self;
        let alive = newest.is_some();
        // A sandbox has no name, no limit and no pages; it is no container that anyone would look for.
        let pod = pods.binary_search_by(|pod| (*pod.identity.uid).cmp(key.uid.as_str())).ok();
        let pod = pod.and_then(|place| pods.get(place));
        let pod_grant = |page_size| {
            let granted = |size: &TenantSize| size.page_size == page_size && size.limit.is_grant();
            named && pod.is_some_and(|pod| pod.sizes.iter().any(granted))
        };
        let shown = |size: &TenantSize| {
            let granted = size.limit.is_grant() || pod_grant(size.page_size);
            let maps = size.is_active() || size.outlook.unreserved > Bytes::ZERO;
            size.was_refused() || (alive && (thresholds.show_idle || granted || maps))
        };
        sizes.retain(shown);
        // Most nodes have pages of one size and files for two: of 1,000 containers that is half a megabyte.
        sizes.shrink_to_fit();
        sizes.sort_by_key(|size| size.page_size);
        let identity = Identity {
            instance: newest.as_ref().map(|(_, instance)| instance.id.shared()),
            ..match pod {
                Some(pod) => Identity { container: key.container, ..pod.identity.clone() },
                None => identity(&key.uid, key.container, history),
            }
        };
        (!sizes.is_empty()).then(|| ContainerState {
            identity,
            newest: newest.map(|(_, instance)| instance),
            sizes,
            memory: None,
        })
    }
}

impl TenantSize {
    /// Another instance of the same container: what it holds and was refused adds up, limits are the newest's.
    pub(super) fn add_instance(&mut self, other: &Self, other_is_newest: bool) {
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
            (self.grant, self.guarding) = (other.grant, other.guarding);
        }
        self.refusals = self.refusals.combine(other.refusals, |a, b| Some(a.with(b)));
        self.add_fault(other.fault.as_deref().copied());
        self.peak_reserved = self.peak_reserved.max(other.peak_reserved);
        self.add_refused_ends(other.refused_ends.as_deref().copied());
        self.outlook = if other_is_newest {
            other.outlook.with_older(self.outlook)
        } else {
            self.outlook.with_older(other.outlook)
        };
    }

    /// What earlier instances left behind.
    pub(super) fn add_past(&mut self, past: Tally) {
        self.failures = self.failures.and_then(|failures| failures.checked_add(past.failures));
        self.peak_usage = self.peak_usage.map(|peak| peak.max(past.peak));
        self.add_nameless(past);
    }

    /// What those were refused that are not reported by themselves; a pod's own counter holds theirs, or they were another's.
    pub(super) fn add_nameless(&mut self, tally: Tally) {
        self.last_failure = self.last_failure.max(tally.last_failure);
        self.refusals = match self.refusals {
            Reading::Absent => Reading::Present(tally.refusals),
            known => known.map(|refusals| refusals.with(tally.refusals)),
        };
        self.add_fault(tally.fault);
        self.peak_reserved = self.peak_reserved.max(tally.peak_reserved);
        self.add_refused_ends(tally.refused_ends);
    }
}

impl Outlook {
    /// A container's innermost cgroup, and the one around it that has limits of its own.
    fn of_the_same(self, around: Self) -> Self {
        let shorter =
            if around.shortfall.present() > self.shortfall.present() { around } else { self };
        Self {
            shortfall: shorter.shortfall,
            short_of: shorter.short_of,
            uncertainty: self.uncertainty.or(around.uncertainty),
            committed: around.committed,
            unreserved: around.unreserved,
            ..self
        }
    }

    /// Two instances of one container are short each by itself; how much is left, the newest tells.
    fn with_older(self, older: Self) -> Self {
        let uncertainty = self.uncertainty.or(older.uncertainty);
        // Of one it is not known, so it is not known of both.
        let known = uncertainty.is_none();
        let (shortfall, margin) = if known {
            let margin = self.margin.combine(older.margin, |a, b| Some(a.min(b)));
            (self.shortfall.plus(older.shortfall), margin)
        } else {
            (Reading::Absent, Reading::Absent)
        };
        Self {
            shortfall,
            short_of: self.short_of.or(older.short_of).filter(|_| known),
            uncertainty,
            margin,
            committed: self.committed.plus(older.committed),
            unreserved: Bytes(self.unreserved.0.saturating_add(older.unreserved.0)),
            ..self
        }
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
