//! What somebody should know: one rule a file, each with what it foretells, its evidence, its false alarms,
//! one function and its tests. The same words in the report, on the page, in the log, in metrics and docs.

mod confirm;
mod contested;
mod controller_missing;
mod declared_limit_not_set;
mod faults_refused;
mod finding;
mod idle_grant;
mod killed;
mod limit_dropped;
mod limit_not_enforced;
mod mapping_refused;
mod memory_accounting;
mod memory_hang;
mod memory_short;
mod mute;
mod numa_short;
mod outside_pod_cgroup;
mod pages_orphaned;
mod pages_unattributed;
mod pods_unlimited;
mod pool_empty_kill;
mod pool_short;
mod probe_stale;
mod refusals_ambiguous;
mod refused_without_grant;
mod rescued;
mod reservations_unseen;
mod silent_fallback;
mod trap_armed;
mod uncertain;
mod will_crash;
mod words;
mod wrong_page_size;

use std::collections::HashSet;
use std::sync::Arc;

use super::ledger::Ledger;
use super::{
    Assessment, ContainerState, Identity, MemoryOutlook, PodState, TenantSize, Thresholds, gone,
    pods,
};
use crate::history::History;
use crate::identity::{Owner, PodUid};
use crate::snapshot::{DeclaredPod, Hugetlb, Snapshot};
use crate::units::{Bytes, PageSize};

pub use confirm::{Changes, Findings};
pub use finding::{Figure, Finding, REQUIRED_LIMIT, SHORTFALL, Severity, Subject};
pub use mute::MutedPod;
use words::{capital, count, resource, times, whole_pages};

/// All rules, the worst first; findings come in this order.
pub const RULES: &[Rule] = &[
    memory_hang::RULE,
    will_crash::RULE,
    memory_short::RULE,
    faults_refused::RULE,
    pool_empty_kill::RULE,
    mapping_refused::RULE,
    limit_not_enforced::RULE,
    uncertain::RULE,
    rescued::RULE,
    contested::RULE,
    trap_armed::RULE,
    silent_fallback::RULE,
    wrong_page_size::RULE,
    limit_dropped::RULE,
    declared_limit_not_set::RULE,
    numa_short::RULE,
    pool_short::RULE,
    refusals_ambiguous::RULE,
    outside_pod_cgroup::RULE,
    pods_unlimited::RULE,
    controller_missing::RULE,
    probe_stale::RULE,
    idle_grant::RULE,
    memory_accounting::RULE,
    refused_without_grant::RULE,
    pages_orphaned::RULE,
    pages_unattributed::RULE,
    reservations_unseen::RULE,
];

/// One thing that can be wrong, and how it is known.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name wherever it appears, `will-crash`.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub summary: &'static str,
    /// The failure that follows, or has followed.
    pub foretells: &'static str,
    /// Which figures it rests on.
    pub evidence: &'static str,
    /// When it is raised and nothing is wrong, and when something is wrong and it is not raised.
    pub false_alarms: &'static str,
    /// What to do.
    pub remedy: &'static str,
    find: fn(&Facts<'_>, &mut Vec<Finding>),
}

/// All that a rule may look at.
pub(super) struct Facts<'a> {
    snapshot: &'a Snapshot,
    history: &'a History,
    thresholds: &'a Thresholds,
    ledger: &'a Ledger,
    /// What becomes of each cgroup's memory, in the snapshot's order; empty where huge pages do not count as memory.
    memory: &'a [Option<MemoryOutlook>],
    assessment: &'a Assessment,
    /// The pods of which cgroups alone are left, by UID.
    gone: HashSet<&'a str>,
}

/// Asks every rule: what is to be said, and what is muted.
pub(super) fn find(
    snapshot: &Snapshot,
    history: &History,
    thresholds: &Thresholds,
    ledger: &Ledger,
    memory: &[Option<MemoryOutlook>],
    assessment: &Assessment,
) -> (Vec<Finding>, Vec<Finding>) {
    let gone = gone::pods(snapshot, history);
    let facts = Facts { snapshot, history, thresholds, ledger, memory, assessment, gone };
    let mut findings = Vec::new();
    for rule in RULES {
        (rule.find)(&facts, &mut findings);
    }
    for finding in &mut findings {
        if let Subject::Cgroup(path) = &finding.subject {
            finding.concerned = facts.pods_below(path);
        }
    }
    // What a rule found may be less severe than what it is for.
    findings.sort_by_key(|finding| finding.severity);
    mute::part(&facts, findings)
}

impl Rule {
    /// A finding of this rule.
    fn finding(
        &self,
        subject: Subject,
        page_size: impl Into<Option<PageSize>>,
        sentence: String,
        remedy: String,
        figures: &[(&'static str, u64)],
    ) -> Finding {
        Finding {
            name: self.name,
            severity: self.severity,
            subject,
            concerned: Vec::new(),
            page_size: page_size.into(),
            sentence,
            remedy,
            figures: figures.iter().copied().map(Figure::from).collect(),
        }
    }
}

impl<'a> Facts<'a> {
    /// Every pod's sizes.
    fn pods(&self) -> impl Iterator<Item = (&'a PodState, &'a TenantSize)> + use<'a> {
        let pods = &self.assessment.pods;
        pods.iter().flat_map(|pod| pod.sizes.iter().map(move |size| (pod, size)))
    }

    /// Every container's sizes.
    fn containers(&self) -> impl Iterator<Item = (&'a ContainerState, &'a TenantSize)> + use<'a> {
        let containers = &self.assessment.containers;
        containers
            .iter()
            .flat_map(|container| container.sizes.iter().map(move |size| (container, size)))
    }

