//! What became of a grant while it stood.

use std::time::Duration;

use crate::snapshot::{Guarding, Hugetlb, Reading};
use crate::units::Bytes;

/// The guard's word of a limit that it raised comes no later than that after its write.
const LATE: Duration = Duration::from_secs(10);

/// How much of a grant lies idle, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// Since when less than a tenth of it is mapped.
    pub unused_since: Option<Duration>,
    /// Since when less than half of it is mapped.
    pub half_unused_since: Option<Duration>,
    /// The highest finite limit that was seen, where it is lower now.
    pub dropped_from: Option<Bytes>,
    highest: Option<Bytes>,
    /// When it last rose, and from where, unless it has fallen since.
    rose: Option<(Duration, Option<Bytes>)>,
}

impl Grant {
    /// Takes in a cgroup's figures. What the guard raises a limit to was granted by nobody.
    pub(super) fn take_in(&mut self, hugetlb: &Hugetlb, guarding: Guarding, now: Duration) {
        let limit = guarding.granted(hugetlb.limit).finite();
        let is_new = |rose: &(Duration, _)| now.saturating_sub(rose.0) < LATE;
        if guarding.rescued_from.is_some()
            && self.highest == hugetlb.limit.finite()
            && let Some((_, before)) = self.rose.filter(is_new)
        {
            self.highest = before;
        }
        if limit > self.highest {
            self.rose = Some((now, self.highest));
        } else if limit < self.highest {
            self.rose = None;
        }
        self.highest = self.highest.max(limit);
        self.dropped_from =
            self.highest.filter(|highest| limit.is_some_and(|limit| limit < *highest));
        let held = match (hugetlb.usage, hugetlb.reserved) {
            (Reading::Failed, _) | (_, Reading::Failed) => None,
            (usage, reserved) => usage.present().max(reserved.present()),
        };
        let (Some(limit), Some(held)) = (limit.filter(|limit| *limit > Bytes::ZERO), held) else {
            (self.unused_since, self.half_unused_since) = (None, None);
            return;
        };
        let keep = |since: &mut Option<Duration>, unused: bool| {
            *since = unused.then(|| since.unwrap_or(now));
        };
        keep(&mut self.unused_since, held.0.saturating_mul(10) < limit.0);
        keep(&mut self.half_unused_since, held.0.saturating_mul(2) < limit.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Limit;
    use crate::snapshot::example::hugetlb;

    fn figures(limit: u64, held: u64) -> Hugetlb {
        Hugetlb { limit: Reading::Present(Limit::At(Bytes(limit))), ..hugetlb(held, 0) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn idleness_counts_from_its_beginning() {
        let mut grant = Grant::default();
        for (seconds, held, unused, half) in [
            (1, 9, Some(1), Some(1)),
            (2, 9, Some(1), Some(1)),
            (3, 10, None, Some(1)),
            (4, 50, None, None),
            (5, 49, None, Some(5)),
            (6, 0, Some(6), Some(5)),
        ] {
            grant.take_in(&figures(100, held), Guarding::default(), at(seconds));
            let got = (grant.unused_since, grant.half_unused_since);
            assert_eq!(got, (unused.map(at), half.map(at)), "second {seconds}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_not_idle() {
        let mut grant = Grant::default();
        grant.take_in(&figures(100, 0), Guarding::default(), at(1));
        let failed = Hugetlb { usage: Reading::Failed, ..figures(100, 0) };
        grant.take_in(&failed, Guarding::default(), at(2));
        assert_eq!(grant.unused_since, None);
    }

    #[test]
    fn a_limit_that_fell_is_remembered_until_it_is_back() {
        let mut grant = Grant::default();
        grant.take_in(&hugetlb(0, 0), Guarding::default(), at(0));
        let drops = [100, 60, 0, 100, 120].map(|limit| {
            grant.take_in(&figures(limit, 0), Guarding::default(), at(1));
            grant.dropped_from.map(|bytes| bytes.0)
        });
        assert_eq!(
            drops,
            [None, Some(100), Some(100), None, None],
            "unlimited is no limit to fall from"
        );
    }

    #[test]
    fn what_the_guard_raises_a_limit_to_is_no_grant() {
        let rescued = |from| Guarding { rescued_from: Some(Bytes(from)), ..Guarding::default() };
        let drops = |polls: &[(u64, Guarding)]| {
            let mut grant = Grant::default();
            for (limit, guarding) in polls {
                grant.take_in(&figures(*limit, 0), *guarding, at(1));
            }
            grant.dropped_from.map(|bytes| bytes.0)
        };
        let none = Guarding::default();
        assert_eq!(drops(&[(100, none), (280, rescued(100)), (100, none)]), None);
        // Its word comes a poll later than its write.
        assert_eq!(drops(&[(100, none), (280, none), (280, rescued(100)), (100, none)]), None);
        assert_eq!(drops(&[(280, none), (280, rescued(100))]), None, "at the first look");
        // The kubelet's resize wrote 0, and the guard what is reserved.
        assert_eq!(drops(&[(140, none), (0, none), (140, none), (140, rescued(0))]), Some(140));
        assert_eq!(drops(&[(140, none), (0, none), (90, rescued(0))]), Some(140));
    }
}
