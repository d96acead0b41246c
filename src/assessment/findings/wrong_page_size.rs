//! Granted in one size, used in another.

use super::{Facts, Finding, Rule, Severity, Subject, capital, resource};
use crate::assessment::{PodState, TenantSize};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "wrong-page-size",
    severity: Severity::Warning,
    summary: "A pod was granted huge pages of one size and maps those of another.",
    foretells: "Pages of a size that was not granted have the limit 0: a mapping is refused, or its first touch is SIGBUS. The granted ones lie idle.",
    evidence: "Less than a tenth of the pod's limit of one size is mapped, while it has mapped pages of another size of which it was granted fewer than it has mapped, or none.",
    false_alarms: "A pod that uses both sizes and has not yet begun with one.",
    remedy: "Ask for the size that the program uses, or tell the program the size that was granted (PostgreSQL: `huge_page_size`; a mapping that names no size gets the node's default, `hugetlb_default_page_size_bytes`).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for (pod, granted) in facts.pods() {
        let Some(limit) = granted.limit.finite().filter(|limit| *limit > Bytes::ZERO) else {
            continue;
        };
        let Some(used) = other_size(pod, granted) else { continue };
        let (held, other) = (used.held(), used.page_size);
        findings.push(RULE.finding(
            Subject::Tenant(pod.identity.clone()),
            granted.page_size,
            format!(
                "{} was granted {limit} in {} pages, but has mapped {held} in {other} pages.",
                capital(&pod.identity.described()),
                granted.page_size,
            ),
            format!(
                "Grant it {} {held} instead, or tell it to use {} pages.",
                resource(other),
                granted.page_size
            ),
            &[("limit_bytes", limit.0), ("other_size_committed_bytes", held.0)],
        ));
    }
}

/// The size that a pod uses instead of one it was granted and does not use.
pub(super) fn other_size<'a>(pod: &'a PodState, granted: &TenantSize) -> Option<&'a TenantSize> {
    granted.grant.unused_since?;
    pod.sizes.iter().find(|other| {
        let limit = other.limit.finite().unwrap_or_default();
        other.page_size != granted.page_size && other.held() > Bytes::ZERO && other.held() > limit
    })
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, figures};
    use crate::snapshot::Hugetlb;
    use crate::units::PageSize;

    /// Granted 1Gi pages, and of 2Mi pages so many.
    fn node(granted: u64) -> Node {
        let gi = PageSize::from_bytes(1 << 30).expect("a power of two");
        let large = Hugetlb { page_size: gi, ..figures(Some(2048), (0, 0)) };
        let node = Node::new().pod(Some(granted)).container("c", None, (64, 0));
        node.but(|snapshot| snapshot.cgroups_mut()[1].add_size(large))
    }

    #[test]
    fn one_size_granted_and_another_used() {
        let found = node(0).findings("wrong-page-size");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].sentence,
            "Pod db/pg-0 was granted 4Gi in 1Gi pages, but has mapped 128Mi in 2Mi pages."
        );
        assert!(node(64).findings("wrong-page-size").is_empty(), "both were granted");
    }
}