    /// The pods whose cgroups lie below that one, by UID.
    fn pods_below(&self, path: &str) -> Vec<Arc<str>> {
        let cgroups = self.snapshot.cgroups.iter().filter(|cgroup| {
            cgroup.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        });
        cgroups
            .filter_map(|cgroup| match &*cgroup.owner {
                Owner::Pod(pod) => Some(pod.uid.shared()),
                _ => None,
            })
            .collect()
    }

    /// The containers of a pod that run and are shown.
    fn running(&self, pod: &PodState) -> impl Iterator<Item = &'a ContainerState> + use<'a, '_> {
        let uid = pod.identity.uid.clone();
        let containers = self.assessment.containers.iter();
        containers
            .filter(move |container| container.identity.uid == uid && container.newest.is_some())
    }

    /// Whether a pod runs a container in its cgroup, whatever is shown of it. Without names one container alone may be
    /// the sandbox, unless it holds pages.
    fn is_running(&self, pod: &PodState) -> bool {
        if self.is_gone(&pod.identity.uid) {
            return false;
        }
        let mut containers =
            self.snapshot.cgroups.iter().filter_map(|cgroup| match &*cgroup.owner {
                Owner::Container(container)
                    if container.in_pod_cgroup
                        && container.pod.uid.as_str() == &*pod.identity.uid =>
                {
                    Some((cgroup, &container.id))
                }
                _ => None,
            });
        let mut unnamed = 0;
        containers.any(|(cgroup, id)| {
            unnamed += 1;
            let holds = |hugetlb: &Hugetlb| hugetlb.usage.is_some() || hugetlb.reserved.is_some();
            let is_named = self.history.living(id).is_some_and(|living| living.name().is_some());
            is_named || unnamed > 1 || cgroup.hugetlb.iter().any(holds)
        })
    }

    /// The pod of that identity, or of that container.
    fn pod(&self, who: &Identity) -> Option<&'a PodState> {
        let pods = &self.assessment.pods;
        let place = pods.binary_search_by(|pod| pod.identity.uid.cmp(&who.uid)).ok()?;
        pods.get(place)
    }

    /// What the kubelet has reported of it.
    fn declared_pod(&self, who: &Identity) -> Option<&'a DeclaredPod> {
        self.snapshot.declared.as_ref()?.pod(&PodUid::from_path(&who.uid)?)
    }

    /// Whether all that is left of a pod is its cgroups.
    fn is_gone(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }

    /// Whether a container is its pod's sandbox: the others have names and it will have none. gVisor and Kata charge it
    /// for the whole pod, and no spec knows it.
    fn is_sandbox(&self, container: &ContainerState) -> bool {
        let Some(newest) = &container.newest else { return false };
        let is_named =
            self.history.living(&newest.id).is_some_and(|living| living.name().is_some());
        !is_named
            && !self.history.may_be_named_soon(&newest.id)
            && PodUid::from_path(&container.identity.uid)
                .is_some_and(|uid| self.snapshot.names.knows_containers_of(&uid))
    }

    /// Whom to name for a container: its pod where it is the sandbox.
    fn named(&self, container: &ContainerState) -> Identity {
        match PodUid::from_path(&container.identity.uid) {
            Some(uid) if self.is_sandbox(container) => self.pod_identity(&uid),
            _ => container.identity.clone(),
        }
    }

    /// A pod by name, shown or not.
    fn pod_identity(&self, uid: &PodUid) -> Identity {
        pods::identity(uid, Arc::from(""), self.history)
    }

    /// What a pod's spec grants it of that size, where the kubelet has told.
    fn declared(&self, pod: &PodState, page_size: PageSize) -> Option<Bytes> {
        Some(self.declared_pod(&pod.identity)?.limit(page_size))
    }

    /// Whether the kubelet says that a pod's own resources name pages of that size.
    fn declares_own_resources(&self, pod: &PodState, page_size: PageSize) -> bool {
        self.declared_pod(&pod.identity).is_some_and(|pod| pod.own_resources.contains(&page_size))
    }

    /// The one container of a pod that holds pages of that size, if it is one alone.
    fn only_holder(&self, pod: &PodState, page_size: PageSize) -> Option<&'a ContainerState> {
        let holds = |container: &&ContainerState| {
            container.sizes.iter().any(|size| {
                size.page_size == page_size
                    && (size.held() > Bytes::ZERO || size.outlook.unreserved > Bytes::ZERO)
            })
        };
        let mut holders = self.running(pod).filter(holds);
        holders.next().filter(|_| holders.next().is_none())
    }
}

/// Asks of every container, and of the pods none of whose containers was found: on v2 a pod's count holds its
/// containers', and who is named is named once.
fn name_once(
    facts: &Facts<'_>,
    name: &str,
    finding: fn(&Facts<'_>, &Identity, &TenantSize) -> Option<Finding>,
    findings: &mut Vec<Finding>,
) {
    for (container, size) in facts.containers() {
        findings.extend(finding(facts, &container.identity, size));
    }
    for (pod, size) in facts.pods() {
        let is_named = findings.iter().any(|finding| {
            finding.name == name
                && finding.page_size == Some(size.page_size)
                && matches!(&finding.subject, Subject::Tenant(who) if who.uid == pod.identity.uid)
        });
        if !is_named {
            findings.extend(finding(facts, &pod.identity, size));
        }
    }
}

/// Adds what a rule found, unless it has found the same from its `first` finding on: of one pod several cgroups may tell.
fn add_once(findings: &mut Vec<Finding>, first: usize, found: Option<Finding>) {
    let Some(found) = found else { return };
    let mut known = findings.get(first..).into_iter().flatten();
    if !known.any(|one| one.subject == found.subject && one.page_size == found.page_size) {
        findings.push(found);
    }
}

#[cfg(test)]
pub(super) mod example;
#[cfg(test)]
mod tests;
