//! More is mapped than may be touched.

mod remedy;

use super::{
    Facts, Finding, REQUIRED_LIMIT, Rule, SHORTFALL, Severity, Subject, add_once, capital,
    resource, whole_pages,
};
use crate::assessment::{Identity, Outlook, ShortOf, TenantSize};
use crate::identity::Owner;
use crate::snapshot::{Limit, Reading};
use crate::units::{Bytes, PageSize};
pub(super) use remedy::{Remedy, needed};

pub(super) const RULE: Rule = Rule {
    name: "will-crash",
    severity: Severity::Critical,
    summary: "A container, its pod, or a cgroup above has mapped more huge pages than it may touch.",
    foretells: "The process that touches the first page beyond the limit is killed by SIGBUS (signal 7, exit code 135). PostgreSQL then resets every session, recovers, maps the same segment again and meets the same end. Nothing but this tells it beforehand: the mapping succeeded, usage is far below the limit, and no counter has moved.",
    evidence: "`need`, what is reserved (`hugetlb.*.rsvd.current`) or used (`hugetlb.*.current`) by the cgroup and by its children as far as their own limits let them, is above the fault limit (`hugetlb.*.max`); the difference is `hugetlb_container_shortfall_bytes` or `hugetlb_pod_shortfall_bytes`. It is never more than what is still to be touched, here, in every cgroup above, and of the pool (`resv_hugepages`; where cgroups are charged for more than is reserved or used there, the kernel has lost count, which the finding says, and it is not gone by). With `--collector.mappings` pages mapped with MAP_NORESERVE count too, also against the reservation limit and the pool.",
    false_alarms: "A program that maps more than it will ever touch is safe as long as it does not touch it (PROT_NONE reservations of MAP_NORESERVE are left out, others are not). Not seen: MAP_NORESERVE without `--collector.mappings`, the copies that fork and write make of private mappings, and limits that only a NUMA policy sets (see `numa-short`).",
    remedy: "Raise `hugepages-<size>` of the container to what it has mapped, which the finding names, or make it map less (for PostgreSQL: lower `shared_buffers`; `postgres -C shared_memory_size_in_huge_pages` tells the pages it will map). Restart it before it touches the rest.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    // Of a sandbox its pod is told.
    let (sandboxes, containers): (Vec<_>, Vec<_>) = facts
        .containers()
        .filter(|(_, size)| is_short(&size.outlook))
        .partition(|(container, _)| facts.is_sandbox(container));
    for (container, size) in containers {
        let remedy = Remedy::of_container(facts, container, size);
        findings.push(finding(facts, &container.identity, &Part::of(size), remedy));
    }
    for (pod, size) in facts.pods() {
        if is_short(&size.outlook) {
            let remedy = Remedy::of_pod(facts, pod, size);
            findings.push(finding(facts, &pod.identity, &Part::of(size), remedy));
        }
    }
    for (container, size) in sandboxes {
        let remedy = Remedy::of_part(&size.outlook, size.page_size);
        let found = finding(facts, &facts.named(container), &Part::of(size), remedy);
        add_once(findings, first, Some(found));
    }
    for (page_size, index, outlook) in
        facts.ledger.outlooks().filter(|(_, _, outlook)| is_short(outlook))
    {
        let Some(cgroup) = facts.snapshot.cgroups.get(index) else { continue };
        match &*cgroup.owner {
            Owner::Tier | Owner::Service => {
                findings.push(of_cgroup(facts, &cgroup.path, page_size, outlook));
            }
            Owner::PodInfrastructure(pod) => {
                let limit = cgroup.of_size(page_size).map(|it| it.limit).unwrap_or_default();
                let cgroup = Some(&*cgroup.path);
                let part = Part { page_size, outlook, limit, usage: Reading::Absent, cgroup };
                let remedy = Remedy::of_part(outlook, page_size);
                let found = finding(facts, &facts.pod_identity(&pod.uid), &part, remedy);
                add_once(findings, first, Some(found));
            }
            _ => {}
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

fn of_cgroup(facts: &Facts<'_>, path: &str, page_size: PageSize, outlook: &Outlook) -> Finding {
    let (needed, mapped) = (needed(outlook, page_size), mapped(outlook, page_size));
    let short = outlook.shortfall.present().unwrap_or_default();
    RULE.finding(
        Subject::Cgroup(path.to_owned()),
        page_size,
        format!(
            "Cgroup {path} {mapped}, {short} more than it may touch: a process in it will be killed by SIGBUS.{}",
            beside_the_pool(facts, page_size),
        ),
        format!(
            "Raise hugetlb.{}.max (v1: limit_in_bytes) of {path} to at least {}.",
            page_size.cgroup_name(),
            needed.0,
        ),
        &[(SHORTFALL, short.0), ("committed_bytes", needed.0), (REQUIRED_LIMIT, needed.0)],
    )
}

/// Whose figures a finding is made of.
struct Part<'a> {
    page_size: PageSize,
    outlook: &'a Outlook,
    limit: Reading<Limit>,
    usage: Reading<Bytes>,
    /// Whose limit it is, where it is neither the pod's nor that of a container of its spec.
    cgroup: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn of(size: &'a TenantSize) -> Self {
        let TenantSize { page_size, outlook, limit, usage, .. } = size;
        Self { page_size: *page_size, outlook, limit: *limit, usage: *usage, cgroup: None }
    }
}

/// What was done, in words.
fn mapped(outlook: &Outlook, page_size: PageSize) -> String {
    let committed = outlook.committed.present().unwrap_or_default();
    let mapped = format!("has mapped {committed} of {page_size} pages");
    match outlook.unreserved {
        Bytes::ZERO => mapped,
        unreserved => format!("{mapped} ({unreserved} of it untouched and without a reservation)"),
    }
}

/// That the pool's own count says otherwise, where it is wrong.
fn beside_the_pool(facts: &Facts<'_>, page_size: PageSize) -> String {
    let mut states = facts.assessment.pools.iter();
    let state = states.find(|state| state.page_size == page_size);
    let mut pools = facts.snapshot.pools.iter();
    let pool = pools.find(|pool| pool.page_size == page_size);
    match (
        state.and_then(|state| state.lost_reservations),
        pool.and_then(|it| it.reserved.present()),
    ) {
        (Some(lost), Some(counted)) => format!(
            " The pool's count of reserved pages, {}, is wrong: {} too few at least.",
            counted.0,
            lost.0.div_ceil(page_size.bytes().0),
        ),
        _ => String::new(),
    }
}

fn finding(facts: &Facts<'_>, who: &Identity, part: &Part<'_>, remedy: Remedy) -> Finding {
    let Part { page_size, outlook, limit, usage, cgroup } = part;
    let short = outlook.shortfall.present().unwrap_or_default();
    let may = match (outlook.short_of, limit.finite()) {
        (Some(ShortOf::Pool), _) => format!("{short} more than the node's pool can give"),
        (Some(ShortOf::Limit), Some(limit)) => {
            format!("and may touch {limit} ({short} too little)")
        }
        _ => format!("{short} more than it may touch"),
    };
    let sentence = format!(
        "{} {}{} {may}: the process that touches the rest will be killed by SIGBUS.{}",
        capital(&who.described()),
        mapped(outlook, *page_size),
        cgroup.map_or_else(String::new, |cgroup| format!(" in {cgroup}")),
        beside_the_pool(facts, *page_size),
    );
    let committed = outlook.committed.present().unwrap_or_default();
    let mut figures = vec![(SHORTFALL, short.0), ("committed_bytes", committed.0)];
    figures.extend(usage.present().map(|usage| ("usage_bytes", usage.0)));
    figures.extend(limit.finite().map(|limit| ("limit_bytes", limit.0)));
    figures.extend(remedy.limit.map(|limit| (REQUIRED_LIMIT, limit.0)));
    RULE.finding(Subject::Tenant(who.clone()), *page_size, sentence, remedy.text, &figures)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, PG, findings_through};
    use crate::identity::Owner;
    use crate::snapshot::{Limit, Reading};
    use crate::units::Bytes;

    #[test]
    fn the_incident_is_predicted_with_the_value_to_set() {
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
    fn of_a_sandbox_its_pod_is_told() {
        // gVisor and Kata: the id of what holds all is none of those that the pod's logs name.
        let sandbox = |own: Option<u64>, pod: Option<u64>| {
            let node = Node::new().pod(pod).container("app", own, (140, 12));
            node.but(|snapshot| {
                snapshot.names = Default::default();
                *snapshot = snapshot.clone().named("u", 7, ["db", "pg-0", "app"], 0);
            })
        };
        for (own, pod) in [(None, Some(64)), (Some(64), None), (Some(64), Some(64))] {
            let polls = [sandbox(own, pod), sandbox(own, pod)];
            let found = findings_through(&polls, Duration::from_secs(10), "will-crash");
            let [finding] = &found[..] else { panic!("one: {found:?}") };
            assert!(finding.sentence.starts_with("Pod db/pg-0 has mapped 280Mi"), "{finding:?}");
            assert!(finding.remedy.starts_with("Set hugepages-2Mi of its containers to at least"));
        }
    }

    #[test]
    fn a_limit_within_a_pod_is_the_pods() {
        let path = "/kubepods/podu/kata_1";
        let node = Node::new().pod(Some(600)).container("app", Some(64), (140, 12));
        let node = node.but(|snapshot| {
            let machine = &mut snapshot.cgroups_mut()[2];
            (machine.path, machine.owner) = (path.into(), Owner::of(path).into());
        });
        let found = node.findings("will-crash");
        let [finding] = &found[..] else { panic!("one: {found:?}") };
        assert_eq!(
            finding.sentence,
            "Pod db/pg-0 has mapped 280Mi of 2Mi pages in /kubepods/podu/kata_1 and may touch 128Mi (152Mi too little): the process that touches the rest will be killed by SIGBUS."
        );
    }

    #[test]
    fn two_containers_with_the_limit_of_the_pod_share_it() {
        let of = |first, second| {
            let node = Node::new().pod(Some(100)).container("a", first, (60, 5));
            node.container("b", second, (60, 5)).findings("will-crash")[0].remedy.clone()
        };
        assert!(of(Some(100), Some(100)).contains("of the pod's own resources (spec.resources)"));
        assert!(of(Some(80), Some(20)).contains("container b"));
        assert!(of(None, None).contains("of its containers"));
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
