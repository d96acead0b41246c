//! What the containers' processes have mapped, as far as that is looked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::identity::Owner;
use crate::snapshot::{Mapping, Snapshot};
use crate::units::{Bytes, PageSize};

/// What processes of a cgroup have mapped of one page size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mapped {
    /// Without a reservation, and not yet touched.
    pub(super) unreserved: Bytes,
    /// With a reservation and shared: it may be charged here or to whoever mapped it first.
    pub(super) reserved: Bytes,
}

/// By the index of the cgroup: a container's innermost, and its pod's. Unreserved pages are the
/// container's alone; their sum climbs by itself.
pub(super) fn of_cgroups(
    snapshot: &Snapshot,
    page_size: PageSize,
    inner: &[Option<usize>],
) -> HashMap<usize, Mapped> {
    let mut found = HashMap::new();
    let Some(mappings) = snapshot.mappings.as_ref().filter(|all| !all.containers.is_empty()) else {
        return found;
    };
    let mut pods: BTreeMap<usize, BTreeSet<_>> = BTreeMap::new();
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Container(container) = &*cgroup.owner else { continue };
        let Some(mapped) = mappings.containers.get(&container.id) else { continue };
        let of_size: Vec<&Mapping> =
            mapped.iter().filter(|mapping| mapping.page_size == page_size).collect();
        let place = inner.get(index).copied().flatten().unwrap_or(index);
        let reserved = cgroup.of_size(page_size).and_then(|hugetlb| hugetlb.reserved.present());
        found.insert(place, sum(&of_size, reserved.unwrap_or_default()));
        let shared = of_size.iter().filter(|mapping| mapping.reserved && mapping.shared);
        if let Some(pod) = cgroup.parent.filter(|_| container.in_pod_cgroup) {
            let objects = shared.map(|mapping| (mapping.object, mapping.size));
            pods.entry(pod).or_default().extend(objects);
        }
    }
    for (pod, objects) in pods {
        let reserved = total(objects.iter().map(|(_, size)| *size));
        found.insert(pod, Mapped { unreserved: Bytes::ZERO, reserved });
    }
    found
}

/// A page that was touched without a reservation counts as reserved from then on. So of what the cgroup
/// has reserved, the part that no reserved mapping explains is touched pages of the others; no less than
/// one process is seen to have touched, no more than is mapped.
fn sum(mapped: &[&Mapping], reserved_here: Bytes) -> Mapped {
    let of = |reserved: bool| mapped.iter().filter(move |mapping| mapping.reserved == reserved);
    let unreserved = total(of(false).map(|mapping| mapping.size));
    let seen = total(of(false).map(|mapping| mapping.touched)).min(unreserved);
    let explained = total(of(true).map(|mapping| mapping.size));
    let touched = reserved_here.less(explained).clamp(seen, unreserved);
    Mapped {
        unreserved: unreserved.less(touched),
        reserved: total(of(true).filter(|mapping| mapping.shared).map(|mapping| mapping.size)),
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
        let mapped: Vec<&Mapping> = mapped.iter().collect();
        assert_eq!(sum(&mapped, Bytes(reserved_here)).unreserved, Bytes(unreserved));
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
