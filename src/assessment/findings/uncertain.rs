//! The kernel can't tell, and neither can we.

use super::{Facts, Finding, Rule, Severity, Subject, add_once, capital};
use crate::assessment::{Outlook, Uncertainty};
use crate::identity::Owner;
use crate::units::PageSize;

pub(super) const RULE: Rule = Rule {
    name: "uncertain",
    severity: Severity::Warning,
    summary: "Pages are charged elsewhere than they are reserved, so whether a limit will be hit can't be told.",
    foretells: "Perhaps a SIGBUS: whoever touches a page first is charged for it, whoever mapped it first reserved it, and here these are not the same cgroup.",
    evidence: "A cgroup uses more than it has reserved (`hugetlb.*.current` above `hugetlb.*.rsvd.current`), or, with `--collector.mappings`, has mapped more shared pages than are reserved in it; and a limit is near enough to matter. The cases: a hugetlbfs file or a System V segment that two containers or two pods map; one that outlived the container that made it; a process that was moved to another cgroup; a file that a process in no cgroup mapped first; MAP_NORESERVE mappings of several containers of one object, or that the pool can't serve all. `hugetlb_container_shortfall_bytes` is absent while it holds.",
    false_alarms: "It is raised where nothing may ever happen: nobody may touch the rest. Without `--collector.mappings` a case is seen only from the first page that was touched on the other side.",
    remedy: "Let the container that touches the pages be the first to map them, or give every container that maps them a limit that covers them all.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    let containers = facts.containers().map(|(container, size)| (facts.named(container), size));
    let pods = facts.pods().map(|(pod, size)| (pod.identity.clone(), size));
    // A pod's own figures come before those of its sandbox, and each is reported once.
    for (who, size) in pods.chain(containers) {
        let described = capital(&who.described());
        let found = finding(&size.outlook, size.page_size, Subject::Tenant(who), &described);
        add_once(findings, first, found);
    }
    for (page_size, index, outlook) in facts.ledger.outlooks() {
        let Some(cgroup) = facts.snapshot.cgroups.get(index) else { continue };
        let (subject, described) = match &*cgroup.owner {
            Owner::Tier | Owner::Service => {
                (Subject::Cgroup(cgroup.path.to_string()), format!("Cgroup {}", cgroup.path))
            }
            Owner::PodInfrastructure(pod) => {
                let who = facts.pod_identity(&pod.uid);
                let described = capital(&who.described());
                (Subject::Tenant(who), described)
            }
            _ => continue,
        };
        add_once(findings, first, finding(outlook, page_size, subject, &described));
    }
}

fn finding(
    outlook: &Outlook,
    page_size: PageSize,
    subject: Subject,
    described: &str,
) -> Option<Finding> {
    let why = match outlook.uncertainty? {
        Uncertainty::TouchesReservedElsewhere => {
            "maps pages that another cgroup has reserved; how many more it will touch is not known"
        }
        Uncertainty::ReservedPagesTouchedElsewhere => {
            "has reserved more than it may touch, but others touch reserved pages for which it may not have to pay"
        }
        Uncertainty::WithinItself => {
            "has reserved more than it may touch, and its containers touch each other's pages: whose limit applies is not known"
        }
        Uncertainty::ContestedPages => {
            "has mapped without a reservation what others map too, and who touches it first pays for it"
        }
        Uncertainty::PoolContested => {
            "has mapped pages without a reservation, and the pool can't serve all such mappings of the node"
        }
    };
    let sentence =
        format!("{described} {why} ({page_size} pages): whether it will be refused can't be told.");
    let remedy = RULE.remedy.to_owned();
    let figures: Vec<_> =
        outlook.committed.present().map(|bytes| ("committed_bytes", bytes.0)).into_iter().collect();
    Some(RULE.finding(subject, page_size, sentence, remedy, &figures))
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;

    #[test]
    fn a_file_that_one_reserved_and_another_touches() {
        // The first has mapped 20 pages, the second, which may touch 5, has touched one of them.
        let node = Node::new().pod(Some(100)).container("first", Some(50), (20, 0)).container(
            "second",
            Some(5),
            (0, 1),
        );
        let found = node.findings("uncertain");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].sentence.starts_with("Container second of pod db/pg-0 maps pages"));
        assert!(node.findings("will-crash").is_empty());
    }

    #[test]
    fn with_room_for_all_that_is_reserved_it_does_not_matter() {
        let node = Node::new().pod(Some(100)).container("first", Some(50), (20, 0)).container(
            "second",
            Some(30),
            (0, 1),
        );
        assert!(node.findings("uncertain").is_empty());
    }
}
