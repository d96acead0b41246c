//! More is mapped than may be touched.

use super::{
    Facts, Finding, REQUIRED_LIMIT, Rule, SHORTFALL, Severity, Subject, capital, limit_dropped,
    resource, whole_pages,
};
use crate::assessment::{ContainerState, Identity, Outlook, PodState, ShortOf, TenantSize};
use crate::identity::Owner;
use crate::units::{Bytes, PageSize};

pub(super) const RULE: Rule = Rule {
    name: "will-crash",
    severity: Severity::Critical,
    summary: "A container, its pod, or a cgroup above has mapped more huge pages than it may touch.",
    foretells: "The process that touches the first page beyond the limit is killed by SIGBUS (signal 7, exit code 135). PostgreSQL then resets every session, recovers, maps the same segment again and meets the same end. Nothing but this tells it beforehand: the mapping succeeded, usage is far below the limit, and no counter has moved.",
    evidence: "`need`, what is reserved (`hugetlb.*.rsvd.current`) or used (`hugetlb.*.current`) by the cgroup and by its children as far as their own limits let them, is above the fault limit (`hugetlb.*.max`); the difference is `hugetlb_container_shortfall_bytes` or `hugetlb_pod_shortfall_bytes`. It is never more than what is still to be touched, here, in every cgroup above, and of the pool (`resv_hugepages`). With `--collector.mappings` pages mapped with MAP_NORESERVE count too, also against the reservation limit and the pool.",
    false_alarms: "A program that maps more than it will ever touch is safe as long as it does not touch it (PROT_NONE reservations of MAP_NORESERVE are left out, others are not). Not seen: MAP_NORESERVE without `--collector.mappings`, the copies that fork and write make of private mappings, and limits that only a NUMA policy sets (see `numa-short`).",
    remedy: "Raise `hugepages-<size>` of the container to what it has mapped, which the finding names, or make it map less (for PostgreSQL: lower `shared_buffers`; `postgres -C shared_memory_size_in_huge_pages` tells the pages it will map). Restart it before it touches the rest.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    for (container, size) in facts.containers() {
        if is_short(&size.outlook) {
            findings.push(of_container(container, size));
        }
    }
    for (pod, size) in facts.pods() {
        if is_short(&size.outlook) {
            findings.push(of_pod(facts, pod, size));
        }
    }
    for (page_size, index, outlook) in
        facts.ledger.outlooks().filter(|(_, _, outlook)| is_short(outlook))
    {
        let Some(cgroup) = facts.snapshot.cgroups.get(index) else { continue };
        if matches!(&*cgroup.owner, Owner::Tier | Owner::Service | Owner::PodInfrastructure) {
            findings.push(of_cgroup(&cgroup.path, page_size, outlook));
        }
    }
    // Who lacks most is shown first.
    if let Some(found) = findings.get_mut(first..) {
        found.sort_by_key(|finding| {
            std::cmp::Reverse(finding.figures.first().map(|figure| figure.value))
        });
    }
}

fn is_short(outlook: &Outlook) -> bool {
    outlook.shortfall.is_some()
}

fn of_container(container: &ContainerState, size: &TenantSize) -> Finding {
    let who = container.identity.described();
    let (needed, mapped) = figures(size.page_size, &size.outlook);
    let remedy = match (size.outlook.short_of, lost(size, needed, None)) {
        (Some(ShortOf::Pool), _) => pool_remedy(size),
        (_, Some(granted)) => set_again_remedy(granted),
        _ => Remedy::limit(
            needed,
            format!(
                "Set {} of container {} to at least {needed}, or make it map less.",
                resource(size.page_size),
                container.identity.container,
            ),
        ),
    };
    finding(&container.identity, size, &who, &mapped, remedy)
}

