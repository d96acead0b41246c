//! A limit fell under a running tenant.

use super::{Facts, Finding, Rule, Severity, Subject, capital, resource};
use crate::assessment::{Identity, PodState, TenantSize};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "limit-dropped",
    severity: Severity::Warning,
    summary: "A limit of huge pages was lowered while its pod or container ran.",
    foretells: "What was mapped under the old limit may be refused under the new one: the next touch is SIGBUS. Huge pages can't be resized in place, so nobody meant to: resizing a pod's CPU or memory in place (on by default since Kubernetes 1.33) writes 0 to the limit (kubernetes/kubernetes#141991), and later to the reservation limit, so that each restart fails.",
    evidence: "The fault limit (`hugetlb.*.max`) is finite and lower than a finite one this exporter saw of the same cgroup. Of a pod one look is enough: the kubelet writes limit and reservation limit alike, so a limit below a finite reservation limit (`hugetlb.*.rsvd.max`) was written later; and a pod of 0 whose container has a limit of its own was made with as much. The kernel refuses to lower a limit below what is in use, not below what is reserved. `critical` while a pod that was resized so holds or maps pages, unless the guard has rescued it.",
    false_alarms: "An administrator who lowered it by hand, or raised the reservation limit.",
    remedy: "Recreate the pod, so that it is set again, or until then write the old value into the cgroup's `hugetlb.<size>.max`.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let containers = facts.containers().map(|(container, size)| (&container.identity, size));
    findings.extend(containers.filter_map(|(who, size)| fallen(who, size)));
    findings.extend(facts.pods().filter_map(|(pod, size)| {
        let was = resized_from(size).or_else(|| left_to_containers(facts, pod, size))?;
        let declared =
            facts.declared(pod, size.page_size).filter(|declared| *declared > Bytes::ZERO);
        Some(resized(&pod.identity, size, declared.unwrap_or(was)))
    }));
    let others = facts.pods().filter(|(pod, size)| {
        resized_from(size).is_none() && left_to_containers(facts, pod, size).is_none()
    });
    findings.extend(others.filter_map(|(pod, size)| fallen(&pod.identity, size)));
}

/// What a pod's limit was, if it is what an in-place resize leaves: below the reservation limit that was written with it, or
/// 0 after it was another.
pub(super) fn resized_from(size: &TenantSize) -> Option<Bytes> {
    let now = size.granted().finite()?;
    // A reservation limit of the guard's says nothing of what the kubelet wrote.
    let reservation = size.reservation_limit.finite();
    let reservation = reservation.filter(|limit| *limit > now && !size.guarding.refuses);
    reservation.or(size.grant.dropped_from.filter(|_| now == Bytes::ZERO))
}

/// What the containers of a pod have by their own limits, where the pod has nothing left: it was made with as much.
fn left_to_containers(facts: &Facts<'_>, pod: &PodState, size: &TenantSize) -> Option<Bytes> {
    size.granted().finite().filter(|limit| *limit == Bytes::ZERO)?;
    let sizes = facts.running(pod).flat_map(|container| &container.sizes);
    let of_size = sizes.filter(|of| of.page_size == size.page_size);
    let limits = of_size.filter_map(|of| of.limit.finite());
    let sum = limits.fold(0_u64, |sum, limit| sum.saturating_add(limit.0));
    Some(Bytes(sum)).filter(|sum| *sum > Bytes::ZERO)
}

fn resized(who: &Identity, size: &TenantSize, was: Bytes) -> Finding {
    let now = size.granted().finite().unwrap_or_default();
    let held = size.held();
    let is_rescued = size.guarding.rescued_from.is_some();
    let holds = match held {
        _ if is_rescued => {
            format!("the guard has raised it again to what it has mapped, {held}, so that it lives")
        }
        Bytes::ZERO => "it holds none now, and gets none any more".to_owned(),
        held => {
            format!("it has mapped {held}, and a touch of what it has not touched yet will kill it")
        }
    };
    let finding = RULE.finding(
        Subject::Tenant(who.clone()),
        size.page_size,
        format!(
            "{} was granted {was} of {} pages, and the kubelet's in-place resize set the limit to {now} (kubernetes#141991): {holds}.",
            capital(&who.described()),
            size.page_size,
        ),
        format!("Recreate the pod: {} is {was} in its spec, and the kubelet sets that only when it makes the pod.", resource(size.page_size)),
        &[("limit_before_bytes", was.0), ("limit_bytes", now.0), ("committed_bytes", held.0)],
    );
    let severity =
        if held > Bytes::ZERO && !is_rescued { Severity::Critical } else { RULE.severity };
    Finding { severity, ..finding }
}

fn fallen(who: &Identity, size: &TenantSize) -> Option<Finding> {
    let (before, now) = (size.grant.dropped_from?, size.granted().finite()?);
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

    use super::super::Severity;
    use super::super::example::{Node, findings_through, limit};

    #[test]
    fn one_look_tells_a_pod_that_was_resized_in_place() {
        let node = |pod, reservation, held| {
            let node = Node::new().pod(Some(pod)).container("db", None, held);
            node.but(|snapshot| {
                snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(reservation);
            })
        };
        let found = node(0, Some(8), (6, 0)).findings("limit-dropped");
        assert_eq!((found.len(), found[0].severity), (1, Severity::Critical));
        assert_eq!(
            found[0].sentence,
            "Pod db/pg-0 was granted 16Mi of 2Mi pages, and the kubelet's in-place resize set the limit to 0 (kubernetes#141991): it has mapped 12Mi, and a touch of what it has not touched yet will kill it."
        );
        assert!(found[0].remedy.starts_with("Recreate the pod"), "{}", found[0].remedy);
        let idle = node(0, Some(8), (0, 0)).findings("limit-dropped");
        assert_eq!((idle.len(), idle[0].severity), (1, Severity::Warning));
        assert!(node(8, Some(8), (6, 0)).findings("limit-dropped").is_empty());
        assert!(node(8, None, (6, 0)).findings("limit-dropped").is_empty());
        let declared = node(0, Some(8), (6, 0)).declares(10).findings("limit-dropped");
        assert!(declared[0].sentence.contains("granted 20Mi"), "the spec's word counts");
        // crun's containers always have a limit below an unlimited reservation limit, and others none above their own.
        let container = Node::new().pod(Some(20)).container("db", Some(8), (6, 0));
        assert!(container.findings("limit-dropped").is_empty());
    }

    #[test]
    fn a_containers_own_limit_tells_of_a_reset_of_both_of_its_pods() {
        let node = |pod, container| {
            let node = Node::new().pod(Some(pod)).container("db", container, (0, 0));
            node.but(|snapshot| {
                snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(pod));
            })
        };
        let found = node(0, Some(8)).findings("limit-dropped");
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert!(found[0].sentence.contains("was granted 16Mi"), "{}", found[0].sentence);
        for (pod, container) in [(0, None), (0, Some(0)), (8, Some(8)), (4, Some(8))] {
            assert!(node(pod, container).findings("limit-dropped").is_empty(), "{container:?}");
        }
    }

    #[test]
    fn a_reset_of_both_limits_is_remembered() {
        let node = |pages| {
            Node::new().pod(Some(pages)).container("db", None, (0, 0)).but(|snapshot| {
                snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(pages));
            })
        };
        let polls = [node(8), node(0)];
        let found = findings_through(&polls, Duration::from_secs(2), "limit-dropped");
        assert_eq!(found.len(), 1);
        assert!(found[0].remedy.starts_with("Recreate the pod"), "{}", found[0].remedy);
    }

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
