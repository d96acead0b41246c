//! The probe of the exporter's own cgroup: it asks for no huge pages, so the kubelet must have limited it, or at
//! least its pod, to none, and a page must be refused.
//!
//! It takes nothing that anyone was promised. Where a limit that is seen has no room, the refusal costs no page.
//! Where nothing is known to refuse, a touch is tried only while so many pages are available that one is not missed by
//! any pod that maps all it was granted; and a reservation is asked for that is larger than the pool, which no pool
//! can give, but which a reservation limit refuses first (docs/adr/0005).

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::counters::Counters;
use super::memory::without_room;
use super::order::{Mapping, Order};
use super::site::{Expectation, Site};
use super::tenant::{Answer, Places, Tenant, signal};
use super::verdict::{self, End};
use crate::snapshot::{Check, Doubt, Pool, Reading, Verdict};
use crate::units::{Bytes, Pages};

/// So many pages must be available beyond what was promised before one is tried for.
const SPARE_PAGES: u64 = 2;

/// How long a check may take.
#[derive(Debug, Clone)]
pub struct Pace {
    /// A child that does not answer in time is ended.
    pub deadline: Duration,
    /// How long to wait in the middle of a check, for tests.
    pub pause: Duration,
    /// Room for children.
    pub places: Places,
}

/// Tries one check on one page size. `spare` is what nobody holds of it and nobody was promised.
pub async fn check(
    check: Check,
    pool: &Pool,
    spare: Reading<Bytes>,
    site: &Site,
    pace: &Pace,
) -> Verdict {
    let page_size = pool.page_size;
    if let Expectation::Nothing(exempt) = site.expectation(page_size) {
        return Verdict::NotApplicable(exempt);
    }
    let Some(pages) = pages_to_ask_for(check, pool, spare, site) else {
        return Verdict::Inconclusive(Doubt::PoolTight);
    };
    if check == Check::Fault && without_room(site, page_size.bytes()).is_some() {
        return Verdict::Inconclusive(Doubt::MemoryTight);
    }
    let counters = Counters::before(site, page_size);
    let order = Order::anonymous(Mapping::Private, check == Check::Fault, page_size);
    let end = attempt(&order, check, pages, pace).await;
    verdict::of(check, page_size, &end, counters.map(|counters| counters.moved()), site)
}

/// How many pages to ask for so that nobody misses them; nothing where that can't be had.
fn pages_to_ask_for(
    check: Check,
    pool: &Pool,
    spare: Reading<Bytes>,
    site: &Site,
) -> Option<Pages> {
    let one = Pages(1);
    let page_size = pool.page_size;
    let reservation_refused = site.refuses_a_reservation(page_size);
    match check {
        // A touch without a reservation is charged to both limits, and either refuses it.
        Check::Fault if reservation_refused || site.refuses_a_touch(page_size) => Some(one),
        Check::Fault => (has_none(pool) || has_to_spare(pool, spare)).then_some(one),
        Check::Reserve if reservation_refused => Some(one),
        Check::Reserve => {
            more_than_all(pool, site).or_else(|| has_to_spare(pool, spare).then_some(one))
        }
    }
}

/// Nothing to take, now and later: whatever refuses, no page is lost.
fn has_none(pool: &Pool) -> bool {
    let none = |pages: Reading<Pages>| pages.present() == Some(Pages(0));
    none(pool.size) && none(pool.overcommit_limit)
}

/// Enough for everyone who was promised some, and for us: now, and whenever they take them.
fn has_to_spare(pool: &Pool, spare: Reading<Bytes>) -> bool {
    let wanted = Pages(SPARE_PAGES).bytes(pool.page_size);
    let enough = |pages: Reading<Bytes>| pages.present() >= wanted;
    wanted.is_some() && enough(pool.bytes(pool.available())) && enough(spare)
}

/// More pages than the pool has, so that no page is reserved even if no limit refuses. Not where the kernel would first
/// make what pages it can (overcommit), where others could be refused for an instant (a reservation limit shared with
/// them), or where the address space could be what is too small.
fn more_than_all(pool: &Pool, site: &Site) -> Option<Pages> {
    let size = pool.size.present()?;
    let no_overcommit = pool.overcommit_limit.present()? == Pages(0);
    let unlimited = getrlimit(Resource::RLIMIT_AS).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    (no_overcommit && unlimited && !site.shares_a_reservation_limit())
        .then_some(Pages(size.0.saturating_add(1)))
}

/// Maps, and for a fault check touches one page; gives everything back.
async fn attempt(order: &Order, check: Check, pages: Pages, pace: &Pace) -> End {
    let untried = |error: std::io::Error| End::Untried(format!("it can't be tried: {error}"));
    let mut tenant = match Tenant::start(order, pace.deadline, &pace.places) {
        Ok(tenant) => tenant,
        Err(error) => return untried(error),
    };
    let end = match try_with(&mut tenant, check, pages, pace.pause).await {
        Ok(end) => end,
        Err(error) => untried(error),
    };
    // Its end is awaited by no one, but a page that it holds is given back with it at once.
    tenant.end();
    end
}

