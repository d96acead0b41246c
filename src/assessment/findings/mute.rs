//! What is not said: findings of pods whose owners know of them, by a flag or by the pod's own annotation.

use std::str::FromStr;

use super::{Facts, Finding, RULES, Subject};
use crate::assessment::{Identity, Thresholds};
use crate::identity::PodUid;
use crate::snapshot::Declared;

/// A pod of which nothing is said, or not that: `prod/db-0`, `prod/db-0:idle-grant`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutedPod {
    namespace: String,
    pod: String,
    /// The finding's name; nothing where all are meant.
    finding: Option<&'static str>,
}

/// A text that names no pod, or no finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMutedPod {
    /// Not of that form.
    #[error("expected NAMESPACE/POD, or NAMESPACE/POD:FINDING")]
    Form,
    /// No rule has that name.
    #[error("there is no such finding; docs/findings.md names all, such as prod/db-0:idle-grant")]
    Finding,
}

impl FromStr for MutedPod {
    type Err = InvalidMutedPod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (who, finding) = match text.split_once(':') {
            None => (text, None),
            Some((who, name)) => {
                let rule = RULES.iter().find(|rule| rule.name == name);
                (who, Some(rule.ok_or(InvalidMutedPod::Finding)?.name))
            }
        };
        let (namespace, pod) = who.split_once('/').ok_or(InvalidMutedPod::Form)?;
        if [namespace, pod].into_iter().any(|part| part.is_empty() || part.contains('/')) {
            return Err(InvalidMutedPod::Form);
        }
        Ok(Self { namespace: namespace.to_owned(), pod: pod.to_owned(), finding })
    }
}

impl MutedPod {
    fn mutes(&self, who: &Identity, finding: &str) -> bool {
        *self.namespace == *who.namespace
            && *self.pod == *who.pod
            && self.finding.is_none_or(|name| name == finding)
    }
}

/// All that mutes on this node.
struct Muting<'a> {
    thresholds: &'a Thresholds,
    declared: Option<&'a Declared>,
}

impl Muting<'_> {
    fn mutes(&self, who: &Identity, finding: &str) -> bool {
        let annotated = || {
            let uid = PodUid::from_path(&who.uid)?;
            Some(self.declared?.pod(&uid)?.acknowledged.covers(finding))
        };
        self.thresholds.muted_namespaces.iter().any(|namespace| **namespace == *who.namespace)
            || self.thresholds.muted_pods.iter().any(|muted| muted.mutes(who, finding))
            || annotated().unwrap_or(false)
    }
}

/// Parts what was found into what is said and what is not. What is about the node is said, without the pods that it is
/// muted of.
pub(super) fn part(facts: &Facts<'_>, found: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
    let muting =
        Muting { thresholds: facts.thresholds, declared: facts.snapshot.declared.as_deref() };
    let (muted, mut said): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|finding| match &finding.subject {
            Subject::Tenant(who) => muting.mutes(who, finding.name),
            Subject::Node | Subject::Cgroup(_) => false,
        });
    for finding in said.iter_mut().filter(|finding| !finding.concerned.is_empty()) {
        let name = finding.name;
        let muted = facts.assessment.pods.iter().filter(|pod| muting.mutes(&pod.identity, name));
        for pod in muted {
            finding.concerned.retain(|uid| *uid != pod.identity.uid);
        }
    }
    (said, muted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::example::Node;
    use super::*;
    use crate::assessment::assess;
    use crate::history::{History, Retention};
    use crate::snapshot::{Acknowledged, Snapshot};

    /// What is said of a pod that will crash, and what is not.
    fn assessed(node: &Snapshot, thresholds: &Thresholds) -> (usize, usize) {
        let mut history = History::new(Retention::default());
        history.update(node);
        let assessment = assess(node, &history, thresholds);
        (assessment.findings.len(), assessment.muted.len())
    }

    fn crashing() -> Node {
        Node::new().pod(Some(64)).container("c", None, (140, 12))
    }

    #[test]
    fn a_namespace_a_pod_or_one_finding_of_a_pod() {
        let node = crashing().snapshot();
        let namespaces = |names: &[&str]| Thresholds {
            muted_namespaces: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Thresholds::default()
        };
        assert_eq!(assessed(&node, &namespaces(&[])), (1, 0));
        assert_eq!(assessed(&node, &namespaces(&["other"])), (1, 0));
        assert_eq!(assessed(&node, &namespaces(&["db"])), (0, 1));
        for (muted, said) in [
            ("db/pg-0", 0),
            ("db/pg-0:will-crash", 0),
            ("db/pg-0:idle-grant", 1),
            ("db/pg", 1),
            ("db/pg-00", 1),
            ("other/pg-0", 1),
        ] {
            let muted_pods = vec![muted.parse().expect(muted)];
            let thresholds = Thresholds { muted_pods, ..Thresholds::default() };
            assert_eq!(assessed(&node, &thresholds), (said, 1 - said), "{muted}");
        }
    }

    #[test]
    fn the_pods_own_annotation_where_the_kubelet_tells_it() {
        for (text, said) in [
            ("all", 0),
            ("will-crash", 0),
            ("idle-grant, will-crash", 0),
            ("idle-grant", 1),
            ("", 1),
            ("ALL", 1),
        ] {
            let node = crashing().declares(64).but(|snapshot| {
                let declared = Arc::make_mut(snapshot.declared.as_mut().expect("declared"));
                declared.pods[0].acknowledged = Acknowledged::of_annotation(text);
            });
            let found = assessed(&node.snapshot(), &Thresholds::default());
            assert_eq!(found, (said, 1 - said), "{text:?}");
        }
    }

    #[test]
    fn what_names_no_pod_or_no_finding() {
        for text in ["", "pg-0", "/pg-0", "db/", "db/pg-0/c", "/"] {
            assert_eq!(text.parse::<MutedPod>(), Err(InvalidMutedPod::Form), "{text}");
        }
        for text in ["db/pg-0:", "db/pg-0:nonsense", "db/pg-0:will-crash:idle-grant"] {
            assert_eq!(text.parse::<MutedPod>(), Err(InvalidMutedPod::Finding), "{text}");
        }
    }
}
