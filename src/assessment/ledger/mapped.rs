//! What the containers' processes have mapped, as far as that is looked for.

use std::collections::{BTreeMap, HashMap};

use super::ranges::Objects;
use crate::identity::Owner;
use crate::snapshot::{Hugetlb, Mapping, Snapshot};
use crate::units::{Bytes, PageSize};

/// What processes of a cgroup have mapped of one page size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mapped {
    /// Without a reservation, and not yet touched.
    pub(super) unreserved: Bytes,
    /// What of its children's several map: each counts it.
    pub(super) counted_twice: Bytes,
    /// Without a reservation, and others map it too: who touches it first pays for it.
    pub(super) contested: Bytes,
    /// Shared, and reserved by somebody: it may be charged here or to whoever mapped it first.
    pub(super) reserved: Bytes,
}

/// A container's mappings, and where in the tree they count.
struct Tenant<'a> {
    place: usize,
    pod: Option<usize>,
    /// What its cgroup has reserved; on a kernel that does not tell, what it uses.
    reserved: Option<Bytes>,
    mappings: Vec<&'a Mapping>,
}

/// What is mapped by one container, or by all of a pod.
struct Held {
    /// Shared, and reserved by whoever mapped it first.
    reserved: Objects,
    /// Shared, and reserved by nobody.
    unreserved: Objects,
    /// The same of private mappings.
    private: Bytes,
    /// What of both is touched for certain, and what the cgroup's figures say.
    seen: Bytes,
    charged: Bytes,
}

/// By the index of the cgroup: a container's innermost, and its pod's. Unreserved pages are the
/// container's alone; their sum climbs by itself.
pub(super) fn of_cgroups(
    snapshot: &Snapshot,
    page_size: PageSize,
    inner: &[Option<usize>],
) -> HashMap<usize, Mapped> {
    let tenants = tenants(snapshot, page_size, inner);
    let all = tenants.iter().flat_map(|tenant| tenant.mappings.iter().copied());
    let promised = Objects::of(all.filter(|mapping| mapping.shared && mapping.reserved));
    let held: Vec<Held> = tenants.iter().map(|tenant| Held::of(tenant, &promised)).collect();
    let mut found = HashMap::with_capacity(held.len());
    let several = Objects::several(held.iter().map(|held| &held.unreserved));
    for (tenant, held) in tenants.iter().zip(&held) {
        found.insert(tenant.place, held.mapped(&several));
    }
    let mut pods: BTreeMap<Option<usize>, Vec<&Held>> = BTreeMap::new();
    for (tenant, held) in tenants.iter().zip(&held) {
        pods.entry(tenant.pod).or_default().push(held);
    }
    let pods: Vec<(Option<usize>, Held, Bytes)> = pods
        .into_iter()
        .map(|(pod, held)| (pod, Held::together(&held), total(held.iter().map(|h| h.to_come()))))
        .collect();
    let several = Objects::several(pods.iter().map(|(_, held, _)| &held.unreserved));
    for (pod, held, apart) in &pods {
        let Some(pod) = *pod else { continue };
        let mapped = held.mapped(&several);
        let counted_twice = apart.less(mapped.unreserved);
        found.insert(pod, Mapped { unreserved: Bytes::ZERO, counted_twice, ..mapped });
    }
    found
}

fn tenants<'a>(
    snapshot: &'a Snapshot,
    page_size: PageSize,
    inner: &[Option<usize>],
) -> Vec<Tenant<'a>> {
    let Some(mappings) = snapshot.mappings.as_ref() else { return Vec::new() };
    let mut tenants = Vec::with_capacity(mappings.containers.len());
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Container(container) = &*cgroup.owner else { continue };
        let Some(mapped) = mappings.containers.get(&container.id) else { continue };
        let known = |hugetlb: &Hugetlb| hugetlb.reserved.present().or(hugetlb.usage.present());
        tenants.push(Tenant {
            place: inner.get(index).copied().flatten().unwrap_or(index),
            pod: cgroup.parent.filter(|_| container.in_pod_cgroup),
            reserved: cgroup.of_size(page_size).and_then(known),
            mappings: mapped.iter().filter(|mapping| mapping.page_size == page_size).collect(),
        });
    }
    tenants
}

