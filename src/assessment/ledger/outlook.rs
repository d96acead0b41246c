//! What is to be expected of a cgroup: who will be refused, how much is left, and which limit says so.

use std::fmt;

use super::uncertainty::Uncertainty;
use super::{Account, PoolRoom};
use crate::identity::Owner;
use crate::snapshot::{Limit, Reading, Snapshot};
use crate::units::{Bytes, SignedBytes};

/// What is to be expected of a cgroup, for one page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// What it needs and can't have; above zero a process charged to it will be killed. Present for a
    /// cgroup with a limit, and where more is mapped without a reservation than the pool can give.
    pub shortfall: Reading<Bytes>,
    /// What it is short of, where it is.
    pub short_of: Option<ShortOf>,
    /// The least fault limit, its own or one above.
    pub limit: Reading<Limit>,
    /// Why the kernel's figures can't tell, where they can't; then there is no shortfall.
    pub uncertainty: Option<Uncertainty>,
    /// All that it and those below have mapped: with such a limit nobody is refused.
    pub committed: Reading<Bytes>,
    /// Of that, what was mapped without a reservation and is not yet touched.
    pub unreserved: Bytes,
    /// Mapped and still to be touched here, as far as every limit and the pool let.
    pub to_come: Reading<Bytes>,
    /// The least of limit less need, here and above; absent without any limit.
    pub margin: Reading<SignedBytes>,
    /// What can still be touched: the least that a limit here or above, or the pool, leaves.
    pub headroom: Reading<Bytes>,
    /// Which of them leaves least; the innermost of equals.
    pub bound_by: Option<Level>,
    /// What the next mapping that is too large will meet.
    pub failure_mode: Reading<FailureMode>,
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortOf {
    /// The fault limit.
    Limit,
    /// The reservation limit, which refuses touches of what was mapped without a reservation.
    ReservationLimit,
    /// The node's pool.
    Pool,
}

/// Whose limit binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The container's own.
    Container,
    /// The pod's.
    Pod,
    /// That of kubepods or one of its tiers.
    Kubepods,
    /// That of any other cgroup above, or of a service.
    Cgroup,
    /// None: the node's pool is what there is.
    Pool,
}

/// What becomes of one who maps more than it may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureMode {
    /// mmap is refused.
    Enomem,
    /// mmap succeeds, and a touch kills.
    Sigbus,
    /// Nothing stops it but the pool.
    Unenforced,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Kubepods => "kubepods",
            Self::Cgroup => "cgroup",
            Self::Pool => "pool",
        })
    }
}

impl fmt::Display for FailureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enomem => "enomem",
            Self::Sigbus => "sigbus",
            Self::Unenforced => "unenforced",
        })
    }
}

impl Level {
    fn of(owner: &Owner) -> Self {
        match owner {
            Owner::Container(_) | Owner::InsideContainer => Self::Container,
            Owner::Pod(_) | Owner::PodInfrastructure(_) => Self::Pod,
            Owner::Tier => Self::Kubepods,
            Owner::Service => Self::Cgroup,
        }
    }
}

/// What holds here and above.
#[derive(Debug, Clone, Copy, Default)]
struct Chain {
    /// The least that is still to be touched; more than that can't be short.
    outstanding: Option<Bytes>,
    margin: Reading<SignedBytes>,
    /// The index of whose limit that is.
    margin_of: Option<usize>,
    room: Reading<Bytes>,
    level: Option<Level>,
    reservation_room: Reading<SignedBytes>,
    limit: Reading<Limit>,
}

