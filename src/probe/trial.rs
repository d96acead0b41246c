//! Mapping and touching by hand: how far it gets, and what refuses the rest.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::counters::{Counters, Moved};
use super::memory::without_room;
use super::order::Order;
use super::own::end_of;
use super::site::Site;
use super::tenant::{Places, Tenant};
use super::verdict::End;
use crate::snapshot::{LevelLimits, Limit, Outcome, Reading, RefusedBy};
use crate::units::{Bytes, PageSize, Pages};

/// The kernel may have to clear a page of 16 GiB, or the machine to be slow; but not for ever: where huge pages count as memory,
/// a touch that a limit above has no room for never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same of a page that is cleared in a moment.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);

/// Pages from here on are large.
const LARGE: Bytes = Bytes(1 << 30);

/// What to try.
#[derive(Debug)]
pub struct Attempt {
    /// How to map.
    pub order: Order,
    /// How many pages.
    pub pages: Pages,
    /// How many of them to touch.
    pub touch: Pages,
    /// How long to hold what was got.
    pub hold: Duration,
}

/// Tries it, in a child that may be killed for it. `progress` hears of every page that was touched.
pub async fn attempt(
    attempt: &Attempt,
    site: &Site,
    mut progress: impl FnMut(Pages),
) -> io::Result<Outcome> {
    let Attempt { order, pages, touch, hold } = attempt;
    let limits = site.limits(order.pagesize);
    let counters = Counters::before(site, order.pagesize);
    let refused_by = |wanted: Pages, end: End| {
        let moved = counters.as_ref().map_or(Moved::Nothing, Counters::moved);
        blame(&limits, order.pagesize, wanted, &end, moved)
    };
    let large = order.pagesize.bytes() >= LARGE;
    let patience = if large { PATIENCE } else { SHORT_PATIENCE };
    let mut tenant = Tenant::start(order, PATIENCE, &Places::new(1))?;
    let mapped = end_of(tenant.tell(&format!("map {}", pages.0)).await?);
    if mapped != End::Done {
        return Ok(Outcome::RefusedAtMmap(refused_by(*pages, mapped)));
    }
    for page in 1..=touch.0 {
        let before = Pages(page - 1);
        if let Some(at) = without_room(site, order.pagesize.bytes()) {
            return Ok(Outcome::WouldHang { touched: before, at });
        }
        tenant.extend(patience);
        let touched = end_of(tenant.tell(&format!("touch {page}")).await?);
        if touched == End::Late {
            let counts_memory = !site.memory_levels().is_empty();
            return Ok(Outcome::Hung { touched: before, after: patience, counts_memory });
        }
        if touched != End::Done {
            let by = refused_by(Pages(page), touched);
            return Ok(Outcome::RefusedAtTouch { touched: before, by });
        }
        progress(Pages(page));
    }
    tokio::time::sleep(*hold).await;
    // It gives everything back as it ends, and that is waited for: whoever looks next shall find it gone.
    let _ = tokio::time::timeout(PATIENCE, tenant.end()).await;
    Ok(Outcome::Fits)
}