fn of_pod(facts: &Facts<'_>, pod: &PodState, size: &TenantSize) -> Finding {
    let who = pod.identity.described();
    let (needed, mapped) = figures(size.page_size, &size.outlook);
    let resource = resource(size.page_size);
    let holder = facts.only_holder(pod, size.page_size);
    let declared = facts.declared(pod, size.page_size);
    let remedy = match (size.outlook.short_of, lost(size, needed, declared), holder) {
        (Some(ShortOf::Pool), ..) => pool_remedy(size),
        (_, Some(granted), _) => set_again_remedy(granted),
        (_, None, Some(container)) => Remedy::limit(
            needed,
            format!(
                "Set {resource} of container {} to at least {needed}, or make it map less.",
                container.identity.container,
            ),
        ),
        (_, None, None) => Remedy::limit(
            needed,
            format!(
                "Set {resource} of its containers to at least {needed} in all, or make them map less."
            ),
        ),
    };
    finding(&pod.identity, size, &who, &mapped, remedy)
}

fn of_cgroup(path: &str, page_size: PageSize, outlook: &Outlook) -> Finding {
    let (needed, mapped) = figures(page_size, outlook);
    let short = outlook.shortfall.present().unwrap_or_default();
    RULE.finding(
        Subject::Cgroup(path.to_owned()),
        page_size,
        format!(
            "Cgroup {path} {mapped}, {short} more than it may touch: a process in it will be killed by SIGBUS."
        ),
        format!(
            "Raise hugetlb.{}.max (v1: limit_in_bytes) of {path} to at least {}.",
            page_size.cgroup_name(),
            needed.0,
        ),
        &[(SHORTFALL, short.0), ("committed_bytes", needed.0), (REQUIRED_LIMIT, needed.0)],
    )
}

/// What to do, and the limit that would be enough where raising it is what to do.
struct Remedy {
    text: String,
    limit: Option<Bytes>,
}

impl Remedy {
    fn limit(needed: Bytes, text: String) -> Self {
        Self { text, limit: Some(needed) }
    }
}

/// What would be enough, and what was done, in words.
fn figures(page_size: PageSize, outlook: &Outlook) -> (Bytes, String) {
    let committed = outlook.committed.present().unwrap_or_default();
    let needed = whole_pages(committed, page_size);
    let mapped = format!("has mapped {committed} of {page_size} pages");
    let unreserved = outlook.unreserved;
    if unreserved > Bytes::ZERO {
        return (
            needed,
            format!("{mapped} ({unreserved} of it untouched and without a reservation)"),
        );
    }
    (needed, mapped)
}

/// What was granted, if that is enough and the kernel's limit is not that any more.
fn lost(size: &TenantSize, needed: Bytes, declared: Option<Bytes>) -> Option<Bytes> {
    let before = size.grant.dropped_from.max(limit_dropped::resized_from(size));
    let granted = before.max(declared).filter(|granted| *granted >= needed);
    granted.filter(|_| size.outlook.short_of == Some(ShortOf::Limit))
}

fn set_again_remedy(granted: Bytes) -> Remedy {
    let text = format!(
        "The kernel's limit is below the {granted} of its spec, which is enough: recreate the pod, so that it is set again."
    );
    Remedy { text, limit: None }
}

fn pool_remedy(size: &TenantSize) -> Remedy {
    let short = size.outlook.shortfall.present().unwrap_or_default();
    let pages = short.0.div_ceil(size.page_size.bytes().0);
    let text = format!(
        "Add at least {pages} pages to the node's pool of {} pages, or map without MAP_NORESERVE.",
        size.page_size
    );
    Remedy { text, limit: None }
}

