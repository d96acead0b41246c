//! The next one who tries will die.

use std::collections::BTreeSet;

use super::{Facts, Finding, Rule, Severity, Subject, count};
use crate::assessment::{FailureMode, Outlook};
use crate::identity::{ContainerCgroup, ContainerId, Owner, PodUid};
use crate::snapshot::{Cgroup, Check, Snapshot, Target};
use crate::units::{Bytes, PageSize};

pub(super) const RULE: Rule = Rule {
    name: "trap-armed",
    severity: Severity::Warning,
    summary: "Pods or containers without huge pages may map them, and die when they touch the first.",
    foretells: "Any program that tries huge pages by default (PostgreSQL's `initdb` and `huge_pages=try`, some JVMs and caches) in a pod that was granted none is killed by SIGBUS as it starts: kubernetes/kubernetes#71233. Its first victim can't be foretold; the trap can.",
    evidence: "A pod's limit leaves nothing to touch (`hugetlb.*.max` is 0), no reservation limit refuses the mapping (`hugetlb.*.rsvd.max` is unlimited on every level), and the node's pool has pages to map. Kubelets before 1.29 and kernels before 5.7 set no reservation limit. The same of a container in a pod that was granted some, as crun leaves it: its own limit is 0, and only its pod has a reservation limit (where pods have none either, those without a grant tell). Where no such limit is to be seen: the touch-probe was refused its touch and not its mapping (`hugetlb_probe_enforced`: fault 1, reserve 0).",
    false_alarms: "It is `info` where the guard leaves alone all that are left, as it was told to (`--guard.exclude-namespace`). None of the pods here may ever try. It is one finding for the node, not one for each pod.",
    remedy: "Run kubelet 1.29 or newer (it sets reservation limits for pods) and, where containers have limits of their own, runc 1.1.10 or newer (it sets them for containers; crun does not), or keep huge pages off where they are not granted (`huge_pages=off`, also for initdb), or let the guard set the limits that are missing (docs/guard.md), or take the pages away from nodes that need none.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.snapshot.pools {
        let page_size = pool.page_size;
        let room = pool.bytes(pool.available()).plus(pool.bytes(pool.overcommit_room()));
        if room.present().is_some_and(|room| room >= page_size.bytes()) {
            let trapped = Trapped::of(facts, page_size).finding(page_size);
            findings.extend(trapped.or_else(|| shown_by_probe(facts, page_size)));
        }
    }
}

/// Without the limits of others to look at, what became of the exporter's own pod, which was granted none.
fn shown_by_probe(facts: &Facts<'_>, page_size: PageSize) -> Option<Finding> {
    let probes = facts.snapshot.probes.as_ref().filter(|probes| probes.target == Target::Own)?;
    let enforced = |check| probes.is_enforced(page_size, check);
    let armed = (enforced(Check::Fault), enforced(Check::Reserve)) == (Some(true), Some(false));
    armed.then(|| {
        RULE.finding(
            Subject::Node,
            page_size,
            format!(
                "The probe was let map {page_size} pages that it was not granted, and was refused the touch: whatever else tries to use one is killed by SIGBUS."
            ),
            for_pods(&guarded_pods(facts.snapshot, page_size)).to_owned(),
            &[],
        )
    })
}

/// Who can map and not touch.
struct Trapped<'a> {
    /// Whether the guard leaves alone all of them, as it was told to.
    excluded: bool,
    pods: BTreeSet<&'a PodUid>,
    /// In other pods, which the kubelet has given a reservation limit: without one on the node the pods tell.
    containers: BTreeSet<(&'a ContainerId, &'a PodUid)>,
    /// What to do about the pods.
    for_pods: &'static str,
}

impl<'a> Trapped<'a> {
    /// Pods and containers that hold and were granted nothing are not shown, so the ledger is asked, not the
    /// states.
    fn of(facts: &Facts<'a>, page_size: PageSize) -> Self {
        let snapshot = facts.snapshot;
        let is_trapped = |cgroup: &Cgroup, outlook: &Outlook| {
            let limit = cgroup.of_size(page_size).and_then(|hugetlb| hugetlb.limit.finite());
            limit == Some(Bytes::ZERO)
                && outlook.failure_mode.present() == Some(FailureMode::Sigbus)
                && !has_lost_grant(facts, cgroup, page_size)
        };
        let trapped = facts.ledger.outlooks().filter(|(size, ..)| *size == page_size);
        let trapped = trapped.filter_map(|(_, index, outlook)| {
            snapshot.cgroups.get(index).filter(|cgroup| is_trapped(cgroup, outlook))
        });
        let (mut pods, mut containers) = (BTreeSet::new(), Vec::new());
        for cgroup in trapped {
            if let Owner::Pod(pod) = &*cgroup.owner
                && !facts.is_gone(pod.uid.as_str())
            {
                pods.insert(&pod.uid);
            }
            containers.extend(container_of(snapshot, cgroup));
        }
        let guarded = guarded_pods(snapshot, page_size);
        containers.retain(|ContainerCgroup { pod, .. }| {
            guarded.contains(&pod.uid) && !pods.contains(&pod.uid)
        });
        let containers: BTreeSet<_> =
            containers.into_iter().map(|container| (&container.id, &container.pod.uid)).collect();
        let guard = snapshot.guard.as_ref();
        let excluded = |uid: &PodUid| guard.is_some_and(|guard| guard.excludes(uid.as_str()));
        let around = containers.iter().map(|(_, pod)| *pod);
        let excluded = pods.iter().copied().chain(around).all(excluded);
        Self { pods, containers, excluded, for_pods: for_pods(&guarded) }
    }

