//! Spec and kernel disagree.

use super::{Facts, Finding, Rule, Severity, Subject, capital};
use crate::snapshot::{Limit, Reading};

pub(super) const RULE: Rule = Rule {
    name: "declared-limit-not-set",
    severity: Severity::Warning,
    summary: "The kernel's limit of a pod is not the one that its spec declares.",
    foretells: "A lower one: SIGBUS, or a refused mapping, though the spec allows it. None, or a higher one: the pod can take pages that were granted to others.",
    evidence: "The pod's limit (`hugetlb.*.max` of its cgroup) against what the kubelet says its spec declares (`hugetlb_pod_declared_limit_bytes`, with `--collector.kubelet`). What resource claims add (`status.nodeAllocatableResourceClaimStatuses`) counts; a limit without that, as kubelets before 1.37 set it, is right too. What the guard has raised a limit to does not count, but what it was before. Only pods are compared: stock containerd never limits containers.",
    false_alarms: "While a pod is being made or changed the two differ for a moment; the kubelet's answer is up to its interval old.",
    remedy: "Recreate the pod. If it comes back, the kubelet's log tells why it could not set the limit (a missing hugetlb controller, a cgroup driver that differs from the runtime's).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for (pod, size) in facts.pods() {
        let Some(declared) = facts.declared_pod(&pod.identity) else { continue };
        let spec = declared.limit(size.page_size);
        let (kernel, figure) = match size.granted() {
            Reading::Present(Limit::At(limit)) if !declared.allows(limit, size.page_size) => {
                (limit.to_string(), Some(limit))
            }
            Reading::Present(Limit::Unlimited) => ("none".to_owned(), None),
            _ => continue,
        };
        let mut figures = vec![("declared_limit_bytes", spec.0)];
        figures.extend(figure.map(|limit| ("limit_bytes", limit.0)));
        findings.push(RULE.finding(
            Subject::Tenant(pod.identity.clone()),
            size.page_size,
            format!(
                "{} declares {spec} in {} pages, and the kernel's limit is {kernel}.",
                capital(&pod.identity.described()),
                size.page_size,
            ),
            "Recreate the pod; if it comes back, the kubelet's log tells why it did not set the limit."
                .to_owned(),
            &figures,
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::example::Node;
    use crate::snapshot::Reading;
    use crate::units::Bytes;

    fn node(kernel: Option<u64>, spec: u64) -> Node {
        Node::new().pod(kernel).container("c", None, (1, 1)).declares(spec)
    }

    /// A claim adds 16 pages to the 48 of the spec.
    #[test]
    fn resource_claims_count_whether_the_kubelet_counts_them_or_not() {
        for (kernel, found) in [(64, 0), (48, 0), (16, 1), (50, 1), (65, 1)] {
            let node = node(Some(kernel), 64).but(|snapshot| {
                let declared = Arc::make_mut(snapshot.declared.as_mut().expect("declared"));
                declared.pods[0].limits_without_claims[0].1 = Bytes(48 << 21);
            });
            assert_eq!(node.findings("declared-limit-not-set").len(), found, "{kernel}");
        }
    }

    #[test]
    fn drift_is_told_in_both_directions() {
        for (kernel, spec, found) in
            [(Some(64), 64, 0), (Some(0), 64, 1), (Some(65), 64, 1), (None, 64, 1)]
        {
            let findings = node(kernel, spec).findings("declared-limit-not-set");
            assert_eq!(findings.len(), found, "{kernel:?} {spec}");
        }
        let idle = node(Some(0), 64).but(|snapshot| {
            for cgroup in snapshot.cgroups_mut() {
                cgroup.hugetlb_mut()[0].usage = Reading::Present(Bytes::ZERO);
                cgroup.hugetlb_mut()[0].reserved = Reading::Present(Bytes::ZERO);
            }
        });
        assert_eq!(idle.findings("declared-limit-not-set").len(), 1, "before it tries");
    }
}
