//! A container that its pod's limit does not reach.

use std::collections::HashSet;

use super::{Facts, Finding, Rule, Severity, Subject, add_once, capital};
use crate::identity::Owner;
use crate::snapshot::Cgroup;

const DRIVERS: &str = "Let kubelet and container runtime use the same cgroup driver (systemd).";

const SANDBOX: &str = "Let the runtime keep its virtual machine in the pod's cgroup (Kata: sandbox_cgroup_only = true in its configuration.toml); if it is no such runtime, let kubelet and container runtime use the same cgroup driver.";

pub(super) const RULE: Rule = Rule {
    name: "outside-pod-cgroup",
    severity: Severity::Warning,
    summary: "A container's cgroup is not in its pod's cgroup, so the pod's limit does not hold for it.",
    foretells: "It can take huge pages that were granted to others; with stock containerd, which sets no limit for containers, nothing limits it at all. The pod's own figures do not show what it uses.",
    evidence: "The cgroup's path names the pod but lies elsewhere, `/system.slice/containerd.service/kubepods-…-pod<uid>.slice:cri-containerd:<id>`: the kubelet and the runtime use different cgroup drivers (kubernetes/kubernetes#106514). Where it is the pod's sandbox, of which no container's log tells, a runtime of virtual machines keeps that for itself (Kata without `sandbox_cgroup_only`).",
    false_alarms: "None known. Only containers that were granted, hold or were refused huge pages are reported, and none where the kubelet makes no cgroups of pods (`--cgroups-per-qos=false`).",
    remedy: "Set the same cgroup driver for both: kubelet `cgroupDriver: systemd`, containerd `SystemdCgroup = true`; then restart them and drain the node. Kata: `sandbox_cgroup_only = true`.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    // Where the kubelet makes no cgroups of pods nobody lies outside of one.
    let pods: HashSet<&str> = facts.snapshot.cgroups.iter().filter_map(pod_of).collect();
    for container in &facts.assessment.containers {
        let Some(newest) = container.newest.as_ref().filter(|newest| !newest.in_pod_cgroup) else {
            continue;
        };
        if !pods.contains(&*container.identity.uid) {
            continue;
        }
        let who = facts.named(container);
        let (described, remedy) = if facts.is_sandbox(container) {
            (format!("the sandbox of {}", who.described()), SANDBOX)
        } else {
            (who.described(), DRIVERS)
        };
        let sentence = format!(
            "{} lies outside its pod's cgroup, in {}: the pod's limit does not hold for it.",
            capital(&described),
            newest.cgroup,
        );
        let found = RULE.finding(Subject::Tenant(who), None, sentence, remedy.to_owned(), &[]);
        add_once(findings, first, Some(found));
    }
}

fn pod_of(cgroup: &Cgroup) -> Option<&str> {
    match &*cgroup.owner {
        Owner::Pod(pod) => Some(pod.uid.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, figures, findings_of, findings_through};
    use crate::identity::{Owner, PodUid};
    use crate::snapshot::example::id;

    #[test]
    fn of_a_sandbox_the_runtime_is_to_be_told() {
        let path = format!("/kubepods-podu.slice:cri-containerd:{}", id(7));
        let node = Node::new().pod(Some(64)).container("c", None, (0, 0));
        let snapshot = node.snapshot().with(&path, figures(None, (9, 3)));
        let node = Node::new().but(|empty| *empty = snapshot);
        let polls = [node.clone(), node];
        let found = findings_through(&polls, Duration::from_secs(10), "outside-pod-cgroup");
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("The sandbox of pod db/pg-0"), "{found:?}");
        assert!(found[0].remedy.contains("sandbox_cgroup_only = true"), "{found:?}");
    }

    #[test]
    fn without_cgroups_of_pods_nobody_is_outside() {
        let path = format!("/k8s.io/{}", id(1));
        let mut snapshot = Node::new().snapshot().with(&path, figures(None, (9, 3)));
        let uid = PodUid::from_path("u").expect("a uid");
        let owner = Owner::by_id(&path, |_| Some(uid.clone())).expect("a container");
        snapshot.cgroups_mut()[1].owner = owner.into();
        let snapshot = snapshot.named("u", 1, ["db", "pg-0", "c"], 0);
        assert!(findings_of(&snapshot, "outside-pod-cgroup").is_empty());
        assert!(findings_of(&snapshot, "controller-missing").is_empty());
        let unlimited = findings_of(&snapshot, "pods-unlimited");
        assert!(unlimited[0].concerns("u"), "{unlimited:?}");
    }

    #[test]
    fn a_container_of_the_other_driver() {
        let path = format!("/system.slice/kubepods-podu.slice:cri-containerd:{}", id(1));
        let snapshot = Node::new().pod(Some(64)).snapshot().with(&path, figures(None, (9, 3)));
        let found = findings_of(&snapshot, "outside-pod-cgroup");
        assert!(found.is_empty(), "held back: its name may come");
        let snapshot = snapshot.named("u", 1, ["db", "pg-0", "c"], 0);
        assert_eq!(findings_of(&snapshot, "outside-pod-cgroup").len(), 1);
        let inside = Node::new().pod(Some(64)).container("c", None, (9, 3));
        assert!(inside.findings("outside-pod-cgroup").is_empty());
    }
}