fn finding(
    who: &Identity,
    size: &TenantSize,
    described: &str,
    mapped: &str,
    remedy: Remedy,
) -> Finding {
    let short = size.outlook.shortfall.present().unwrap_or_default();
    let may = match (size.outlook.short_of, size.limit.finite()) {
        (Some(ShortOf::Pool), _) => format!("{short} more than the node's pool can give"),
        (Some(ShortOf::Limit), Some(limit)) => {
            format!("and may touch {limit} ({short} too little)")
        }
        _ => format!("{short} more than it may touch"),
    };
    let sentence = format!(
        "{} {mapped} {may}: the process that touches the rest will be killed by SIGBUS.",
        capital(described)
    );
    let committed = size.outlook.committed.present().unwrap_or_default();
    let mut figures = vec![(SHORTFALL, short.0), ("committed_bytes", committed.0)];
    figures.extend(size.usage.present().map(|usage| ("usage_bytes", usage.0)));
    figures.extend(size.limit.finite().map(|limit| ("limit_bytes", limit.0)));
    figures.extend(remedy.limit.map(|limit| (REQUIRED_LIMIT, limit.0)));
    RULE.finding(Subject::Tenant(who.clone()), size.page_size, sentence, remedy.text, &figures)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, PG, findings_through};
    use crate::snapshot::{Limit, Reading};
    use crate::units::Bytes;

    #[test]
    fn the_incident_is_foretold_with_the_value_to_set() {
        let node = Node::new().pod(Some(64)).container("postgres", None, (140, 12));
        let [finding] = &node.findings("will-crash")[..] else { panic!("one") };
        assert_eq!(
            finding.sentence,
            "Pod db/pg-0 has mapped 280Mi of 2Mi pages and may touch 128Mi (152Mi too little): the process that touches the rest will be killed by SIGBUS."
        );
        assert_eq!(
            finding.remedy,
            "Set hugepages-2Mi of container postgres to at least 280Mi, or make it map less."
        );
        let figure = |name| finding.figures.iter().find(|figure| figure.name == name);
        assert_eq!(figure("shortfall_bytes").map(|figure| figure.value), Some(152 << 20));
        assert_eq!(figure("required_limit_bytes").map(|figure| figure.value), Some(280 << 20));
    }

    #[test]
    fn where_the_limit_fell_the_spec_is_right_already() {
        let with = |pod, own| Node::new().pod(Some(pod)).container("postgres", own, (140, 12));
        let after = |before: Node, now: Node| {
            let found = findings_through(&[before, now], Duration::from_secs(2), "will-crash");
            assert_eq!(found.len(), 1);
            let names_a_limit =
                found[0].figures.iter().any(|figure| figure.name == "required_limit_bytes");
            assert_eq!(names_a_limit, found[0].remedy.starts_with("Set "), "{}", found[0].remedy);
            found[0].remedy.clone()
        };
        let set_again = "The kernel's limit is below the 280Mi of its spec, which is enough: recreate the pod, so that it is set again.";
        assert_eq!(after(with(140, None), with(64, None)), set_again);
        assert_eq!(after(with(140, Some(140)), with(140, Some(64))), set_again);
        let too_little = after(with(139, None), with(64, None));
        assert!(too_little.starts_with("Set hugepages-2Mi"), "{too_little}");
    }

    #[test]
    fn where_the_limit_was_never_set_the_spec_is_right_too() {
        let node = Node::new().pod(Some(64)).container("postgres", None, (140, 12));
        let declares = |pages| {
            let found = node.clone().declares(pages).findings("will-crash");
            found[0].remedy.clone()
        };
        assert!(declares(140).contains("below the 280Mi of its spec"), "{}", declares(140));
        assert!(declares(64).starts_with("Set hugepages-2Mi"), "{}", declares(64));
    }

    #[test]
    fn a_full_server_is_no_finding() {
        let node = Node::new().pod(Some(140)).container("postgres", Some(140), (140, 140));
        assert!(node.findings("will-crash").is_empty());
    }

    #[test]
    fn a_container_over_its_own_limit_does_not_make_its_pod_short() {
        let node = Node::new().pod(Some(100)).container("a", Some(10), (60, 5)).container(
            "b",
            Some(80),
            (70, 70),
        );
        let found = node.findings("will-crash");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].sentence.starts_with("Container a of pod db/pg-0"),
            "{}",
            found[0].sentence
        );
        assert_eq!(found[0].figures[0].value, 50 * PG);
    }

    #[test]
    fn a_tier_with_a_limit_is_found_by_its_path() {
        let mut snapshot = Node::new().pod(Some(100)).container("a", None, (60, 5)).snapshot();
        snapshot.cgroups_mut()[0].hugetlb_mut()[0].limit =
            Reading::Present(Limit::At(Bytes(40 * PG)));
        let found = super::super::example::findings_of(&snapshot, "will-crash");
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("Cgroup /kubepods "), "{}", found[0].sentence);
        assert!(found[0].concerns("u"), "the pod below it");
        assert!(
            found[0].remedy.ends_with(&format!("at least {}.", 60 * PG)),
            "{}",
            found[0].remedy
        );
    }
}
