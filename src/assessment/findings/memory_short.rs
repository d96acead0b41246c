//! Huge pages count as memory, and memory is too small for them.

mod remedy;

use super::{Facts, Finding, REQUIRED_LIMIT, Rule, SHORTFALL, Severity, Subject, capital};
use crate::assessment::MemoryOutlook;
use crate::identity::Owner;
pub(super) use remedy::Remedy;

pub(super) const RULE: Rule = Rule {
    name: "memory-short",
    severity: Severity::Critical,
    summary: "Huge pages count as memory here, and a container, its pod, or a cgroup above has mapped more of them than its limit of memory leaves.",
    foretells: "The process that touches the first page beyond `memory.max` hangs: it spins at 100 % of a core for ever, without a signal, an error, an OOM kill or a refusal that anything counts; dmesg repeats `Huh VM_FAULT_OOM leaked out to the #PF handler`. Ordinary processes beside it may be killed for want of memory.",
    evidence: "cgroup2 is mounted with `memory_hugetlb_accounting`. What is mapped and still to be touched, as far as the limits of huge pages, the pool, and the memory of children let, is more than `memory.max` leaves beside what can't be reclaimed (`memory.current` less file caches and reclaimable slab in `memory.stat`; less anonymous memory as far as there is swap). Certain where the huge pages alone are above `memory.max`; the sentence says which.",
    false_alarms: "A program that maps more than it will touch; other memory that shrinks before (where the huge pages alone fit). Not seen: other memory that has yet to grow, MAP_NORESERVE, copies after a fork, pages below 1 MiB short (the kernel's own need grows by some kB a mapping), and pods whose cgroup v1 limits huge pages while v2 limits memory. Where a limit of huge pages is met at the very same page, kernels before 6.14 hang and newer ones send the SIGBUS that `will-crash` predicts.",
    remedy: "Raise `memory` of the container by its huge pages, or mount cgroup2 without the option: the finding has the value and the command, which takes effect at once, also for who hangs already.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    for (index, outlook) in facts.memory_outlooks() {
        if outlook.shortfall.is_some() {
            findings.extend(finding(facts, index, outlook));
        }
    }
    facts.name_containers_rather_than_pods(findings, first);
}

fn finding(facts: &Facts<'_>, index: usize, outlook: &MemoryOutlook) -> Option<Finding> {
    let (held, needed) = (outlook.held?, outlook.needed()?);
    let short = outlook.shortfall.present()?;
    let subject = facts.memory_subject(index)?;
    let whose = match &subject {
        Subject::Tenant(who) => capital(&who.described()),
        Subject::Cgroup(path) => format!("Cgroup {path}"),
        Subject::Node => return None,
    };
    let huge = crate::units::Bytes(held.huge.0.saturating_add(outlook.to_come.0));
    let (need, may) = if outlook.is_certain() {
        (format!("needs {huge} of memory for its huge pages"), "")
    } else {
        let others = format!("and has {} of other memory that can't be reclaimed", held.other);
        (format!("needs {huge} of memory for its huge pages {others}"), ", unless that shrinks")
    };
    let sentence = format!(
        "{whose} {need}, and its memory.max is {} ({short} too little): huge pages count as memory on this node, and the process that touches the rest will hang at 100 % of a core, without a signal or an error{may}.",
        outlook.limit,
    );
    let remedy = Remedy::of(facts, index, &subject, outlook)?;
    let figures = [
        (SHORTFALL, short.0),
        ("huge_pages_bytes", huge.0),
        ("other_memory_bytes", held.other.0),
        ("memory_limit_bytes", outlook.limit.0),
        ("needed_bytes", needed.0),
        (REQUIRED_LIMIT, remedy.limit.0),
    ];
    Some(RULE.finding(subject, None, sentence, remedy.text, &figures))
}

impl Facts<'_> {
    /// Every cgroup with a limit of memory, where huge pages count as memory.
    pub(super) fn memory_outlooks(&self) -> impl Iterator<Item = (usize, &MemoryOutlook)> {
        let outlooks = self.memory.iter().enumerate();
        outlooks.filter_map(|(index, outlook)| Some((index, outlook.as_ref()?)))
    }

    /// Whom to name for a cgroup: its container or pod, or itself.
    pub(super) fn memory_subject(&self, index: usize) -> Option<Subject> {
        let cgroup = self.snapshot.cgroups.get(index)?;
        Some(match &*cgroup.owner {
            Owner::Container(container) => {
                let is_it = |id: &str| id == container.id.as_str();
                let states = self.assessment.containers_of(container.pod.uid.as_str()).iter();
                let known = states.filter(|it| !self.is_sandbox(it)).find(|state| {
                    state.newest.as_ref().is_some_and(|newest| is_it(newest.id.as_str()))
                });
                Subject::Tenant(match known {
                    Some(known) => known.identity.clone(),
                    None => self.pod_identity(&container.pod.uid),
                })
            }
            Owner::InsideContainer => return self.memory_subject(cgroup.parent?),
            Owner::Pod(pod) | Owner::PodInfrastructure(pod) => {
                Subject::Tenant(self.pod_identity(&pod.uid))
            }
            Owner::Tier | Owner::Service => Subject::Cgroup(cgroup.path.to_string()),
        })
    }

    /// Leaves of what a rule found from its `first` finding on one for each subject, and none of a pod one of whose containers is
    /// named: the kubelet makes the pod's limit of those of its containers.
    pub(super) fn name_containers_rather_than_pods(
        &self,
        findings: &mut Vec<Finding>,
        first: usize,
    ) {
        let mut found = findings.split_off(first.min(findings.len()));
        found.sort_by_key(|it| std::cmp::Reverse(it.figures.first().map(|figure| figure.value)));
        let named: Vec<_> = found.iter().map(|it| it.subject.clone()).collect();
        let has_named_container = |uid: &str| {
            named.iter().any(|subject| match subject {
                Subject::Tenant(who) => *who.uid == *uid && !who.container.is_empty(),
                Subject::Node | Subject::Cgroup(_) => false,
            })
        };
        for one in found {
            let is_told = findings
                .get(first..)
                .unwrap_or_default()
                .iter()
                .any(|it| it.subject == one.subject);
            let is_pod_of_named = matches!(&one.subject, Subject::Tenant(who) if who.container.is_empty() && has_named_container(&who.uid));
            if !is_told && !is_pod_of_named {
                findings.push(one);
            }
        }
    }
}

#[cfg(test)]
mod tests;
