//! Pods, by their own cgroups.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::ledger::{Ledger, Outlook};
use super::{Identity, PodState, TenantSize, Thresholds};
use crate::history::History;
use crate::identity::{Owner, PodUid, QosClass};
use crate::snapshot::{EXPORTER, Hugetlb, Reading, Snapshot};
use crate::units::{Bytes, PageSize};

/// Pods by UID.
type Known<'a> = BTreeMap<&'a PodUid, (Option<QosClass>, Vec<TenantSize>)>;

/// The pods to show, by UID.
pub(super) fn states(
    snapshot: &Snapshot,
    history: &History,
    ledger: &Ledger,
    thresholds: &Thresholds,
) -> Vec<PodState> {
    let mut pods = Known::new();
    let granted_below = granted_below(snapshot);
    for (index, cgroup) in snapshot.cgroups.iter().enumerate() {
        let Owner::Pod(pod) = &*cgroup.owner else { continue };
        let size = |hugetlb: &Hugetlb| {
            let page_size = hugetlb.page_size;
            let (tally, grant) = history.pod(&cgroup.path, page_size).unzip();
            TenantSize {
                outlook: ledger.outlook(index, page_size),
                guarding: snapshot.guarding(cgroup, hugetlb),
                grant: grant.unwrap_or_default(),
                ..TenantSize::of_cgroup(hugetlb, tally)
            }
        };
        // Collected first and thinned out after: that allocates no more than is needed.
        let mut sizes: Vec<TenantSize> = cgroup.hugetlb.iter().map(size).collect();
        if snapshot.is_probing(&pod.uid) {
            sizes = sizes.into_iter().map(TenantSize::without_refusals).collect();
        }
        let declared = snapshot.declared.as_ref().and_then(|declared| declared.pod(&pod.uid));
        sizes.retain(|size| {
            // A grant that the kernel does not have, or has no more, is the one that will be missed.
            let promised = declared.is_some_and(|pod| pod.limit(size.page_size) > Bytes::ZERO)
                || size.grant.dropped_from.is_some()
                || size.reservation_limit.is_grant()
                || size.limit.finite() == Some(Bytes::ZERO)
                    && granted_below.contains(&(index, size.page_size));
            thresholds.show_idle
                || promised
                || size.limit.is_grant()
                || size.is_active()
                || size.outlook.unreserved > Bytes::ZERO
        });
        sizes.shrink_to_fit();
        let (_, known) = pods.entry(&pod.uid).or_insert_with(|| (pod.qos, Vec::new()));
        add(known, sizes, |known, other| known.add_cgroup(&other));
    }
    add_gone(&mut pods, history);
    add_nameless(&mut pods, snapshot, history);
    let none: Arc<str> = Arc::from("");
    pods.into_iter()
        .filter(|(_, (_, sizes))| !sizes.is_empty())
        .map(|(uid, (qos, sizes))| PodState {
            identity: identity(uid, Arc::clone(&none), history),
            qos,
            sizes,
            memory: None,
        })
        .collect()
}

/// The cgroups that have a cgroup of a container right below them that was granted pages of that size.
fn granted_below(snapshot: &Snapshot) -> HashSet<(usize, PageSize)> {
    let containers = snapshot.cgroups.iter();
    let containers = containers.filter(|it| matches!(&*it.owner, Owner::Container(_)));
    let parents = containers.filter_map(|it| Some((it.parent?, it)));
    let sizes = parents.flat_map(|(parent, it)| it.hugetlb.iter().map(move |of| (parent, of)));
    let granted = sizes.filter(|(_, of)| of.limit.is_grant());
    granted.map(|(parent, of)| (parent, of.page_size)).collect()
}

/// What was refused to pods that are gone, but to those of an exporter.
fn add_gone<'a>(pods: &mut Known<'a>, history: &'a History) {
    let exporters = dead_exporters(history);
    let dead = history.dead_pods();
    for (uid, qos, tallies) in dead.filter(|(uid, ..)| !exporters.contains(uid)) {
        let (_, known) = pods.entry(uid).or_insert_with(|| (qos, Vec::new()));
        for (page_size, tally) in tallies {
            let dead = TenantSize::of_the_dead(page_size, tally);
            if dead.was_refused() {
                add(known, vec![dead], |known, _| known.add_past(tally));
            }
        }
    }
}

/// What was refused to containers without a name is reported of their pods, but of our own.
fn add_nameless<'a>(pods: &mut Known<'a>, snapshot: &Snapshot, history: &'a History) {
    let own = snapshot.own_pod();
    let refused = history.nameless().filter(|(uid, _, it)| it.failures > 0 && own != Some(uid));
    for (uid, page_size, tally) in refused {
        let (_, known) = pods.entry(uid).or_insert_with(|| (None, Vec::new()));
        let dead = TenantSize::of_the_dead(page_size, tally);
        add(known, vec![dead], |known, _| known.add_nameless(tally));
    }
}

