//! A tenant's figures for one page size: what was read, what is remembered, what is to be expected.

use std::time::SystemTime;

use super::Outlook;
use crate::history::{Fault, Grant, Refusals, RefusedEnds, Tally};
use crate::snapshot::{Guarding, Hugetlb, Limit, NumaUsage, Reading};
use crate::units::{Bytes, PageSize};

/// A tenant's figures for one page size.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSize {
    /// The size.
    pub page_size: PageSize,
    /// Touched.
    pub usage: Reading<Bytes>,
    /// Mapped, touched or not.
    pub reserved: Reading<Bytes>,
    /// The fault limit of its own cgroup.
    pub limit: Reading<Limit>,
    /// The reservation limit of its own cgroup.
    pub reservation_limit: Reading<Limit>,
    /// The most ever touched: since the cgroup was made (v1), or since we watch it (v2).
    pub peak_usage: Reading<Bytes>,
    /// Refused charges, over restarts.
    pub failures: Reading<u64>,
    /// When a refusal was last seen to happen.
    pub last_failure: Option<SystemTime>,
    /// Touched, by NUMA node.
    pub numa_usage: Reading<Vec<NumaUsage>>,
    /// The same failures by what was refused; absent where the counters are.
    pub refusals: Reading<Refusals>,
    /// Of a pod, what its containers were refused and its own counter holds too (v2): that is reported of them.
    pub below: Refusals,
    /// The last touch that was refused; hardly ever there.
    pub fault: Option<Box<Fault>>,
    /// The most that was seen mapped.
    pub peak_reserved: Bytes,
    /// Instances that ended over a refused mapping; hardly ever there.
    pub refused_ends: Option<Box<RefusedEnds>>,
    /// What is to be expected; of a container with several instances, of all.
    pub outlook: Outlook,
    /// What the guard makes of its limits; of a container, the newest instance's.
    pub guarding: Guarding,
    /// What became of the grant; of a container, the newest instance's.
    pub grant: Grant,
}

impl TenantSize {
    /// The figures of one cgroup, with what is remembered of it.
    pub(super) fn of_cgroup(hugetlb: &Hugetlb, tally: Option<Tally>) -> Self {
        let peak = tally.map(|tally| tally.peak).unwrap_or_default();
        Self {
            page_size: hugetlb.page_size,
            usage: hugetlb.usage,
            reserved: hugetlb.reserved,
            limit: hugetlb.limit,
            reservation_limit: hugetlb.reservation_limit,
            peak_usage: hugetlb.usage.map(|usage| usage.max(peak)),
            // The kernel's figure decides whether there is one; history carries it over a reset.
            failures: hugetlb.failures.total().map(|raw| tally.map_or(raw, |tally| tally.failures)),
            last_failure: tally.and_then(|tally| tally.last_failure),
            numa_usage: hugetlb.numa_usage.clone(),
            refusals: hugetlb
                .failures
                .total()
                .map(|_| tally.map(|tally| tally.refusals).unwrap_or_default()),
            below: Refusals::default(),
            fault: tally.and_then(|tally| tally.fault).map(Box::new),
            peak_reserved: tally.map(|tally| tally.peak_reserved).unwrap_or_default(),
            refused_ends: tally.and_then(|tally| tally.refused_ends).map(Box::new),
            outlook: Outlook::default(),
            guarding: Guarding::default(),
            grant: Grant::default(),
        }
    }

    /// What is left of a tenant whose cgroup is gone.
    pub(super) fn of_the_dead(page_size: PageSize, tally: Tally) -> Self {
        Self {
            page_size,
            usage: Reading::Absent,
            reserved: Reading::Absent,
            limit: Reading::Absent,
            reservation_limit: Reading::Absent,
            peak_usage: Reading::Present(tally.peak),
            failures: Reading::Present(tally.failures),
            last_failure: tally.last_failure,
            numa_usage: Reading::Absent,
            refusals: Reading::Present(tally.refusals),
            below: Refusals::default(),
            fault: tally.fault.map(Box::new),
            peak_reserved: tally.peak_reserved,
            refused_ends: tally.refused_ends.map(Box::new),
            outlook: Outlook::default(),
            guarding: Guarding::default(),
            grant: Grant::default(),
        }
    }

    /// Our own pod: what it is refused our own probe was refused, and that is nobody's failure.
    pub(super) fn without_refusals(self) -> Self {
        Self {
            failures: Reading::Absent,
            refusals: Reading::Absent,
            below: Refusals::default(),
            fault: None,
            refused_ends: None,
            last_failure: None,
            ..self
        }
    }

    /// The fault limit that was granted: its own, or the one before the guard raised it.
    pub fn granted(&self) -> Reading<Limit> {
        self.guarding.granted(self.limit)
    }

    /// The most it can use as things are: what it uses and what is left to it.
    pub fn effective_limit(&self) -> Reading<Bytes> {
        match (self.usage, self.outlook.headroom) {
            (Reading::Present(usage), Reading::Present(headroom)) => {
                Reading::Present(usage).plus(Reading::Present(headroom))
            }
            (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// Adds what another instance or an earlier one was refused.
    pub(super) fn add_fault(&mut self, other: Option<Fault>) {
        let own = self.fault.as_deref().copied();
        self.fault = Fault::later(own, other).map(Box::new);
    }

    pub(super) fn add_refused_ends(&mut self, other: Option<RefusedEnds>) {
        let own = self.refused_ends.as_deref().copied();
        self.refused_ends = RefusedEnds::with(own, other).map(Box::new);
    }

    /// All that its counter holds, by what was refused.
    pub fn all_refusals(&self) -> Reading<Refusals> {
        self.refusals.map(|refusals| refusals.with(self.below))
    }

    /// What it has mapped or touched, as far as it is known.
    pub fn held(&self) -> Bytes {
        self.usage.present().max(self.reserved.present()).unwrap_or_default()
    }

    /// What of its grant it has not mapped; absent without one.
    pub fn idle_grant(&self) -> Reading<Bytes> {
        match self.limit {
            Reading::Present(Limit::At(limit)) if limit > Bytes::ZERO => {
                match (self.usage, self.reserved) {
                    (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
                    _ => Reading::Present(limit.less(self.held())),
                }
            }
            Reading::Failed => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// Whether it holds or was refused anything.
    pub(super) fn is_active(&self) -> bool {
        self.usage.is_some() || self.reserved.is_some() || self.was_refused()
    }

    pub(super) fn was_refused(&self) -> bool {
        self.failures.present().is_some_and(|failures| failures > 0)
    }
}