impl Held {
    /// A page that was touched without a reservation counts as reserved from then on. So of what the cgroup
    /// has reserved, the part that no reserved mapping explains is touched pages of the others; no less than
    /// one process is seen to have touched, no more than is mapped. What others have reserved is no more to
    /// come than what this container has.
    fn of(tenant: &Tenant<'_>, promised: &Objects) -> Self {
        let of = |reserved: bool, shared: bool| {
            let all = tenant.mappings.iter().copied();
            all.filter(move |mapping| mapping.reserved == reserved && mapping.shared == shared)
        };
        let private = total(of(false, false).map(|mapping| mapping.size));
        let (own, asked) = (Objects::of(of(true, true)), Objects::of(of(false, true)));
        let covered = asked.within(promised);
        let private_reserved = total(of(true, false).map(|mapping| mapping.size));
        let explained = Bytes(own.size().0.saturating_add(private_reserved.0));
        let touched = of(false, true).chain(of(false, false)).map(|mapping| mapping.touched);
        let held = Self {
            reserved: Objects::all([&own, &covered].into_iter()),
            unreserved: asked.without(promised),
            private,
            seen: total(touched).less(covered.size()),
            charged: tenant.reserved.unwrap_or_default().less(explained),
        };
        let size = held.size();
        match tenant.reserved {
            Some(_) => Self { seen: held.seen.min(size), charged: held.charged.min(size), ..held },
            // Of what it has touched nothing is known, so nothing is said to be to come.
            None => Self { unreserved: Objects::default(), private: Bytes::ZERO, ..held },
        }
    }

    /// All that several containers hold, what they share once.
    fn together(all: &[&Self]) -> Self {
        Self {
            reserved: Objects::all(all.iter().map(|held| &held.reserved)),
            unreserved: Objects::all(all.iter().map(|held| &held.unreserved)),
            private: total(all.iter().map(|held| held.private)),
            // Two processes may have touched the same pages, but only one is charged for each.
            seen: all.iter().map(|held| held.seen).max().unwrap_or_default(),
            charged: total(all.iter().map(|held| held.charged)),
        }
    }

    fn size(&self) -> Bytes {
        Bytes(self.unreserved.size().0.saturating_add(self.private.0))
    }

    fn to_come(&self) -> Bytes {
        self.size().less(self.seen.max(self.charged))
    }

    /// Its figures, if these parts are held by others too.
    fn mapped(&self, several: &Objects) -> Mapped {
        Mapped {
            unreserved: self.to_come(),
            counted_twice: Bytes::ZERO,
            contested: self.unreserved.within(several).size(),
            reserved: self.reserved.size(),
        }
    }
}

fn total(sizes: impl Iterator<Item = Bytes>) -> Bytes {
    sizes.fold(Bytes::ZERO, |sum, size| Bytes(sum.0.saturating_add(size.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::MappedObject;
    use crate::snapshot::example::page_size;

    fn mapping(inode: u64, size: u64, touched: u64, reserved: bool) -> Mapping {
        Mapping {
            object: MappedObject { device: (0, 1), inode, offset: 0 },
            page_size: page_size(),
            size: Bytes(size),
            touched: Bytes(touched),
            shared: true,
            reserved,
        }
    }

    #[track_caller]
    fn check(mapped: &[Mapping], reserved_here: u64, unreserved: u64) {
        let reserved = Some(Bytes(reserved_here));
        let tenant = Tenant { place: 0, pod: None, reserved, mappings: mapped.iter().collect() };
        assert_eq!(Held::of(&tenant, &Objects::default()).to_come(), Bytes(unreserved));
    }

    #[test]
    fn what_is_reserved_adds_nothing() {
        check(&[mapping(1, 100, 30, true)], 100, 0);
    }

    #[test]
    fn what_is_not_reserved_adds_what_is_not_yet_touched() {
        check(&[mapping(1, 100, 0, false)], 0, 100);
        check(&[mapping(1, 100, 30, false)], 30, 70);
        check(&[mapping(1, 100, 0, true), mapping(2, 50, 10, false)], 110, 40);
        // What one process is seen to have touched is touched, whatever the cgroup says by now.
        check(&[mapping(1, 100, 30, false)], 0, 70);
    }

    #[test]
    fn many_processes_that_touch_one_segment_touch_it_once() {
        // 50 backends, of which no one has touched more than 10, have touched all of it together.
        check(&[mapping(1, 100, 10, false)], 100, 0);
    }

    #[test]
    fn nothing_is_touched_twice() {
        check(&[mapping(1, 100, 120, false)], 500, 0);
    }
}