/// The outlook of every account.
pub(super) fn of_accounts(
    accounts: &mut [Account],
    snapshot: &Snapshot,
    pool: &PoolRoom,
) -> Vec<Outlook> {
    let mut chains: Vec<Chain> = Vec::with_capacity(accounts.len());
    let mut outlooks = Vec::with_capacity(accounts.len());
    for (index, (account, cgroup)) in accounts.iter_mut().zip(snapshot.cgroups.iter()).enumerate() {
        let above = account.parent.and_then(|parent| chains.get(parent)).copied();
        let own = account.outstanding(pool);
        let mut chain = Chain::of(account, &cgroup.owner, own, above.unwrap_or_default());
        chain.margin_of = chain.margin_of.or(Some(index));
        account.margin_of = chain.margin_of;
        account.asked = chain.let_through(account.unreserved_here);
        account.is_netted = shortfall(account, own).is_some()
            && shortfall(account, chain.outstanding) == Reading::Present(Bytes::ZERO);
        outlooks.push(outlook(account, &chain, pool));
        chains.push(chain);
    }
    outlooks
}

impl Chain {
    /// Of one account with what is outstanding there, and all above it.
    fn of(account: &Account, owner: &Owner, own: Option<Bytes>, above: Self) -> Self {
        let room = match account.limit {
            Reading::Present(Limit::At(limit)) => account.usage.map(|usage| limit.less(usage)),
            Reading::Failed => Reading::Failed,
            Reading::Present(Limit::Unlimited) | Reading::Absent => Reading::Absent,
        };
        let binds = match (room, above.room) {
            (Reading::Present(own), Reading::Present(above)) => own <= above,
            (own, _) => own != Reading::Absent,
        };
        let outstanding = match (own, above.outstanding) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        };
        let own_margin = margin(account, outstanding);
        let margin = least(own_margin, above.margin);
        Self {
            outstanding,
            margin,
            // Nothing where it is this account's own: it does not know its index.
            margin_of: above.margin_of.filter(|_| margin != own_margin),
            room: room.combine(above.room, |own, above| Some(own.min(above))),
            level: if binds { Some(Level::of(owner)) } else { above.level },
            reservation_room: least(reservation_room(account), above.reservation_room),
            limit: account.limit.least(above.limit),
        }
    }

    /// How much of so many bytes, mapped without a reservation, the limits would let be touched.
    fn let_through(&self, unreserved: Bytes) -> Bytes {
        let room = self.room.present().unwrap_or(unreserved);
        let reservations = match self.reservation_room {
            Reading::Present(SignedBytes(room)) => Bytes(u64::try_from(room).unwrap_or_default()),
            Reading::Absent | Reading::Failed => unreserved,
        };
        unreserved.min(room).min(reservations)
    }

    fn failure_mode(&self) -> Reading<FailureMode> {
        Reading::Present(match (self.reservation_room, self.margin) {
            (Reading::Failed, _) | (_, Reading::Failed) => return Reading::Failed,
            (Reading::Present(maps), Reading::Present(touches)) if maps > touches => {
                FailureMode::Sigbus
            }
            (Reading::Present(_), _) => FailureMode::Enomem,
            (Reading::Absent, _) if self.limit.finite().is_some() => FailureMode::Sigbus,
            (Reading::Absent, _) => FailureMode::Unenforced,
        })
    }
}

fn least(a: Reading<SignedBytes>, b: Reading<SignedBytes>) -> Reading<SignedBytes> {
    a.combine(b, |a, b| Some(a.min(b)))
}

/// What its limit leaves above its need.
fn margin(account: &Account, outstanding: Option<Bytes>) -> Reading<SignedBytes> {
    match account.bound() {
        Reading::Present(Limit::At(limit)) => {
            let need = still_needed(account, outstanding);
            need.map(|need| SignedBytes::difference(limit, need))
        }
        Reading::Failed => Reading::Failed,
        Reading::Present(Limit::Unlimited) | Reading::Absent => Reading::Absent,
    }
}

fn reservation_room(account: &Account) -> Reading<SignedBytes> {
    match account.reservation_limit {
        Reading::Present(Limit::At(limit)) => {
            account.reserved.map(|reserved| SignedBytes::difference(limit, reserved))
        }
        Reading::Failed => Reading::Failed,
        Reading::Present(Limit::Unlimited) | Reading::Absent => Reading::Absent,
    }
}