async fn try_with(
    tenant: &mut Tenant,
    check: Check,
    pages: Pages,
    pause: Duration,
) -> std::io::Result<End> {
    let mapped = tenant.tell(&format!("map {}", pages.0)).await?;
    if !matches!(&mapped, Answer::Said(said) if said == "mapped") {
        return Ok(end_of(mapped));
    }
    tokio::time::sleep(pause).await;
    let end = match check {
        Check::Reserve => End::Done,
        Check::Fault => end_of(tenant.tell("touch 1").await?),
    };
    if end == End::Done {
        tokio::time::sleep(pause).await;
        // Given back before anything else; if it does not answer, its end gives it back.
        tenant.tell("unmap").await?;
    }
    Ok(end)
}

/// What an answer to `map` or `touch` means.
pub(super) fn end_of(answer: Answer) -> End {
    match answer {
        Answer::Said(said) => match said.strip_prefix("refused ") {
            None => End::Done,
            Some(name) => End::Refused(errno_named(name)),
        },
        Answer::Died(status) => match signal(status) {
            Some(signal) => End::Killed(signal),
            None => End::Untried(format!("the process that should try ended with {status}")),
        },
        Answer::Late => End::Late,
    }
}

/// The child says it by its name.
fn errno_named(name: &str) -> Errno {
    let known = [
        Errno::ENOMEM,
        Errno::EPERM,
        Errno::EACCES,
        Errno::ENOSYS,
        Errno::EINVAL,
        Errno::ENODEV,
        Errno::ENOSPC,
        Errno::EOVERFLOW,
    ];
    known.into_iter().find(|errno| format!("{errno:?}") == name).unwrap_or(Errno::UnknownErrno)
}

#[cfg(test)]
mod tests {
    use super::super::site::tests::{Limits, in_pod};
    use super::*;
    use crate::snapshot::CgroupVersion::V2;
    use crate::snapshot::example;

    fn pool(available: u64, overcommit: u64) -> Pool {
        Pool {
            overcommit_limit: Reading::Present(Pages(overcommit)),
            ..example::pool(available + 10, 10)
        }
    }

    fn asked(check: Check, limits: Limits, pool: &Pool, spare: u64) -> Option<u64> {
        let spare = Reading::Present(Bytes(spare << 21));
        pages_to_ask_for(check, pool, spare, &in_pod(V2, (None, None), limits)).map(|pages| pages.0)
    }

    #[test]
    fn a_touch_takes_nothing_that_was_promised() {
        let asked = |limits, pool: &Pool, spare| asked(Check::Fault, limits, pool, spare);
        let unlimited = (None, None);
        for full in [(Some(0), None), (None, Some(0)), (Some(0), Some(0))] {
            assert_eq!(asked(full, &pool(1, 0), 0), Some(1), "it is refused before it takes any");
        }
        assert_eq!(asked(unlimited, &pool(2, 0), 2), Some(1));
        assert_eq!(asked(unlimited, &pool(1, 0), 2), None, "somebody has mapped more than he may");
        assert_eq!(asked(unlimited, &pool(99, 0), 1), None, "they are promised");
        assert_eq!(asked(unlimited, &pool(0, 0), 0), None, "one may be free when it is touched");
        let size = Reading::Present(Pages(0));
        let none = Pool { size, ..pool(0, 0) };
        assert_eq!(asked(unlimited, &none, 0), Some(1), "there is none to take");
        let overcommitted = Pool { size, ..pool(0, 5) };
        assert_eq!(asked(unlimited, &overcommitted, 9), None, "one would be made");
    }

    #[test]
    fn a_reservation_is_one_that_no_pool_can_give() {
        let asked = |limits, pool: &Pool, spare| asked(Check::Reserve, limits, pool, spare);
        assert_eq!(asked((Some(0), Some(0)), &pool(1, 0), 0), Some(1));
        assert_eq!(asked((Some(0), None), &pool(1, 0), 0), Some(501));
        assert_eq!(asked((None, None), &pool(0, 0), 0), Some(501));
        assert_eq!(asked((Some(0), None), &pool(1, 7), 9), None, "pages would be made first");
        assert_eq!(asked((Some(0), None), &pool(2, 7), 9), Some(1));
    }

    #[test]
    fn answers() {
        let said = |text: &str| end_of(Answer::Said(text.to_owned()));
        assert_eq!(said("mapped"), End::Done);
        assert_eq!(said("touched 1"), End::Done);
        assert_eq!(said("refused ENOMEM"), End::Refused(Errno::ENOMEM));
        assert_eq!(said("refused E"), End::Refused(Errno::UnknownErrno));
        assert_eq!(end_of(Answer::Late), End::Late);
    }
}
