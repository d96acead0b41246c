//! What is remembered of what lives.

use std::sync::Arc;
use std::time::Duration;

use super::by_size::BySize;
use super::chain::Chain;
use super::loops::RefusedEnds;
use super::refusals::{Figures, Now, Watch};
use super::{ContainerKey, Grant, Presence, Seen, Tally};
use crate::identity::{ContainerId, Owner, PodUid, QosClass};
use crate::snapshot::{Cgroup, Failures, Guarding, Hugetlb, Snapshot};
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
    /// Whether its counters hold those of its containers: v2's do.
    pub(super) counts_its_containers: bool,
}

#[derive(Debug)]
pub(super) struct InstanceRecord {
    pub(super) uid: PodUid,
    pub(super) name: Option<(Arc<str>, u32)>,
    pub(super) first_seen: Duration,
    pub(super) sizes: BySize<Record>,
    pub(super) seen: Seen,
    /// Of one that is gone: when that was found. One that does not change is not looked at in every poll.
    pub(super) ended: Duration,
    /// Of one that is gone: when its pod was refused mappings while it was there, where pods are counted apart (v1).
    pub(super) pod_refused: Vec<(PageSize, Duration)>,
}

/// What is remembered of a living cgroup for one page size.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) watch: Watch,
    pub(super) peak: Bytes,
    pub(super) peak_reserved: Bytes,
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
    /// The same at the refusals that were heard of since the last snapshot; empty where there were none.
    pub(super) at_refusals: &'a [Chain],
    /// What its containers were refused in this poll.
    pub(super) explained: &'a Explained,
}

/// What was seen of a pod's containers in one poll.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// Refusals that were reported of them, which v2 counts in the pod too.
    refused: Vec<(PageSize, u64)>,
    living: usize,
    named: usize,
}

impl Explained {
    fn of(&self, page_size: PageSize) -> u64 {
        let of_size = self.refused.iter().filter(|(size, _)| *size == page_size);
        of_size.map(|(_, count)| *count).sum()
    }

    fn add(&mut self, page_size: PageSize, count: u64) {
        if count > 0 {
            self.refused.push((page_size, count));
        }
    }

    /// One of them is seen, and what it was refused.
    pub(super) fn join(&mut self, other: Self, is_named: bool) {
        self.refused.extend(other.refused);
        self.living += 1;
        self.named += usize::from(is_named);
    }

    /// Whether the sandbox is all there is.
    fn is_deserted(&self) -> bool {
        self.living <= 1 && self.named == 0
    }
}

impl See<'_> {
    /// Whether its counters hold those of the cgroups below it.
    pub(super) fn counts_below(&self) -> bool {
        let is_v2 = |it: &Hugetlb| matches!(it.failures, Failures::V2 { .. });
        self.cgroup.hugetlb.iter().any(is_v2)
    }

    /// Adds its figures to what is remembered of it; what refusals are new.
    pub(super) fn take_in(&self, sizes: &mut BySize<Record>, young: bool) -> Explained {
        let taken = self.snapshot.taken;
        let now = Now { wall: taken.wall, since_start: taken.since_start };
        let mut new = Explained::default();
        for (place, (hugetlb, chain)) in self.cgroup.hugetlb.iter().zip(self.chains).enumerate() {
            let record = sizes.get_or_make(hugetlb.page_size, || Record {
                watch: Watch::new(young),
                peak: Bytes::ZERO,
                peak_reserved: Bytes::ZERO,
                grant: Grant::default(),
            });
            let figures = Figures {
                hugetlb,
                chain: *chain,
                at_refusal: self.at_refusals.get(place).copied(),
                explained: self.explained.of(hugetlb.page_size),
                is_deserted: self.explained.is_deserted(),
                is_pod: matches!(&*self.cgroup.owner, Owner::Pod(_)),
            };
            if let Some(record) = record {
                let guarding = self.snapshot.guarding(self.cgroup, hugetlb);
                new.add(hugetlb.page_size, record.take_in(&figures, guarding, now));
            }
        }
        new
    }
}

impl Record {
    fn take_in(&mut self, figures: &Figures<'_>, guarding: Guarding, now: Now) -> u64 {
        let new = self.watch.take_in(figures, now);
        let hugetlb = figures.hugetlb;
        self.grant.take_in(hugetlb, guarding, now.since_start);
        let peak = hugetlb.max_usage.present().into_iter().chain(hugetlb.usage.present()).max();
        self.peak = self.peak.max(peak.unwrap_or_default());
        self.peak_reserved = self.peak_reserved.max(hugetlb.reserved.present().unwrap_or_default());
        new
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            failures: self.watch.total,
            peak: self.peak,
            last_failure: self.watch.last,
            refusals: self.watch.refusals,
            fault: self.watch.fault.as_deref().copied(),
            peak_reserved: self.peak_reserved,
            refused_ends: self.watch.unseen_ends,
        }
    }

    /// What an instance leaves behind that was found gone then; on v1 its pod may have counted what it was refused.
    pub(super) fn left(&self, ended: Duration, pod_refused: Option<Duration>) -> Tally {
        let mut record = self.clone();
        record.watch.end(true);
        let tally = record.tally();
        // What was killed did not end over a mapping.
        let refused = record.watch.last_at.max(pod_refused);
        let refused = refused.filter(|_| tally.refusals.faults == 0);
        let refused_ends = refused.and_then(|refused| RefusedEnds::of(refused, ended));
        Tally { refused_ends, ..tally }
    }
}

impl PodRecord {
    /// It is gone, and with it whatever it used.
    pub(super) fn end(&mut self) {
        if self.as_seen.is_none() {
            self.as_seen = Some(self.sizes.clone());
            self.sizes.values_mut().for_each(|record| record.watch.end(false));
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

    /// Since when it is there.
    pub fn since(self) -> Duration {
        self.record.first_seen
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

    /// When its pod was refused mappings while it was there.
    pub(super) fn pod_refused(&self, page_size: PageSize) -> Option<Duration> {
        let of_size = self.pod_refused.iter().filter(|(size, _)| *size == page_size);
        of_size.map(|(_, at)| *at).max()
    }

    /// Where it is remembered when it is gone.
    pub(super) fn past_key(&self) -> ContainerKey {
        match &self.name {
            Some((name, _)) => ContainerKey { uid: self.uid.clone(), container: name.clone() },
            None => ContainerKey::nameless(&self.uid),
        }
    }
}
