//! Where the kernel's figures can't tell who will be refused.
//!
//! A page is reserved by who maps it first and charged to who touches it first. For a file that two
//! cgroups map, for a segment that outlives its creator, or for a process that was moved, these differ,
//! and nothing in the kernel's figures tells who will touch the rest.

use super::{Account, Outlook, PoolRoom};
use crate::identity::Owner;
use crate::snapshot::{Limit, Reading, Snapshot};
use crate::units::Bytes;

/// Why it can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertainty {
    /// It touches, or has mapped, pages that are reserved elsewhere; how many more is not known.
    TouchesReservedElsewhere,
    /// Others touch pages that are reserved elsewhere, perhaps here; then less is to come here.
    ReservedPagesTouchedElsewhere,
    /// Its children touch each other's pages; whose limit applies to the rest is not known.
    WithinItself,
    /// It has mapped without a reservation what others map too; who touches it first pays for it.
    ContestedPages,
    /// All that is mapped without a reservation is more than the pool can give; whose touch will be the
    /// first that fails is not known.
    PoolContested,
}

/// Withdraws the verdicts that can't be given.
pub(super) fn tell(
    outlooks: &mut [Outlook],
    accounts: &[Account],
    snapshot: &Snapshot,
    pool: &PoolRoom,
) {
    let contested = is_contested(accounts, pool);
    let may_be = |account: &Account| {
        account.foreign.max(account.contested) > Bytes::ZERO || account.is_netted
    };
    if !contested && !accounts.iter().any(may_be) {
        return;
    }
    let pods = pods(snapshot);
    let outside = foreign_of_all(accounts, snapshot, &pods);
    let judge = |(index, account): (usize, &Account)| {
        let shortfall = outlooks.get(index).map(|outlook| outlook.shortfall);
        let short = shortfall.and_then(Reading::present).unwrap_or_default();
        let pod = pods.get(index).copied().flatten();
        if contested && account.asked > Bytes::ZERO && short == Bytes::ZERO {
            return Some(Uncertainty::PoolContested);
        }
        if receives_unknown(account, pool) {
            return Some(Uncertainty::TouchesReservedElsewhere);
        }
        let pod = pod.and_then(|pod| accounts.get(pod));
        let beside = pod.map_or(Bytes::ZERO, |pod| foreign_beside(pod, account));
        let outside = outside.less(pod.map_or(account.foreign, Account::foreign_within));
        if short > Bytes::ZERO && (beside > Bytes::ZERO || outside >= short) || account.is_netted {
            return Some(Uncertainty::ReservedPagesTouchedElsewhere);
        }
        if short > Bytes::ZERO && account.contested >= short {
            return Some(Uncertainty::ContestedPages);
        }
        (short == Bytes::ZERO && may_be_short_within(account, pool))
            .then_some(Uncertainty::WithinItself)
    };
    let told: Vec<_> = accounts.iter().enumerate().map(judge).collect();
    let is_told = |index: usize| told.get(index).copied().flatten().is_some();
    for ((outlook, account), uncertainty) in outlooks.iter_mut().zip(accounts).zip(&told) {
        if uncertainty.is_some() {
            outlook.uncertainty = *uncertainty;
            (outlook.shortfall, outlook.short_of) = (Reading::Absent, None);
        }
        // What is not known of one whose limit binds is not known of those below it either.
        let is_known = uncertainty.is_none() && !account.margin_of.is_some_and(is_told);
        if !is_known && outlook.margin != Reading::Failed {
            outlook.margin = Reading::Absent;
        }
    }
}

/// Whether the pool can't give all that is mapped without a reservation and that the limits let through.
fn is_contested(accounts: &[Account], pool: &PoolRoom) -> bool {
    let Reading::Present(room) = pool.unreserved else { return false };
    let all = total(accounts.iter().map(|account| account.asked));
    if all <= room {
        return false;
    }
    // Containers that map one object together touch no more than there is of it.
    let sharing = accounts.iter().enumerate().filter(|(_, pod)| pod.counted_twice > Bytes::ZERO);
    let twice = sharing.map(|(index, pod)| {
        let within = accounts.iter().filter(|account| is_below(accounts, account, index));
        total(within.map(|account| account.asked)).less(pod.unreserved)
    });
    all.less(total(twice)) > room
}

/// Whether an account is anywhere below that one.
fn is_below(accounts: &[Account], account: &Account, above: usize) -> bool {
    let mut parent = account.parent;
    while let Some(index) = parent {
        if index == above {
            return true;
        }
        // Parents stand before their children, so this ends.
        parent = accounts.get(index).and_then(|account| account.parent);
    }
    false
}

/// A limit owner that is charged for pages reserved elsewhere, and whose limit does not cover all that may
/// still come.
fn receives_unknown(account: &Account, pool: &PoolRoom) -> bool {
    let (Some(limit), Some(usage)) = (account.limit.finite(), account.usage.present()) else {
        return false;
    };
    account.foreign > Bytes::ZERO && most_ever(account, usage, pool) > limit
}

/// A limit owner whose children's limits keep it from being short only if each touches its own, or only if what
/// some of them touch is what the others have reserved: it may as well be another pod's.
fn may_be_short_within(account: &Account, pool: &PoolRoom) -> bool {
    let (Reading::Present(Limit::At(limit)), Some(usage)) =
        (account.bound(), account.usage.present())
    else {
        return false;
    };
    let most = account.committed.present().max(account.need_apart.present()).unwrap_or_default();
    account.foreign_below > Bytes::ZERO && most.min(most_ever(account, usage, pool)) > limit
}

/// What it would use if it touched all that the pool keeps for anyone, and all it mapped without a reservation.
fn most_ever(account: &Account, usage: Bytes, pool: &PoolRoom) -> Bytes {
    let to_come = pool.most_reserved().0.saturating_add(account.unreserved.0);
    Bytes(usage.0.saturating_add(to_come))
}

/// Pages that are charged in the same pod and reserved elsewhere, but not in this account.
fn foreign_beside(pod: &Account, account: &Account) -> Bytes {
    pod.foreign_below.less(account.foreign.max(account.foreign_below))
}

/// Pages that pods and services, or containers in them, are charged for and have not reserved themselves. What
/// one container of a pod reserves and another touches may be the same pages, or not.
fn foreign_of_all(accounts: &[Account], snapshot: &Snapshot, pods: &[Option<usize>]) -> Bytes {
    let all = accounts.iter().zip(snapshot.cgroups.iter()).zip(pods).enumerate();
    let alone = all.filter(|(index, ((account, cgroup), pod))| match pod {
        Some(pod) => pod == index,
        None => *cgroup.owner != Owner::Tier && account.foreign_below == Bytes::ZERO,
    });
    total(alone.map(|(_, ((account, _), _))| account.foreign_within()))
}

fn total(bytes: impl Iterator<Item = Bytes>) -> Bytes {
    bytes.fold(Bytes::ZERO, |sum, bytes| Bytes(sum.0.saturating_add(bytes.0)))
}

/// The pod that each cgroup is in, by its index: itself for a pod.
fn pods(snapshot: &Snapshot) -> Vec<Option<usize>> {
    let mut pods: Vec<Option<usize>> = Vec::with_capacity(snapshot.cgroups.len());
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let above = cgroup.parent.and_then(|parent| pods.get(parent).copied().flatten());
        let is_pod = matches!(*cgroup.owner, Owner::Pod(_));
        pods.push(if is_pod { Some(index) } else { above });
    }
    pods
}
