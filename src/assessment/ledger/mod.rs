//! What is true of every cgroup, for one page size: what it has committed to, what it needs, and whether
//! that can be had.
//!
//! ```text
//! committed = the greater of reserved and used, and what is mapped without a reservation
//! need      = a leaf's is its committed; else what belongs to no living child, and of each child what it
//!             needs, but no more than its own limit lets it have; never more than is committed here
//! shortfall = need less limit, of a cgroup with a limit; need being no more than what is used, and still to be
//!             touched here, everywhere above, and of the pool, unless the kernel has lost count there
//! ```
//!
//! A child that over-commits its own limit must not make its healthy sibling look short; pages that a dead
//! container's file holds are their pod's own; what one has mapped and another has touched is paid for.

mod mapped;
mod outlook;
mod ranges;
mod uncertainty;

use crate::snapshot::{Hugetlb, Limit, Pool, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

use super::pools::lost_reservations;
use mapped::Mapped;
pub use outlook::{FailureMode, Outlook, ShortOf};
pub use uncertainty::Uncertainty;

/// What is to be expected of every cgroup of a snapshot, by page size.
#[derive(Debug)]
pub(super) struct Ledger {
    sizes: Vec<Sheet>,
}

/// What is to be expected of each cgroup for one page size, in the snapshot's order.
#[derive(Debug)]
struct Sheet {
    page_size: PageSize,
    outlooks: Vec<Outlook>,
}

/// One cgroup's account for one page size.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    parent: Option<usize>,
    usage: Reading<Bytes>,
    reserved: Reading<Bytes>,
    limit: Reading<Limit>,
    reservation_limit: Reading<Limit>,
    /// Mapped here and below without a reservation, and not yet touched.
    unreserved: Bytes,
    /// The same, by processes of this very cgroup.
    unreserved_here: Bytes,
    /// What of that the limits here and above would let be touched.
    asked: Bytes,
    committed: Reading<Bytes>,
    need: Reading<Bytes>,
    /// The same if each of its children touches its own and nobody else's.
    need_apart: Reading<Bytes>,
    /// Whether it would be short but for what the figures above say is touched already.
    is_netted: bool,
    /// Whose limit leaves the least above its need, here or above.
    margin_of: Option<usize>,
    /// Charged here, or mapped here, and reserved elsewhere.
    foreign: Bytes,
    /// The sum of its children's, and theirs.
    foreign_below: Bytes,
    /// The same of what is charged, mapped or not.
    foreign_touched: Bytes,
    /// Mapped here without a reservation, and by others too.
    contested: Bytes,
    /// What its children's figures hold more than once of such.
    counted_twice: Bytes,
}

/// What an account's children add up to.
#[derive(Debug, Clone, Copy)]
struct Below {
    committed: Bytes,
    /// What they need, as far as their own limits let them.
    need: Reading<Bytes>,
    unreserved: Bytes,
    foreign: Bytes,
    foreign_touched: Bytes,
    any: bool,
}

impl Ledger {
    /// Does the sums.
    pub(super) fn of(snapshot: &Snapshot, inner: &[Option<usize>]) -> Self {
        let mut sizes: Vec<PageSize> = snapshot
            .cgroups
            .iter()
            .flat_map(|cgroup| cgroup.hugetlb.iter().map(|hugetlb| hugetlb.page_size))
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        let sheet = |page_size| Sheet::of(snapshot, page_size, inner);
        Self { sizes: sizes.into_iter().map(sheet).collect() }
    }

    /// What is to be expected of the cgroup with that index.
    pub(super) fn outlook(&self, index: usize, page_size: PageSize) -> Outlook {
        let sheet = self.sizes.iter().find(|sheet| sheet.page_size == page_size);
        sheet.and_then(|sheet| sheet.outlooks.get(index)).copied().unwrap_or_default()
    }

    /// What is to be expected of every cgroup, by page size and in the snapshot's order.
    pub(super) fn outlooks(&self) -> impl Iterator<Item = (PageSize, usize, &Outlook)> {
        self.sizes.iter().flat_map(|sheet| {
            let of_cgroup = move |(index, outlook)| (sheet.page_size, index, outlook);
            sheet.outlooks.iter().enumerate().map(of_cgroup)
        })
    }
}

impl Sheet {
    fn of(snapshot: &Snapshot, page_size: PageSize, inner: &[Option<usize>]) -> Self {
        let mapped = mapped::of_cgroups(snapshot, page_size, inner);
        let mut accounts = vec![Account::default(); snapshot.cgroups.len()];
        let mut below = vec![Below::default(); snapshot.cgroups.len()];
        for (index, cgroup) in snapshot.cgroups.iter().enumerate().rev() {
            let Some(hugetlb) = cgroup.of_size(page_size) else { continue };
            let children = below.get(index).copied().unwrap_or_default();
            let mapped = mapped.get(&index).copied().unwrap_or_default();
            let account = Account::of(hugetlb, cgroup.parent, children, mapped);
            if let Some(parent) = cgroup.parent.and_then(|parent| below.get_mut(parent)) {
                parent.add(&account);
            }
            if let Some(place) = accounts.get_mut(index) {
                *place = account;
            }
        }
        drop(below);
        let pool = snapshot.pools.iter().find(|pool| pool.page_size == page_size);
        let pool = PoolRoom::of(snapshot, pool);
        let mut outlooks = outlook::of_accounts(&mut accounts, snapshot, &pool);
        uncertainty::tell(&mut outlooks, &accounts, snapshot, &pool);
        Self { page_size, outlooks }
    }
}