/// Pods of exporters that are gone: what they were refused, their probes were refused.
fn dead_exporters(history: &History) -> HashSet<&PodUid> {
    let exporters = history.all_past().filter(|(key, _)| &*key.container == EXPORTER);
    exporters.map(|(key, _)| &key.uid).collect()
}

/// Adds the sizes of another cgroup of the same pod.
fn add(
    known: &mut Vec<TenantSize>,
    others: Vec<TenantSize>,
    merge: impl Fn(&mut TenantSize, TenantSize),
) {
    if known.is_empty() {
        *known = others;
        return;
    }
    for other in others {
        match known.iter_mut().find(|size| size.page_size == other.page_size) {
            Some(size) => merge(size, other),
            None => known.push(other),
        }
    }
    known.sort_by_key(|size| size.page_size);
}

impl TenantSize {
    /// A second cgroup of the same pod, as a change of the cgroup driver leaves behind: what both hold and were
    /// refused adds up. Limits and outlook are of the one in more danger, or else of the one that holds more.
    fn add_cgroup(&mut self, other: &Self) {
        let is_worse = other.danger() > self.danger();
        let outlook = if is_worse { other.outlook } else { self.outlook };
        self.add_instance(other, is_worse);
        self.outlook = outlook;
    }

    fn danger(&self) -> (Bytes, bool, bool, Bytes) {
        let Outlook { shortfall, uncertainty, .. } = self.outlook;
        let short = shortfall.present().unwrap_or_default();
        (short, uncertainty.is_some(), shortfall == Reading::Failed, self.held())
    }
}

/// The labels of a container of a pod, or of the pod itself.
pub(super) fn identity(uid: &PodUid, container: Arc<str>, history: &History) -> Identity {
    let name = history.pod_name(uid);
    Identity {
        namespace: name.map(|name| name.namespace.clone()).unwrap_or_default(),
        pod: name.map(|name| name.name.clone()).unwrap_or_default(),
        instance: None,
        container,
        uid: uid.shared(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::findings::example::{PG, figures};
    use super::super::{Assessment, assess};
    use super::*;
    use crate::history::Retention;
    use crate::snapshot::example::node;
    use crate::snapshot::{Failures, Limit};

    const OLD: &str = "/kubepods/burstable/podu";
    const NEW: &str = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu.slice";

    fn refused(hugetlb: Hugetlb, count: u64) -> Hugetlb {
        let hierarchical = Reading::Present(count);
        Hugetlb { failures: Failures::V2 { hierarchical, local: Reading::Absent }, ..hugetlb }
    }

    fn assessed(polls: &[Snapshot]) -> Assessment {
        let mut history = History::new(Retention::default());
        polls.iter().for_each(|snapshot| history.update(snapshot));
        assess(polls.last().expect("one"), &history, &Thresholds::default())
    }

    #[test]
    fn a_pod_with_two_cgroups_is_one() {
        let short = || refused(figures(Some(10), (30, 4)), 5);
        let rest = || refused(figures(Some(50), (8, 8)), 1);
        for (old, new) in [(short(), rest()), (rest(), short())] {
            let snapshot = node(Duration::ZERO).with(OLD, old).with(NEW, new);
            let assessment = assessed(&[snapshot.clone(), snapshot]);
            let [pod] = &assessment.pods[..] else { panic!("one: {:?}", assessment.pods) };
            let size = &pod.sizes[0];
            assert_eq!(
                (size.usage, size.reserved),
                (Reading::Present(Bytes(12 * PG)), Reading::Present(Bytes(38 * PG)))
            );
            assert_eq!(size.failures, Reading::Present(6));
            assert_eq!(size.outlook.shortfall, Reading::Present(Bytes(20 * PG)));
            assert_eq!(size.outlook.committed, Reading::Present(Bytes(30 * PG)));
            assert_eq!(size.limit, Reading::Present(Limit::At(Bytes(10 * PG))));
        }
    }

    #[test]
    fn the_one_that_is_gone_is_remembered_for_what_was_refused() {
        let new = || figures(Some(50), (8, 8));
        let both = node(Duration::ZERO).with(OLD, refused(new(), 5)).with(NEW, new());
        let one = node(Duration::from_secs(2)).with(NEW, new());
        let assessment = assessed(&[both, one]);
        assert_eq!(assessment.pods.len(), 1);
        assert_eq!(assessment.pods[0].sizes[0].failures, Reading::Present(5));
    }
}
