//! Granted and not used.

use std::time::Duration;

use super::wrong_page_size::other_size;
use super::{Facts, Finding, Rule, Severity, Subject, capital};
use crate::assessment::{PodState, TenantSize};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "silent-fallback",
    severity: Severity::Warning,
    summary: "A pod was granted huge pages and runs without them.",
    foretells: "No crash, but the database runs on ordinary pages: more page-table memory, more TLB misses, and the granted pages lie idle and are denied to others. PostgreSQL says nothing of it with `huge_pages=try`.",
    evidence: "For 10 minutes less than a tenth of the pod's limit was mapped (`hugetlb.*.rsvd.current`) and it has a running container. A refused mapping confirms it but need not be seen: an empty pool refuses without counting.",
    false_alarms: "A pod that takes its pages only later, or whose program was told not to use them. On kernels without reservation figures (before 5.7) pages that were mapped and never touched do not count. Counted from when this exporter first saw the pod.",
    remedy: "Ask the program what it needs (PostgreSQL 15 and newer: `SHOW shared_memory_size_in_huge_pages`, or `postgres -C shared_memory_size_in_huge_pages` of a stopped server; whether it has them `SHOW huge_pages_status` tells since 17), grant it that, and set `huge_pages=on` so that it says so when it can't have them.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for (pod, size) in facts.pods() {
        let Some((limit, time)) = idle_for(facts, pod, size) else { continue };
        let refused = match refusals(facts, pod, size) {
            0 => String::new(),
            refused => format!(" It was refused mappings {refused} times."),
        };
        let held = size.held();
        let sentence = format!(
            "{} was granted {limit} in {} pages and has mapped {held} of it for {} minutes: it runs without them.{refused}",
            capital(&pod.identity.described()),
            size.page_size,
            time.as_secs() / 60,
        );
        findings.push(RULE.finding(
            Subject::Tenant(pod.identity.clone()),
            size.page_size,
            sentence,
            remedy(facts, pod),
            &[
                ("limit_bytes", limit.0),
                ("committed_bytes", held.0),
                ("idle_bytes", limit.0 - held.0.min(limit.0)),
            ],
        ));
    }
}

/// A grant that has been idle for long enough in a pod that runs, and for how long.
pub(super) fn idle_for(
    facts: &Facts<'_>,
    pod: &PodState,
    size: &TenantSize,
) -> Option<(Bytes, Duration)> {
    let time = facts.history.now().saturating_sub(size.grant.unused_since?);
    let limit = size.limit.finite()?;
    let is_idle = time >= facts.thresholds.idle_for
        && facts.is_running(pod)
        && other_size(pod, size).is_none();
    is_idle.then_some((limit, time))
}

/// Mappings that it and its containers were refused.
fn refusals(facts: &Facts<'_>, pod: &PodState, size: &TenantSize) -> u64 {
    let containers = facts.assessment.containers_of(&pod.identity.uid).iter();
    let sizes = containers.flat_map(|container| &container.sizes);
    let sizes = sizes.filter(|of| of.page_size == size.page_size).chain([size]);
    let refused = sizes.filter_map(|of| Some(of.refusals.present()?.reservations));
    refused.fold(0, u64::saturating_add)
}

fn remedy(facts: &Facts<'_>, pod: &PodState) -> String {
    let (namespace, name) = (&pod.identity.namespace, &pod.identity.pod);
    let mut running = facts.running(pod).map(|container| &container.identity.container);
    let container = match (running.next(), running.next()) {
        (Some(only), None) => format!(" -c {only}"),
        _ => String::new(),
    };
    let ask = if name.is_empty() {
        "SHOW shared_memory_size_in_huge_pages in psql".to_owned()
    } else {
        format!(
            "kubectl exec -n {namespace} {name}{container} -- psql -Atc 'SHOW shared_memory_size_in_huge_pages'"
        )
    };
    format!(
        "Ask how many pages it needs ({ask}; of a stopped server: postgres -C shared_memory_size_in_huge_pages -D its data directory) and grant that; with huge_pages=on it refuses to start without them."
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::Node;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    fn server(held: u64) -> Node {
        Node::new().pod(Some(100)).container("postgres", None, (held, held))
    }

    #[test]
    fn a_grant_that_nobody_takes() {
        let found = server(9).findings_after(TEN_MINUTES, "silent-fallback");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].sentence,
            "Pod db/pg-0 was granted 200Mi in 2Mi pages and has mapped 18Mi of it for 10 minutes: it runs without them."
        );
        assert!(
            found[0].remedy.contains(
                "(kubectl exec -n db pg-0 -c postgres -- psql -Atc 'SHOW shared_memory_size_in_huge_pages'; of a stopped"
            ),
            "{}",
            found[0].remedy
        );
    }

    #[test]
    fn without_names_two_containers_are_a_sandbox_and_another() {
        let unnamed = |containers: &[&str], held| {
            let mut node = Node::new().pod(Some(100));
            for container in containers {
                node = node.container(container, None, held);
            }
            let node = node.but(|snapshot| snapshot.names = std::sync::Arc::default());
            node.findings_after(TEN_MINUTES, "silent-fallback")
        };
        assert!(unnamed(&["pause"], (0, 0)).is_empty(), "a sandbox alone runs nothing");
        let found = unnamed(&["pause", "postgres"], (0, 0));
        assert_eq!(found.len(), 1);
        assert!(found[0].remedy.contains("(SHOW shared_memory"), "{}", found[0].remedy);
        assert_eq!(unnamed(&["postgres"], (5, 0)).len(), 1, "a sandbox holds nothing");
    }

    #[test]
    fn not_before_ten_minutes_nor_with_a_tenth_nor_without_a_container() {
        let early =
            server(0).findings_after(TEN_MINUTES - Duration::from_secs(1), "silent-fallback");
        assert!(early.is_empty());
        assert!(server(10).findings_after(TEN_MINUTES, "silent-fallback").is_empty());
        let empty = Node::new().pod(Some(100));
        assert!(empty.findings_after(TEN_MINUTES, "silent-fallback").is_empty());
    }
}