/// What refused so many pages, by who had no room for them before and by whether a counter moved.
fn blame(
    limits: &[LevelLimits],
    page_size: PageSize,
    wanted: Pages,
    end: &End,
    moved: Moved,
) -> RefusedBy {
    let at_touch = match end {
        End::Refused(Errno::ENOMEM) => false,
        End::Killed(signal) if *signal == Signal::SIGBUS as i32 => true,
        End::Refused(errno) => return RefusedBy::Other(errno.desc().to_owned()),
        End::Killed(signal) => return RefusedBy::Other(format!("ended by signal {signal}")),
        End::Late => return RefusedBy::Other("no answer in time".to_owned()),
        End::Untried(why) => return RefusedBy::Other(why.clone()),
        End::Done => return RefusedBy::Other("nothing".to_owned()),
    };
    if moved == Moved::Nothing || moved == Moved::NoController {
        return RefusedBy::Pool;
    }
    let bytes = wanted.bytes(page_size).unwrap_or(Bytes(u64::MAX));
    let full = |limit: Reading<Limit>, held: Reading<Bytes>| {
        let at = limit.finite()?;
        (at.less(held.present().unwrap_or_default()) < bytes).then_some(at)
    };
    // Reservations are charged first, from the inside out; a touch with a reservation has paid for that already.
    let reservation = || {
        limits.iter().find_map(|level| {
            let at = full(level.reservation_limit, level.reserved)?;
            Some(RefusedBy::ReservationLimit { cgroup: level.cgroup.clone(), at })
        })
    };
    let fault = || {
        limits.iter().filter(|_| at_touch).find_map(|level| {
            let at = full(level.limit, level.usage)?;
            Some(RefusedBy::Limit { cgroup: level.cgroup.clone(), at })
        })
    };
    let seen = match moved {
        Moved::Faults => fault(),
        _ => reservation().or_else(fault),
    };
    seen.unwrap_or(match moved {
        Moved::Unseen => RefusedBy::LimitAboveOrPool,
        _ => RefusedBy::LimitAbove,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::page_size;

    fn level(cgroup: &str, limit: Option<u64>, reservation: Option<u64>) -> LevelLimits {
        let pages = |pages: Option<u64>| {
            let limit = pages.map(|pages| Limit::At(Bytes(pages << 21)));
            Reading::Present(limit.unwrap_or(Limit::Unlimited))
        };
        LevelLimits {
            cgroup: cgroup.to_owned(),
            limit: pages(limit),
            usage: Reading::Present(Bytes(2 << 21)),
            reservation_limit: pages(reservation),
            reserved: Reading::Present(Bytes(2 << 21)),
        }
    }

    #[track_caller]
    fn check(limits: &[LevelLimits], wanted: u64, end: &End, moved: Moved, expected: &RefusedBy) {
        assert_eq!(blame(limits, page_size(), Pages(wanted), end, moved), *expected);
    }

    const SIGBUS: End = End::Killed(7);
    const ENOMEM: End = End::Refused(Errno::ENOMEM);

    #[test]
    fn the_level_without_room_is_named() {
        let limits = [level("/own", Some(66), None), level("/pod", Some(60), None)];
        let at = |cgroup: &str, pages: u64| RefusedBy::Limit {
            cgroup: cgroup.to_owned(),
            at: Bytes(pages << 21),
        };
        check(&limits, 59, &SIGBUS, Moved::Either, &at("/pod", 60));
        check(&limits[..1], 65, &SIGBUS, Moved::Either, &at("/own", 66));
        check(&limits[..1], 64, &SIGBUS, Moved::Either, &RefusedBy::LimitAbove);
        check(&limits[..1], 64, &SIGBUS, Moved::Unseen, &RefusedBy::LimitAboveOrPool);
        check(&limits, 65, &SIGBUS, Moved::Nothing, &RefusedBy::Pool);
        check(&limits, 99, &ENOMEM, Moved::Nothing, &RefusedBy::Pool);
    }

    #[test]
    fn reservation_limits_come_first() {
        let limits = [level("/own", Some(66), Some(66))];
        let expected =
            RefusedBy::ReservationLimit { cgroup: "/own".to_owned(), at: Bytes(66 << 21) };
        check(&limits, 100, &ENOMEM, Moved::Either, &expected);
        check(&limits, 65, &SIGBUS, Moved::Reservations, &expected);
        check(&limits, 64, &ENOMEM, Moved::Either, &RefusedBy::LimitAbove);
    }

    #[test]
    fn what_is_neither_is_said_as_the_kernel_says_it() {
        let invalid = RefusedBy::Other(Errno::EINVAL.desc().to_owned());
        check(&[], 1, &End::Refused(Errno::EINVAL), Moved::Nothing, &invalid);
    }
}
