//! A limit fell under a running tenant.

use super::{Facts, Finding, Rule, Severity, Subject, capital, resource};
use crate::assessment::{Identity, TenantSize};

pub(super) const RULE: Rule = Rule {
    name: "limit-dropped",
    severity: Severity::Warning,
    summary: "A limit of huge pages was lowered while its pod or container ran.",
    foretells: "What was mapped under the old limit may be refused under the new one: the next touch is SIGBUS. Huge pages can't be resized in place, so nobody meant to; resizing a pod's CPU or memory in place was seen to reset them to 0.",
    evidence: "The fault limit (`hugetlb.*.max`) is finite and lower than a finite one this exporter saw of the same cgroup. The kernel refuses to lower it below what is in use, not below what is reserved.",
    false_alarms: "An administrator who lowered it by hand.",
    remedy: "Set it back: recreate the pod, or until then write the old value into the cgroup's `hugetlb.<size>.max`.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let containers = facts.containers().map(|(container, size)| (&container.identity, size));
    for (who, size) in containers.chain(facts.pods().map(|(pod, size)| (&pod.identity, size))) {
        findings.extend(finding(who, size));
    }
}

fn finding(who: &Identity, size: &TenantSize) -> Option<Finding> {
    let (before, now) = (size.grant.dropped_from?, size.limit.finite()?);
    Some(RULE.finding(
        Subject::Tenant(who.clone()),
        size.page_size,
        format!(
            "The limit of {} for {} pages fell from {before} to {now} while it ran.",
            who.described(),
            size.page_size,
        ),
        format!(
            "{} is {before} in its spec or was: recreate the pod, so that it is set again.",
            capital(&resource(size.page_size))
        ),
        &[("limit_before_bytes", before.0), ("limit_bytes", now.0)],
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through};

    #[test]
    fn a_limit_that_falls_is_told_until_it_is_back() {
        let with = |pages| Node::new().pod(pages).container("c", None, (50, 10));
        let told = |limits: &[Option<u64>]| {
            let polls: Vec<Node> = limits.iter().map(|pages| with(*pages)).collect();
            findings_through(&polls, Duration::from_secs(2), "limit-dropped").len()
        };
        assert_eq!(told(&[Some(100), Some(40)]), 1);
        assert_eq!(told(&[Some(100), Some(0)]), 1);
        assert_eq!(told(&[Some(100), Some(40), Some(100)]), 0);
        assert_eq!(told(&[None, Some(100)]), 0, "set as the pod began");
        let idle = |pages| Node::new().pod(Some(pages));
        let found =
            findings_through(&[idle(100), idle(0)], Duration::from_secs(2), "limit-dropped");
        assert_eq!(found.len(), 1, "reset to nothing under a pod that has not begun to use it");
    }
}
