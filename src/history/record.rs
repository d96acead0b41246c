//! What is remembered of what lives.

use std::sync::Arc;
use std::time::Duration;

use super::by_size::BySize;
use super::chain::Chain;
use super::refusals::{Now, Watch};
use super::{ContainerKey, Grant, Presence, Seen, Tally};
use crate::identity::{ContainerId, PodUid, QosClass};
use crate::snapshot::{Cgroup, Hugetlb, Snapshot};
use crate::units::{Bytes, PageSize};

#[derive(Debug)]
pub(super) struct PodRecord {
    pub(super) uid: PodUid,
    pub(super) qos: Option<QosClass>,
    pub(super) sizes: BySize<Record>,
    /// Of one that is gone: the same as it was when it was last seen, in case it comes back.
    pub(super) as_seen: Option<BySize<Record>>,
    pub(super) presence: Presence,
    pub(super) seen: Seen,
}

#[derive(Debug)]
pub(super) struct InstanceRecord {
    pub(super) uid: PodUid,
    pub(super) name: Option<(Arc<str>, u32)>,
    pub(super) first_seen: Duration,
    pub(super) sizes: BySize<Record>,
    pub(super) seen: Seen,
}

/// What is remembered of a living cgroup for one page size.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) watch: Watch,
    pub(super) peak: Bytes,
    pub(super) grant: Grant,
}

/// What is remembered of a living container.
#[derive(Debug, Clone, Copy)]
pub struct Living<'a> {
    pub(super) record: &'a InstanceRecord,
}

/// A cgroup in its snapshot, with what the limits above it leave.
pub(super) struct See<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) cgroup: &'a Cgroup,
    pub(super) chains: &'a [Chain],
}

impl See<'_> {
    /// Adds its figures to what is remembered of it.
    pub(super) fn take_in(&self, sizes: &mut BySize<Record>, young: bool) {
        let taken = self.snapshot.taken;
        let now = Now { wall: taken.wall, since_start: taken.since_start };
        for (hugetlb, chain) in self.cgroup.hugetlb.iter().zip(self.chains) {
            let record = sizes.get_or_make(hugetlb.page_size, || Record {
                watch: Watch::new(young),
                peak: Bytes::ZERO,
                grant: Grant::default(),
            });
            if let Some(record) = record {
                record.take_in(hugetlb, *chain, now);
            }
        }
    }
}

impl Record {
    pub(super) fn take_in(&mut self, hugetlb: &Hugetlb, chain: Chain, now: Now) {
        self.watch.take_in(hugetlb, chain, now);
        self.grant.take_in(hugetlb, now.since_start);
        let peak = hugetlb.max_usage.present().into_iter().chain(hugetlb.usage.present()).max();
        self.peak = self.peak.max(peak.unwrap_or_default());
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            failures: self.watch.total,
            peak: self.peak,
            last_failure: self.watch.last,
            refusals: self.watch.refusals,
            fault: self.watch.fault.as_deref().copied(),
        }
    }
}

impl PodRecord {
    /// It is gone, and with it whatever it used.
    pub(super) fn end(&mut self) {
        if self.as_seen.is_none() {
            self.as_seen = Some(self.sizes.clone());
            self.sizes.values_mut().for_each(|record| record.watch.end());
        }
    }

    /// It was not gone after all.
    pub(super) fn resume(&mut self) {
        if let Some(sizes) = self.as_seen.take() {
            self.sizes = sizes;
        }
    }

    pub(super) fn was_refused(&self) -> bool {
        self.sizes.values().any(|record| record.watch.total > 0)
    }
}

impl<'a> Living<'a> {
    /// Its name and how often it was restarted, once known for as long as it lives.
    pub fn name(self) -> Option<(&'a Arc<str>, u32)> {
        self.record.name.as_ref().map(|(name, attempt)| (name, *attempt))
    }

    /// What its own cgroup was refused and has used, and what became of its grant.
    pub fn size(self, page_size: PageSize) -> Option<(Tally, Grant)> {
        self.record.sizes.get(page_size).map(|record| (record.tally(), record.grant))
    }
}

impl InstanceRecord {
    pub(super) fn key(&self, id: &ContainerId) -> ContainerKey {
        ContainerKey::of(&self.uid, self.name.as_ref().map(|(name, _)| name), id)
    }
}
