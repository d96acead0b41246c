//! A container that its pod's limit does not reach.

use super::{Facts, Finding, Rule, Severity, Subject, capital};

pub(super) const RULE: Rule = Rule {
    name: "outside-pod-cgroup",
    severity: Severity::Warning,
    summary: "A container's cgroup is not in its pod's cgroup, so the pod's limit does not hold for it.",
    foretells: "It can take huge pages that were granted to others; with stock containerd, which sets no limit for containers, nothing limits it at all. The pod's own figures do not show what it uses.",
    evidence: "The cgroup's path names the pod but lies elsewhere, `/system.slice/containerd.service/kubepods-…-pod<uid>.slice:cri-containerd:<id>`: the kubelet and the runtime use different cgroup drivers (kubernetes/kubernetes#106514).",
    false_alarms: "None known. Only containers that were granted, hold or were refused huge pages are told of.",
    remedy: "Set the same cgroup driver for both: kubelet `cgroupDriver: systemd`, containerd `SystemdCgroup = true`; then restart them and drain the node.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for container in &facts.assessment.containers {
        let Some(newest) = container.newest.as_ref().filter(|newest| !newest.in_pod_cgroup) else {
            continue;
        };
        findings.push(RULE.finding(
            Subject::Tenant(container.identity.clone()),
            None,
            format!(
                "{} lies outside its pod's cgroup, in {}: the pod's limit does not hold for it.",
                capital(&container.identity.described()),
                newest.cgroup,
            ),
            "Let kubelet and container runtime use the same cgroup driver (systemd).".to_owned(),
            &[],
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, figures, findings_of};
    use crate::snapshot::example::id;

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
