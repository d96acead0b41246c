//! Two write the same limit.

use super::{Facts, Finding, Rule, Severity, Subject, capital, name_once};
use crate::assessment::{Identity, TenantSize};

pub(super) const RULE: Rule = Rule {
    name: "contested",
    severity: Severity::Warning,
    summary: "Somebody else has set a limit that the guard had written, and the guard leaves it alone.",
    foretells: "What the guard was to prevent: a mapping that is too large is not refused, or a server whose limit was lowered under it is killed by SIGBUS (then `will-crash` is raised as well).",
    evidence: "The guard's report: it read a limit back, or was notified of a write, and the value was neither its own nor the one before. It writes a refusal once more and then no more; a limit that fell below what is reserved is raised again, every 10 s at most.",
    false_alarms: "The kubelet's in-place resize of the pod writes the limits anew and means no harm. Then the pod's limits are those of its spec, or 0 (kubernetes#141991, `limit-dropped`).",
    remedy: "Find who else writes limits of pods: an in-place resize, a second guard, an agent or script of your own. One of them has to stop; the pod's next containers are guarded again.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, contested, findings);
}

fn contested(_: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let page_size = size.page_size;
    size.guarding.contested.then(|| {
        RULE.finding(
            Subject::Tenant(who.clone()),
            page_size,
            format!(
                "{}: somebody else has set a limit of {page_size} pages that the guard had written, and the guard leaves it alone.",
                capital(&who.described()),
            ),
            "Find who else writes limits of this pod (an in-place resize, a second guard, a script): one of them has to stop."
                .to_owned(),
            &[],
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::example::{Node, guarded};
    use crate::snapshot::guard::{Action, Outcome};
    use crate::snapshot::{Guard, Limit};

    #[test]
    fn it_is_told_of_who_is_shown() {
        let node = Node::new().pod(Some(64)).container("c", None, (1, 1));
        let node = guarded(node, "/kubepods/podu", &[(Action::Refuse, 64, Limit::Unlimited)]);
        assert!(node.findings("contested").is_empty());
        let node = node.but(|snapshot| {
            let guard = snapshot.guard.as_ref().expect("a guard");
            let mut report = guard.report.clone();
            report.entries[0].result = Outcome::Contested;
            snapshot.guard = Some(Arc::new(Guard::new(report)));
        });
        let found = node.findings("contested");
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("Pod db/pg-0: somebody else"), "{found:?}");
    }
}