    fn finding(&self, page_size: PageSize) -> Option<Finding> {
        let (pods, containers) = (self.pods.len(), self.containers.len());
        let (who, remedy) = match (pods, containers) {
            (0, 0) => return None,
            (_, 0) => (count(pods, "pod"), self.for_pods.to_owned()),
            (0, _) => (count(containers, "container"), FOR_CONTAINERS.to_owned()),
            _ => {
                let who = format!("{} and {}", count(pods, "pod"), count(containers, "container"));
                (who, format!("{} {FOR_CONTAINERS}", self.for_pods))
            }
        };
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut figures = vec![("pods", number(pods)), ("containers", number(containers))];
        figures.retain(|(_, number)| *number > 0);
        let around = self.containers.iter().map(|(_, pod)| *pod);
        let concerned = self.pods.iter().copied().chain(around).map(PodUid::shared);
        let finding = RULE.finding(
            Subject::Node,
            page_size,
            format!(
                "{who} of this node {} granted no {page_size} pages and can map them all the same: whatever tries to use one is killed by SIGBUS.",
                if pods + containers == 1 { "was" } else { "were" },
            ),
            remedy,
            &figures,
        );
        let finding = finding.concerning(concerned);
        Some(if self.excluded { Finding { severity: Severity::Info, ..finding } } else { finding })
    }
}

/// The container whose limits are in that cgroup: crun's are in the one inside its scope.
fn container_of<'a>(snapshot: &'a Snapshot, cgroup: &'a Cgroup) -> Option<&'a ContainerCgroup> {
    let around = || cgroup.parent.and_then(|parent| snapshot.cgroups.get(parent));
    match &*cgroup.owner {
        Owner::Container(container) => Some(container),
        Owner::InsideContainer if cgroup.path.ends_with("/container") => match &*around()?.owner {
            Owner::Container(container) => Some(container),
            _ => None,
        },
        _ => None,
    }
}

/// The pods that have a reservation limit.
fn guarded_pods(snapshot: &Snapshot, page_size: PageSize) -> BTreeSet<&PodUid> {
    let guarded = snapshot.cgroups.iter().filter_map(|cgroup| match &*cgroup.owner {
        Owner::Pod(pod) => {
            let limit = cgroup.of_size(page_size)?.reservation_limit.finite();
            limit.map(|_| &pod.uid)
        }
        _ => None,
    });
    guarded.collect()
}

/// A pod with any reservation limit shows that the kubelet sets them.
fn for_pods(guarded: &BTreeSet<&PodUid>) -> &'static str {
    if guarded.is_empty() { FOR_PODS } else { FOR_OLD_PODS }
}

/// Whether a pod was granted pages and the limit was taken from it later: that is another finding.
fn has_lost_grant(facts: &Facts<'_>, cgroup: &Cgroup, page_size: PageSize) -> bool {
    let Owner::Pod(pod) = &*cgroup.owner else { return false };
    let had = facts.history.pod(&cgroup.path, page_size);
    let reservation = cgroup.of_size(page_size).map(|hugetlb| hugetlb.reservation_limit);
    let declared = facts.snapshot.declared.as_ref().and_then(|declared| declared.pod(&pod.uid));
    had.is_some_and(|(_, grant)| grant.dropped_from.is_some())
        || reservation.is_some_and(|limit| limit.is_grant())
        || declared.is_some_and(|declared| declared.limit(page_size) > Bytes::ZERO)
}

const FOR_OLD_PODS: &str = "Recreate them: other pods of this node have reservation limits, so these were made before the kubelet set any; until then turn huge pages off where none are granted (PostgreSQL: huge_pages=off).";

const FOR_PODS: &str = "Run kubelet 1.29 or newer, which lets such mappings fail instead; until then turn huge pages off where none are granted (PostgreSQL: huge_pages=off).";

