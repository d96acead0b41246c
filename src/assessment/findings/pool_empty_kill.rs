//! The pool itself had nothing left.

use std::collections::BTreeSet;

use super::killed::{killed, killed_words};
use super::{Facts, Finding, Rule, Severity, Subject, capital};
use crate::history::Cause;

pub(super) const RULE: Rule = Rule {
    name: "pool-empty-kill",
    severity: Severity::Critical,
    summary: "A process was killed by SIGBUS since the pool had no huge page left, whatever its limit.",
    foretells: "It has happened, and will again for as long as the pool is empty: a mapping without a reservation (MAP_NORESERVE, copies of private pages after a fork) is promised nothing and takes what is there. No counter of the kernel's moves, so nothing else tells of it.",
    evidence: "Only with the witness (docs/witness.md). The kernel raised SIGBUS (BUS_ADRERR) in a process of the container; no refusal was counted in its cgroup, or the innermost above it that is there, between the polls around that; the cgroup held huge pages of that size within 5 s before; and the pool, or one NUMA node's part of it, had no unreserved page within 5 s. Held for 15 minutes after the last one.",
    false_alarms: "A process that reads beyond the end of a file that was cut gets the same signal: where its container holds huge pages and the pool is empty at that time, it is taken for this. Not raised where the pool was empty for a moment only, between two polls; where all that the container held were pages it had not been seen with; nor without the witness.",
    remedy: "Make the pool larger (`vm.nr_hugepages`), or have mappings reserve what they map (no MAP_NORESERVE; QEMU's `reserve=on`), so that they fail at mmap and not later.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let all = facts.assessment.killed.iter().filter(|it| it.cause == Some(Cause::Pool));
    let all: BTreeSet<_> = all.filter_map(|it| Some((&it.who, it.page_size?))).collect();
    for (who, page_size) in all {
        let Some((last, processes)) = killed(facts, who, page_size, Cause::Pool) else { continue };
        let age = facts.snapshot.taken.wall.duration_since(last.at).unwrap_or_default();
        let sentence = format!(
            "{}: {} when the pool of {page_size} pages had none left, last {}s ago.",
            capital(&who.described()),
            killed_words(Some((last, processes))),
            age.as_secs(),
        );
        let remedy = format!(
            "Add {page_size} pages to the pool, or have it reserve what it maps (no MAP_NORESERVE)."
        );
        let figures = [("processes", u64::try_from(processes).unwrap_or(u64::MAX))];
        let subject = Subject::Tenant(who.clone());
        findings.push(RULE.finding(subject, page_size, sentence, remedy, &figures));
    }
}
