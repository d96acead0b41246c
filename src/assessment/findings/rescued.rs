//! More was mapped than may be touched, and the guard has raised the limit.

use super::will_crash::{Remedy, needed};
use super::{Facts, Finding, REQUIRED_LIMIT, Rule, Severity, Subject, capital, name_once};
use crate::assessment::{Identity, TenantSize};

pub(super) const RULE: Rule = Rule {
    name: "rescued",
    severity: Severity::Warning,
    summary: "A container or its pod has mapped more huge pages than its spec lets it touch, and lives because the guard has raised the limit.",
    foretells: "Without the guard: SIGBUS at the first touch beyond the limit (`will-crash`). With it nothing, until the container or the pod is made anew: it then has the limit of its spec again, and a server that maps and touches at once can be dead before the guard has seen it. While it uses more than its spec's limit, whatever writes that limit again fails with EBUSY: an in-place resize of the pod, and with some runtimes an update of its CPUs (docs/guard.md).",
    evidence: "The guard's report says that it raised the fault limit (`hugetlb.*.max`) to what was reserved, from which value, and the kernel's limit is above that value. The report alone is not believed.",
    false_alarms: "A pod whose huge pages come from elsewhere than its spec (a resource claim that the kubelet does not count).",
    remedy: "Raise `hugepages-<size>` of the container to what the finding names, as for `will-crash`, and recreate the pod: the guard sets the old limit back as soon as what is reserved fits under it.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, rescued, findings);
}

fn rescued(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let from = size.guarding.rescued_from?;
    let needed = needed(&size.outlook, size.page_size);
    let used = size.usage.present().unwrap_or_default();
    let busy = if used > from {
        " While it uses more than that, an in-place resize of the pod fails with EBUSY, and so may an update of its CPUs."
    } else {
        ""
    };
    let remedy = Remedy::of(facts, who, size)?;
    let mut figures = vec![("committed_bytes", needed.0), ("usage_bytes", used.0)];
    figures.push(("limit_before_bytes", from.0));
    figures.extend(size.limit.finite().map(|limit| ("limit_bytes", limit.0)));
    figures.extend(remedy.limit.map(|limit| (REQUIRED_LIMIT, limit.0)));
    Some(RULE.finding(
        Subject::Tenant(who.clone()),
        size.page_size,
        format!(
            "{} has mapped {needed} of {} pages and was granted {from}: it would have been killed by SIGBUS, and the guard has raised its limit.{busy}",
            capital(&who.described()),
            size.page_size,
        ),
        remedy.text,
        &figures,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::example::{Node, PG, guarded, limit};
    use super::super::{Finding, Severity};
    use crate::snapshot::Limit;
    use crate::snapshot::guard::Action;
    use crate::units::Bytes;

    const POD: &str = "/kubepods/podu";

    /// A pod that was granted 64 pages, has mapped 140, and has this limit now.
    fn node(now: u64, used: u64) -> Node {
        let node = Node::new().pod(Some(now)).container("postgres", None, (140, used));
        let node = node.but(|snapshot| {
            snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(now));
        });
        let granted = Limit::At(Bytes(64 * PG));
        guarded(
            node,
            POD,
            &[(Action::Bound, 140, Limit::Unlimited), (Action::Rescue, 140, granted)],
        )
    }

    fn one(found: &[Finding]) -> &Finding {
        let [finding] = found else { panic!("one: {found:?}") };
        finding
    }

    #[test]
    fn it_would_have_crashed_and_the_value_to_set_is_named() {
        let found = node(140, 12).findings("rescued");
        let finding = one(&found);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.sentence,
            "Pod db/pg-0 has mapped 280Mi of 2Mi pages and was granted 128Mi: it would have been killed by SIGBUS, and the guard has raised its limit."
        );
        assert_eq!(
            finding.remedy,
            "Set hugepages-2Mi of container postgres to at least 280Mi, or make it map less."
        );
        let required = finding.figures.iter().find(|it| it.name == "required_limit_bytes");
        assert_eq!(required.map(|it| it.value), Some(280 << 20));
        assert!(node(140, 12).findings("will-crash").is_empty(), "nobody will be killed");
        assert!(node(140, 12).findings("limit-dropped").is_empty());
    }

    #[test]
    fn what_it_uses_beyond_its_grant_is_in_the_way_of_resizes() {
        let found = node(140, 65).findings("rescued");
        assert!(one(&found).sentence.contains("fails with EBUSY"), "{found:?}");
        let found = node(140, 64).findings("rescued");
        assert!(!one(&found).sentence.contains("EBUSY"), "{found:?}");
    }

    #[test]
    fn not_where_the_kernel_says_otherwise() {
        assert!(node(64, 12).findings("rescued").is_empty(), "the old limit is back");
        assert_eq!(node(64, 12).findings("will-crash").len(), 1);
    }

    #[test]
    fn of_a_container_and_its_pod_the_container_is_named() {
        let granted = Limit::At(Bytes(64 * PG));
        let node = Node::new().pod(Some(140)).container("postgres", Some(140), (140, 12));
        let path = node.clone().snapshot().cgroups[2].path.to_string();
        let node = guarded(node, POD, &[(Action::Rescue, 140, granted)]);
        let node = guarded(node, &path, &[(Action::Rescue, 140, granted)]);
        let found = node.findings("rescued");
        assert!(one(&found).sentence.starts_with("Container postgres of pod db/pg-0"), "{found:?}");
    }

    #[test]
    fn a_spec_that_is_right_is_not_to_be_raised() {
        let found = node(140, 12).declares(140).findings("rescued");
        assert!(one(&found).remedy.contains("recreate the pod"), "{found:?}");
        let declared = node(140, 12).declares(64).findings("declared-limit-not-set");
        assert!(declared.is_empty(), "the kubelet set what the spec declares");
    }
}
