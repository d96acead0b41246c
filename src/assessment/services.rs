//! Users of huge pages that are no pod.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::{ServiceState, TenantSize};
use crate::identity::Owner;
use crate::snapshot::{Cgroup, Snapshot};
use crate::units::Bytes;

/// The most that are shown, those that hold most first: a node has few, a broken one must not have many.
const MOST: usize = 50;

/// The services to show, by path. Of a branch of the tree the deepest cgroups count.
pub(super) fn states(snapshot: &Snapshot) -> Vec<ServiceState> {
    let parents: HashSet<usize> =
        snapshot.cgroups.iter().filter_map(|cgroup| cgroup.parent).collect();
    let is_service = |(index, cgroup): &(usize, &Cgroup)| {
        *cgroup.owner == Owner::Service && !parents.contains(index)
    };
    let mut services: Vec<(Bytes, ServiceState)> = snapshot
        .cgroups
        .iter()
        .enumerate()
        .filter(is_service)
        .map(|(_, cgroup)| (committed(cgroup), state(cgroup)))
        .filter(|(_, service)| !service.sizes.is_empty())
        .collect();
    services.sort_by(|(a, left), (b, right)| {
        (Reverse(a), &left.cgroup).cmp(&(Reverse(b), &right.cgroup))
    });
    services.truncate(MOST);
    let mut services: Vec<_> = services.into_iter().map(|(_, service)| service).collect();
    services.sort_by(|left, right| left.cgroup.cmp(&right.cgroup));
    services
}

fn state(cgroup: &Cgroup) -> ServiceState {
    let sizes = cgroup.hugetlb.iter().map(|hugetlb| TenantSize::of_cgroup(hugetlb, None));
    ServiceState {
        cgroup: cgroup.path.to_string(),
        sizes: sizes.filter(|size| size.usage.is_some() || size.reserved.is_some()).collect(),
    }
}

/// What it holds of all sizes.
fn committed(cgroup: &Cgroup) -> Bytes {
    let of_size =
        |usage: Option<Bytes>, reserved: Option<Bytes>| usage.max(reserved).unwrap_or_default();
    let sizes = cgroup
        .hugetlb
        .iter()
        .map(|hugetlb| of_size(hugetlb.usage.present(), hugetlb.reserved.present()));
    sizes.fold(Bytes::ZERO, |sum, size| Bytes(sum.0.saturating_add(size.0)))
}
