//! Granted and half used.

use super::{Facts, Finding, Rule, Severity, Subject, capital, resource};

pub(super) const RULE: Rule = Rule {
    name: "idle-grant",
    severity: Severity::Info,
    summary: "A pod uses less than half of the huge pages it was granted.",
    foretells: "No failure. Pages that nobody else on the node can be granted lie idle.",
    evidence: "For 10 minutes at least a tenth and less than half of the pod's limit was mapped. Below a tenth it is `silent-fallback`. The idle part is `hugetlb_pod_idle_grant_bytes`.",
    false_alarms: "A pod that takes its pages little by little, or that keeps a reserve on purpose.",
    remedy: "Lower `hugepages-<size>` to what the pod maps, or let it use more (PostgreSQL: raise `shared_buffers`).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for (pod, size) in facts.pods() {
        let (Some(since), None) = (size.grant.half_unused_since, size.grant.unused_since) else {
            continue;
        };
        let Some(limit) = size.limit.finite() else { continue };
        if facts.history.now().saturating_sub(since) < facts.thresholds.idle_for
            || !facts.is_running(pod)
        {
            continue;
        }
        let (held, idle) = (size.held(), limit.less(size.held()));
        findings.push(RULE.finding(
            Subject::Tenant(pod.identity.clone()),
            size.page_size,
            format!(
                "{} was granted {limit} in {} pages and has mapped {held}: {idle} lie idle.",
                capital(&pod.identity.described()),
                size.page_size,
            ),
            format!("Lower {} towards {held}, or let it use more.", resource(size.page_size)),
            &[("idle_bytes", idle.0), ("limit_bytes", limit.0), ("committed_bytes", held.0)],
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::Node;

    #[test]
    fn between_a_tenth_and_a_half() {
        for (held, found) in [(9, 0), (10, 1), (49, 1), (50, 0), (100, 0)] {
            let node = Node::new().pod(Some(100)).container("c", None, (held, held));
            let findings = node.findings_after(Duration::from_secs(600), "idle-grant");
            assert_eq!(findings.len(), found, "{held} of 100");
        }
    }
}
