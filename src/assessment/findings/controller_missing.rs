//! Nothing is limited, because nothing can be.

use super::{Facts, Finding, Rule, Severity, Subject};
use crate::identity::Owner;
use crate::snapshot::{Cgroup, Source, SourceHealth};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "controller-missing",
    severity: Severity::Warning,
    summary: "This node has huge pages and no hugetlb controller for its pods.",
    foretells: "No pod is limited, whatever its spec says: one can take the whole pool, and the others are refused, or die at a touch. This exporter sees the pools and no pod.",
    evidence: "A pool has pages, and no cgroup hierarchy has the hugetlb controller; or it has, pods are known by name, and no pod's cgroup has hugetlb files (the controller is not passed down to kubepods). Only if everything could be read: else `hugetlb_exporter_source_up{source=\"cgroups\"}` is 0 and says why.",
    false_alarms: "A node whose pods run elsewhere than in cgroups that this exporter can see (a wrong hostPath).",
    remedy: "Boot a kernel with CONFIG_CGROUP_HUGETLB and without `cgroup_disable=hugetlb`; on v2 pass it down (`+hugetlb` in `cgroup.subtree_control`), which kubelet and runtimes do when they find it at their start.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let snapshot = facts.snapshot;
    let is_filled = |pool: &&crate::snapshot::Pool| {
        pool.bytes(pool.size).present().is_some_and(|size| size > Bytes::ZERO)
    };
    let Some(pool) = snapshot.pools.iter().find(is_filled) else { return };
    let is_pod = |cgroup: &Cgroup| matches!(&*cgroup.owner, Owner::Pod(_) | Owner::Container(_));
    // What could not be looked at may be there all the same.
    let cgroups = snapshot.sources.iter().find(|health| health.source == Source::Cgroups);
    let looked = match &snapshot.hierarchy {
        None => cgroups.is_none_or(SourceHealth::is_missing),
        Some(_) => cgroups.is_none_or(SourceHealth::is_up),
    };
    if !looked {
        return;
    }
    let sentence = if snapshot.hierarchy.is_none() {
        "This node has huge pages and no hugetlb controller: no pod is limited."
    } else if !snapshot.names.is_empty()
        && !snapshot.cgroups.iter().any(|cgroup| is_pod(cgroup) || is_limited_container(cgroup))
    {
        "This node has huge pages and a hugetlb controller, but its pods' cgroups do not have it: no pod is limited."
    } else {
        return;
    };
    let size = pool.bytes(pool.size).present().unwrap_or_default();
    findings.push(RULE.finding(
        Subject::Node,
        None,
        sentence.to_owned(),
        "Use a kernel with CONFIG_CGROUP_HUGETLB, and pass the controller down to kubepods (restart the kubelet).".to_owned(),
        &[("pool_bytes", size.0)],
    ));
}

/// A container of which no name is known, with a limit that holds: pods need no cgroups of their own.
fn is_limited_container(cgroup: &Cgroup) -> bool {
    Owner::may_be_container(&cgroup.path)
        && cgroup.hugetlb.iter().any(|hugetlb| hugetlb.limit.finite().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, figures};
    use crate::snapshot::example::id;
    use crate::snapshot::{Problems, Reading, Source, SourceHealth};
    use crate::units::Pages;

    fn none() -> Node {
        Node::new().but(|snapshot| {
            snapshot.hierarchy = None;
            snapshot.cgroups_mut().clear();
        })
    }

    #[test]
    fn pages_without_a_controller() {
        assert_eq!(none().findings("controller-missing").len(), 1);
        let without_pages = none().but(|node| node.pools[0].size = Reading::Present(Pages(0)));
        assert!(without_pages.findings("controller-missing").is_empty());
    }

    #[test]
    fn a_controller_that_is_not_passed_down() {
        let node = Node::new().pod(Some(1)).container("c", None, (0, 0));
        assert!(node.findings("controller-missing").is_empty());
        let stopped = node.but(|snapshot| snapshot.cgroups_mut().truncate(1));
        assert_eq!(stopped.findings("controller-missing").len(), 1);
        assert!(Node::new().findings("controller-missing").is_empty(), "a node without pods");
        let elsewhere = |limit| {
            let node = Node::new().pod(Some(1)).container("c", None, (0, 0)).but(|snapshot| {
                snapshot.cgroups_mut().truncate(1);
                *snapshot =
                    snapshot.clone().with(&format!("/docker/{}", id(9)), figures(limit, (0, 0)));
            });
            node.findings("controller-missing").len()
        };
        assert_eq!((elsewhere(Some(64)), elsewhere(None)), (0, 1), "limits that work");
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_missing() {
        let with = |node: Node, problem: fn(&mut Problems)| {
            let mut problems = Problems::default();
            problem(&mut problems);
            node.but(|node| node.sources = vec![SourceHealth::new(Source::Cgroups, problems)])
        };
        let found = |node: Node| node.findings("controller-missing").len();
        let unread = |problems: &mut Problems| problems.add(|| "can't read it".to_owned());
        assert_eq!(found(with(none(), unread)), 0);
        assert_eq!(found(with(none(), |it| it.add_missing(|| "there is none".to_owned()))), 1);
        let stopped = || {
            let node = Node::new().pod(Some(1)).container("c", None, (0, 0));
            node.but(|snapshot| snapshot.cgroups_mut().truncate(1))
        };
        assert_eq!(found(with(stopped(), unread)), 0);
        assert_eq!(found(with(stopped(), |_| {})), 1);
    }
}