fn outlook(account: &Account, chain: &Chain, pool: &PoolRoom) -> Outlook {
    let by_limit = shortfall(account, chain.outstanding);
    // What it has reserved the pool keeps for it; for the rest there must be pages that nobody reserved.
    // The pool is asked after the limits: it can't refuse what they do not let through.
    let by_pool = match pool.unreserved {
        Reading::Present(room) if account.asked > room && account.committed.present().is_some() => {
            Some(account.unreserved_here.less(room))
        }
        _ => None,
    };
    let of_limit = match (account.limit.finite(), account.bound().finite()) {
        (Some(limit), Some(bound)) if bound < limit => ShortOf::ReservationLimit,
        (None, Some(_)) => ShortOf::ReservationLimit,
        _ => ShortOf::Limit,
    };
    let (shortfall, short_of) = match (by_limit, by_pool) {
        (Reading::Present(limit), Some(pool)) if pool > limit => {
            (Reading::Present(pool), Some(ShortOf::Pool))
        }
        (Reading::Present(limit), _) => (by_limit, (limit > Bytes::ZERO).then_some(of_limit)),
        (_, Some(pool)) => (Reading::Present(pool), Some(ShortOf::Pool)),
        (unknown, None) => (unknown, None),
    };
    let pool_room = match account.outstanding(pool) {
        Some(outstanding) => {
            pool.unreserved.plus(Reading::Present(outstanding.less(account.unreserved)))
        }
        None => pool.unreserved,
    };
    let pool_binds = match (chain.room, pool_room) {
        (Reading::Present(limits), Reading::Present(pool)) => pool < limits,
        (limits, Reading::Present(_)) => limits == Reading::Absent,
        _ => false,
    };
    let headroom = chain.room.combine(pool_room, |limits, pool| Some(limits.min(pool)));
    Outlook {
        shortfall,
        short_of,
        to_come: to_come(account, chain.outstanding, headroom),
        limit: chain.limit,
        uncertainty: None,
        committed: account.committed,
        unreserved: account.unreserved,
        margin: chain.margin,
        headroom,
        bound_by: if pool_binds { Some(Level::Pool) } else { chain.level },
        failure_mode: chain.failure_mode(),
    }
}

/// What it still needs of what it has mapped, and can have.
fn to_come(
    account: &Account,
    outstanding: Option<Bytes>,
    headroom: Reading<Bytes>,
) -> Reading<Bytes> {
    match (still_needed(account, outstanding), account.usage) {
        (Reading::Present(need), Reading::Present(usage)) => {
            headroom.combine(Reading::Present(need.less(usage)), |room, need| Some(room.min(need)))
        }
        (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
        _ => Reading::Absent,
    }
}

/// What a limit owner needs above its limit, as far as it is still to be touched.
fn shortfall(account: &Account, outstanding: Option<Bytes>) -> Reading<Bytes> {
    let bound = match account.bound() {
        Reading::Present(Limit::At(bound)) => bound,
        Reading::Failed => return Reading::Failed,
        Reading::Present(Limit::Unlimited) | Reading::Absent => return Reading::Absent,
    };
    match (account.need, account.committed) {
        // A child's figure is missing, but all of them together have no more than the limit.
        (Reading::Failed, Reading::Present(committed)) if committed <= bound => {
            Reading::Present(Bytes::ZERO)
        }
        // A charge that is about to be taken back can lift usage above the limit for an instant.
        _ => still_needed(account, outstanding)
            .map(|need| need.less(bound).min(outstanding.unwrap_or(Bytes(u64::MAX)))),
    }
}

/// Its need, but no more than it uses and is still to be touched here and everywhere above: what one has
/// mapped and another has touched is paid for.
fn still_needed(account: &Account, outstanding: Option<Bytes>) -> Reading<Bytes> {
    match (account.usage, outstanding) {
        (Reading::Present(usage), Some(outstanding)) => {
            let most = Bytes(usage.0.saturating_add(outstanding.0));
            account.need.map(|need| need.min(most))
        }
        _ => account.need,
    }
}
