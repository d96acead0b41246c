//! From what happened to what it shows. Pure; the matrix of what real pods get is its test.

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::counters::Moved;
use super::site::{Expectation, Site};
use crate::snapshot::{Check, Doubt, EnforcedBy, Verdict};
use crate::units::PageSize;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was let do it: mapped, or touched.
    Done,
    /// mmap was refused.
    Refused(Errno),
    /// It was killed.
    Killed(i32),
    /// It did not answer in time.
    Late,
    /// It could not be tried, and why.
    Untried(String),
}

/// What a check shows that ended like this, with these counters moved.
pub(super) fn of(
    check: Check,
    page_size: PageSize,
    end: &End,
    moved: Option<Moved>,
    site: &Site,
) -> Verdict {
    let moved = match moved {
        Some(moved) => moved,
        None if site.lacks_controller() => Moved::NoController,
        None => Moved::Unseen,
    };
    match end {
        End::Done => not_refused(site.expectation(page_size)),
        End::Refused(Errno::ENOMEM) if check == Check::Reserve => match moved {
            // The kernel asks the reservation limits before it asks the pool (hugetlb_reserve_pages in mm/hugetlb.c),
            // so one that refused by the pool alone was let through by every limit.
            Moved::Nothing | Moved::NoController => not_refused(site.expectation(page_size)),
            Moved::Unseen => Verdict::Inconclusive(Doubt::CountersUnseen),
            Moved::Faults | Moved::Reservations | Moved::Either => {
                Verdict::Enforced(EnforcedBy::ReservationLimit)
            }
        },
        End::Refused(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => {
            Verdict::Inconclusive(Doubt::Seccomp)
        }
        End::Refused(errno) => {
            Verdict::Inconclusive(Doubt::Other(format!("mmap was refused: {}", errno.desc())))
        }
        End::Killed(signal) if *signal == Signal::SIGBUS as i32 => match moved {
            Moved::Faults => Verdict::Enforced(EnforcedBy::Limit),
            Moved::Reservations => Verdict::Enforced(EnforcedBy::ReservationLimit),
            Moved::Either => Verdict::Enforced(either(site, page_size)),
            Moved::Nothing => Verdict::Inconclusive(Doubt::Pool),
            Moved::Unseen => Verdict::Inconclusive(Doubt::CountersUnseen),
            Moved::NoController => Verdict::Inconclusive(Doubt::NoController),
        },
        End::Killed(signal) if *signal == Signal::SIGSYS as i32 => {
            Verdict::Inconclusive(Doubt::Seccomp)
        }
        End::Killed(signal) => Verdict::Inconclusive(Doubt::Other(format!(
            "the process that tried was ended by signal {signal}"
        ))),
        End::Late => Verdict::Inconclusive(Doubt::Timeout),
        End::Untried(why) => Verdict::Inconclusive(Doubt::Other(why.clone())),
    }
}

fn not_refused(expectation: Expectation) -> Verdict {
    match expectation {
        Expectation::Refusal => Verdict::NotEnforced,
        Expectation::Nothing(exempt) => Verdict::NotApplicable(exempt),
        Expectation::Unknown => Verdict::Inconclusive(Doubt::LimitUnseen),
    }
}

/// v2 counts both in one. A touch without a reservation is charged as a reservation first.
fn either(site: &Site, page_size: PageSize) -> EnforcedBy {
    if site.refuses_a_reservation(page_size) {
        EnforcedBy::ReservationLimit
    } else if site.refuses_a_touch(page_size) {
        EnforcedBy::Limit
    } else {
        EnforcedBy::Either
    }
}

#[cfg(test)]
mod tests {
    use super::super::site::tests::{Limits, alone, in_pod, without_controller};
    use super::*;
    use crate::snapshot::CgroupVersion::{V1, V2};
    use crate::snapshot::Exempt;
    use crate::snapshot::example::page_size;

    const SIGBUS: End = End::Killed(7);
    const ENOMEM: End = End::Refused(Errno::ENOMEM);
    const NO: Limits = (None, None);
    const ZERO: Limits = (Some(0), None);
    const ZEROS: Limits = (Some(0), Some(0));

    fn fault(site: &Site, end: &End, moved: Moved) -> String {
        of(Check::Fault, page_size(), end, Some(moved), site).to_string()
    }

    fn reserve(site: &Site, end: &End, moved: Moved) -> String {
        of(Check::Reserve, page_size(), end, Some(moved), site).to_string()
    }

    /// What was measured in real pods: with a full pool and with an empty one.
    #[test]
    fn the_matrix_of_real_pods() {
        let by_reservation = "enforced, by the reservation limit";
        // v2; kubelet before 1.29; the container limited, or its pod alone.
        for (container, pod) in [(ZERO, ZERO), (NO, ZERO)] {
            let site = in_pod(V2, container, pod);
            assert_eq!(fault(&site, &SIGBUS, Moved::Either), "enforced");
            assert_eq!(reserve(&site, &End::Done, Moved::Nothing), "not enforced");
            assert_eq!(reserve(&site, &ENOMEM, Moved::Nothing), "not enforced", "an empty pool");
        }
        // v2; kubelet from 1.29 on; runc from 1.1.10 on limits the container's reservations too.
        for (container, pod) in [(ZERO, ZEROS), (NO, ZEROS), (ZEROS, ZEROS)] {
            let site = in_pod(V2, container, pod);
            assert_eq!(fault(&site, &SIGBUS, Moved::Either), by_reservation);
            assert_eq!(reserve(&site, &ENOMEM, Moved::Either), by_reservation);
        }
        // v1: the counter of the limit that refused first.
        for (container, pod, moved, verdict) in [
            (ZERO, ZERO, Moved::Faults, "enforced"),
            (NO, ZERO, Moved::Faults, "enforced"),
            (ZERO, ZEROS, Moved::Reservations, by_reservation),
            (NO, ZEROS, Moved::Reservations, by_reservation),
            (ZEROS, ZEROS, Moved::Reservations, by_reservation),
        ] {
            assert_eq!(fault(&in_pod(V1, container, pod), &SIGBUS, moved), verdict);
        }
        let site = in_pod(V1, ZERO, ZEROS);
        assert_eq!(reserve(&site, &ENOMEM, Moved::Reservations), by_reservation);
        assert_eq!(reserve(&in_pod(V1, ZERO, ZERO), &End::Done, Moved::Nothing), "not enforced");
    }

    #[test]
    fn without_the_hosts_tree() {
        // v1: the pod's counters are not seen, so it can't be told, and that is said.
        let unseen = "inconclusive: refused, and the pod's counters that would tell by what are not seen: mount the host's /sys/fs/cgroup";
        assert_eq!(fault(&alone(V1, NO), &SIGBUS, Moved::Unseen), unseen);
        assert_eq!(reserve(&alone(V1, NO), &ENOMEM, Moved::Unseen), unseen);
        assert_eq!(fault(&alone(V1, ZERO), &SIGBUS, Moved::Faults), "enforced");
        // v2 counts at the process, wherever the limit is.
        let site = alone(V2, NO);
        let somewhere = "enforced, by a limit that can't be seen from here";
        assert_eq!(fault(&site, &SIGBUS, Moved::Either), somewhere);
        let unknown = Verdict::Inconclusive(Doubt::LimitUnseen).to_string();
        assert_eq!(fault(&site, &End::Done, Moved::Nothing), unknown);
        assert_eq!(fault(&alone(V2, ZERO), &End::Done, Moved::Nothing), "not enforced");
    }

    #[test]
    fn where_nothing_is_enforced() {
        for site in [in_pod(V2, NO, NO), in_pod(V1, NO, NO)] {
            assert_eq!(fault(&site, &End::Done, Moved::Nothing), "not enforced");
            assert_eq!(reserve(&site, &End::Done, Moved::Nothing), "not enforced");
            // Every free page is somebody else's: the signal is the same, and no counter moves.
            let pool = Verdict::Inconclusive(Doubt::Pool).to_string();
            assert_eq!(fault(&site, &SIGBUS, Moved::Nothing), pool);
        }
        let site = without_controller();
        let verdict = |check, end: &End| of(check, page_size(), end, None, &site);
        assert_eq!(verdict(Check::Fault, &End::Done), Verdict::NotEnforced);
        assert_eq!(verdict(Check::Reserve, &ENOMEM), Verdict::NotEnforced);
        assert_eq!(verdict(Check::Fault, &SIGBUS), Verdict::Inconclusive(Doubt::NoController));
    }

    #[test]
    fn a_grant_of_its_own_exempts_it() {
        let site = in_pod(V2, NO, (Some(4), Some(4)));
        let verdict = of(Check::Fault, page_size(), &End::Done, Some(Moved::Nothing), &site);
        assert_eq!(verdict, Verdict::NotApplicable(Exempt::Granted));
    }

    #[test]
    fn what_says_nothing_about_limits() {
        let site = in_pod(V2, ZERO, ZERO);
        for (end, doubt) in [
            (End::Refused(Errno::EPERM), Doubt::Seccomp),
            (End::Killed(31), Doubt::Seccomp),
            (End::Late, Doubt::Timeout),
            (
                End::Killed(9),
                Doubt::Other("the process that tried was ended by signal 9".to_owned()),
            ),
            (End::Untried("why".to_owned()), Doubt::Other("why".to_owned())),
        ] {
            for check in [Check::Fault, Check::Reserve] {
                let verdict = of(check, page_size(), &end, Some(Moved::Nothing), &site);
                assert_eq!(verdict, Verdict::Inconclusive(doubt.clone()), "{end:?}");
            }
        }
    }
}