impl Account {
    fn of(hugetlb: &Hugetlb, parent: Option<usize>, below: Below, mapped: Mapped) -> Self {
        let unreserved = Bytes(below.unreserved.0.saturating_add(mapped.unreserved.0));
        let unreserved = unreserved.less(mapped.counted_twice);
        let (touched, foreign) = match (hugetlb.usage, hugetlb.reserved) {
            (Reading::Present(usage), Reading::Present(reserved)) => {
                let touched = usage.less(reserved);
                (touched, touched.max(mapped.reserved.less(usage.max(reserved))))
            }
            _ => (Bytes::ZERO, Bytes::ZERO),
        };
        let mut account = Self {
            parent,
            usage: hugetlb.usage,
            reserved: hugetlb.reserved,
            limit: hugetlb.limit,
            reservation_limit: hugetlb.reservation_limit,
            unreserved,
            unreserved_here: mapped.unreserved,
            asked: Bytes::ZERO,
            committed: committed(hugetlb, unreserved),
            need: Reading::Absent,
            need_apart: Reading::Absent,
            is_netted: false,
            margin_of: None,
            foreign,
            foreign_below: below.foreign,
            foreign_touched: touched.max(below.foreign_touched),
            contested: mapped.contested,
            counted_twice: mapped.counted_twice,
        };
        (account.need_apart, account.need) = match (account.committed, below.any) {
            (Reading::Present(committed), true) => {
                let own = committed.less(below.committed);
                let apart = below.need.map(|need| Bytes(need.0.saturating_add(own.0)));
                (apart, apart.map(|need| need.min(committed)))
            }
            (committed, _) => (committed, committed),
        };
        account
    }

    /// What its need is held against. Pages mapped without a reservation are charged twice when they are
    /// touched, so a reservation limit refuses them as well.
    fn bound(&self) -> Reading<Limit> {
        if self.unreserved > Bytes::ZERO {
            self.limit.least(self.reservation_limit)
        } else {
            self.limit
        }
    }

    /// Mapped, and not yet touched: no more than the pool keeps for anyone, since what is reserved here may be
    /// touched by others, also by processes in no cgroup.
    fn outstanding(&self, pool: &PoolRoom) -> Option<Bytes> {
        let (usage, reserved) = (self.usage.present()?, self.reserved.present()?);
        let kept = reserved.less(usage).min(pool.most_reserved());
        Some(Bytes(kept.0.saturating_add(self.unreserved.0)))
    }

    /// Charged here or below and reserved elsewhere. Of what is only mapped the pod's own figures tell whether
    /// it is reserved in it.
    fn foreign_within(&self) -> Bytes {
        self.foreign.max(self.foreign_touched)
    }
}

/// An old kernel has no reservations, and what was touched is not all that was mapped.
fn committed(hugetlb: &Hugetlb, unreserved: Bytes) -> Reading<Bytes> {
    match (hugetlb.usage, hugetlb.reserved) {
        (Reading::Present(usage), Reading::Present(reserved)) => {
            Reading::Present(usage.max(reserved)).plus(Reading::Present(unreserved))
        }
        (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
        _ => Reading::Absent,
    }
}

impl Below {
    fn add(&mut self, child: &Account) {
        let capped = match child.bound() {
            Reading::Present(Limit::At(limit)) => child.need.map(|need| need.min(limit)),
            Reading::Present(Limit::Unlimited) | Reading::Absent => child.need,
            Reading::Failed => Reading::Failed,
        };
        let committed = child.committed.present().unwrap_or_default();
        self.committed = Bytes(self.committed.0.saturating_add(committed.0));
        self.need = if child.need == Reading::Absent { self.need } else { self.need.plus(capped) };
        self.unreserved = Bytes(self.unreserved.0.saturating_add(child.unreserved.0));
        let foreign = child.foreign.max(child.foreign_below);
        self.foreign = Bytes(self.foreign.0.saturating_add(foreign.0));
        self.foreign_touched =
            Bytes(self.foreign_touched.0.saturating_add(child.foreign_touched.0));
        self.any = true;
    }
}

impl Default for Below {
    fn default() -> Self {
        Self {
            committed: Bytes::ZERO,
            need: Reading::Present(Bytes::ZERO),
            unreserved: Bytes::ZERO,
            foreign: Bytes::ZERO,
            foreign_touched: Bytes::ZERO,
            any: false,
        }
    }
}

/// What the node's pool can give, where that is known.
#[derive(Debug, Clone, Copy)]
struct PoolRoom {
    /// To mappings that have no reservation: free and not reserved, and what may still be made.
    unreserved: Reading<Bytes>,
    /// Reserved by anyone and not yet touched; nothing where the kernel has lost count of it.
    reserved: Reading<Bytes>,
}

impl PoolRoom {
    fn of(snapshot: &Snapshot, pool: Option<&Pool>) -> Self {
        let Some(pool) = pool else {
            return Self { unreserved: Reading::Absent, reserved: Reading::Absent };
        };
        let room = match pool.bytes(pool.available()) {
            Reading::Present(room) => {
                Reading::Present(room).plus(pool.bytes(pool.overcommit_room()))
            }
            unknown => unknown,
        };
        let is_lost = lost_reservations(snapshot, pool).is_some();
        let reserved = if is_lost { Reading::Absent } else { pool.reserved_bytes() };
        Self { unreserved: room, reserved }
    }

    /// The most that can still be touched of what is reserved.
    fn most_reserved(&self) -> Bytes {
        self.reserved.present().unwrap_or(Bytes(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
