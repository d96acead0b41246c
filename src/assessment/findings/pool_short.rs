//! More was promised than there is.

use std::sync::Arc;

use super::{Facts, Finding, Rule, SHORTFALL, Severity, Subject};
use crate::units::{Bytes, PageSize};

pub(super) const RULE: Rule = Rule {
    name: "pool-short",
    severity: Severity::Warning,
    summary: "The pods' unused grants are more than the node's pool can still give.",
    foretells: "A pod that maps what it was granted is refused (ENOMEM: no huge pages, or no start), or, having mapped without a reservation, is killed by SIGBUS. No counter moves for either.",
    evidence: "The sum over pods of what their limits grant and they have not mapped (`hugetlb_pool_unfilled_bytes`) is above what is available of the pool, its free pages less the reserved ones. The usual causes: the pool was made smaller after the kubelet started, pages are used outside pods, or a file keeps them.",
    false_alarms: "A pod of which no process is left for 6 minutes, or which the kubelet does not know where it is asked, is taken for gone and not counted; with CRI-O, which keeps no process of its own in a pod, that may be one whose image is fetched for longer. While a pod ends its pages are in use and its successor's grant is already counted. Overcommitted (surplus) pages are not counted on.",
    remedy: "Give the pool the missing pages (`vm.nr_hugepages`) and restart the kubelet if the node's capacity changed, or find who uses pages outside pods (`hugetlb_pool_unattributed_bytes`, `hugetlb_cgroup_usage_bytes`).",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in &facts.assessment.pools {
        let (Some(short), Some(unfilled)) = (pool.shortfall.present(), pool.unfilled.present())
        else {
            continue;
        };
        if short == Bytes::ZERO {
            continue;
        }
        let page_size = pool.page_size;
        let pages = short.0.div_ceil(page_size.bytes().0);
        findings.push(RULE.finding(
            Subject::Node,
            page_size,
            format!(
                "Pods were granted {unfilled} in {page_size} pages that they have not mapped yet, and the pool can give {} of it.",
                unfilled.less(short),
            ),
            format!("Add {pages} pages of {page_size} to the pool, or find who uses pages outside pods."),
            &[(SHORTFALL, short.0), ("unfilled_bytes", unfilled.0)],
        ).concerning(unfilled_pods(facts, page_size)));
    }
}

/// The pods that have not mapped all they were granted.
fn unfilled_pods<'a>(
    facts: &Facts<'a>,
    page_size: PageSize,
) -> impl Iterator<Item = Arc<str>> + use<'a> {
    let pods = facts.pods().filter(move |(_, size)| size.page_size == page_size);
    let pods: Vec<_> = pods.filter(|(pod, _)| !facts.is_gone(&pod.identity.uid)).collect();
    pods.into_iter()
        .filter(|(_, size)| size.idle_grant().is_some())
        .map(|(pod, _)| Arc::clone(&pod.identity.uid))
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;

    #[test]
    fn grants_that_the_pool_can_not_give() {
        let node = |granted| Node::new().pod(Some(granted)).container("c", None, (100, 60));
        assert!(node(500).findings("pool-short").is_empty());
        let found = node(501).findings("pool-short");
        assert_eq!(found.len(), 1);
        assert!(found[0].concerns("u"), "the pod that has not mapped all");
        assert_eq!(
            found[0].sentence,
            "Pods were granted 802Mi in 2Mi pages that they have not mapped yet, and the pool can give 800Mi of it."
        );
    }
}