const FOR_CONTAINERS: &str = "Use a runtime that writes hugetlb.*.rsvd.max for containers (runc 1.1.10 or newer, not crun), or turn huge pages off in containers that are granted none, also for initdb.";

#[cfg(test)]
mod tests {
    use super::super::example::{Node, figures, limit, probed};
    use crate::snapshot::{Check, EnforcedBy, Reading, Verdict};
    use crate::units::{Pages, SignedPages};

    #[test]
    fn a_pod_that_may_map_and_not_touch() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let found = node.findings("trap-armed");
        assert_eq!((found.len(), found[0].concerns("u")), (1, true));
        assert!(found[0].sentence.starts_with("1 pod of this node was granted no 2Mi pages"));
    }

    #[test]
    fn a_probe_that_was_let_map_and_not_touch() {
        let fault = (Check::Fault, Verdict::Enforced(EnforcedBy::Either));
        let found = |verdicts: &[(Check, Verdict)]| {
            let node = Node::new().but(|snapshot| snapshot.probes = probed(verdicts));
            node.findings("trap-armed")
        };
        let one = found(&[fault.clone(), (Check::Reserve, Verdict::NotEnforced)]);
        assert_eq!(one.len(), 1);
        assert!(one[0].sentence.starts_with("The probe was let map 2Mi pages"));
        let by_reservation = Verdict::Enforced(EnforcedBy::ReservationLimit);
        assert!(found(&[fault.clone(), (Check::Reserve, by_reservation)]).is_empty());
        assert!(found(&[fault]).is_empty());
        assert!(found(&[(Check::Reserve, Verdict::NotEnforced)]).is_empty());
    }

    #[test]
    fn not_where_the_mapping_fails() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let node = node.but(|snapshot| {
            snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(0));
        });
        assert!(node.findings("trap-armed").is_empty());
    }

    #[test]
    fn not_where_there_are_no_pages_to_map() {
        let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
        let node = node.but(|snapshot| snapshot.pools[0].free = Reading::Present(Pages(0)));
        assert!(node.findings("trap-armed").is_empty());
    }

    #[test]
    fn one_page_is_enough_be_it_free_or_still_to_be_made() {
        for (free, overcommit) in [(1, 0), (0, 1)] {
            let node = Node::new().pod(Some(0)).container("c", None, (0, 0));
            let node = node.but(|snapshot| {
                let pool = &mut snapshot.pools[0];
                pool.free = Reading::Present(Pages(free));
                pool.reserved = Reading::Present(SignedPages(0));
                pool.overcommit_limit = Reading::Present(Pages(overcommit));
            });
            assert_eq!(node.findings("trap-armed").len(), 1, "{free} {overcommit}");
        }
    }

    #[test]
    fn not_for_a_pod_with_a_grant() {
        let node = Node::new().pod(Some(10)).container("c", None, (0, 0));
        assert!(node.findings("trap-armed").is_empty());
    }

    #[test]
    fn a_container_without_a_grant_in_a_pod_with_one() {
        // As CRI-O and crun leave it: the kubelet sets the pod's reservation limit, nobody the containers'.
        let with = |own, pod| {
            let node = Node::new().pod(Some(128)).container("postgres", Some(128), (100, 100));
            let node = node.container("initdb", own, (0, 0));
            node.but(|snapshot| {
                snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(pod);
            })
        };
        let found = with(Some(0), Some(128)).findings("trap-armed");
        assert_eq!((found.len(), found[0].concerns("u")), (1, true));
        let sentence = &found[0].sentence;
        assert!(sentence.starts_with("1 container of this node was granted no"), "{sentence}");
        assert!(found[0].remedy.contains("rsvd.max"), "{}", found[0].remedy);
        assert!(with(None, Some(128)).findings("trap-armed").is_empty());
        let unguarded = with(Some(0), None).findings("trap-armed");
        assert!(unguarded.is_empty(), "without reservation limits the pods tell");
        let fails = with(Some(0), Some(128)).but(|snapshot| {
            snapshot.cgroups_mut()[3].hugetlb_mut()[0].reservation_limit = limit(Some(0));
        });
        assert!(fails.findings("trap-armed").is_empty(), "its mapping is refused");
        let inner = with(None, Some(128)).but(|snapshot| {
            let path = format!("{}/container", snapshot.cgroups[3].path);
            *snapshot = snapshot.clone().with(&path, figures(Some(0), (0, 0)));
        });
        assert_eq!(inner.findings("trap-armed").len(), 1, "in crun's cgroup inside its scope");
    }

    #[test]
    fn a_container_of_a_pod_that_is_counted_is_not_counted_again() {
        let node = Node::new().pod(Some(0)).container("c", Some(0), (0, 0));
        let found = node.findings("trap-armed");
        assert!(found[0].sentence.starts_with("1 pod of this node"), "{}", found[0].sentence);
    }
}
