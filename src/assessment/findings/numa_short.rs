//! The pages are there, but on other nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Facts, Finding, Rule, SHORTFALL, Severity, Subject};
use crate::identity::Owner;
use crate::snapshot::{Pool, Reading};
use crate::units::{Bytes, NumaNode};

pub(super) const RULE: Rule = Rule {
    name: "numa-short",
    severity: Severity::Warning,
    summary: "Containers bound to some NUMA nodes have mapped more than is free there.",
    foretells: "A reservation is counted against the whole node's pool and checked against a cpuset only when it is made: if the pages on the bound nodes run out, a touch is SIGBUS though the pool has free pages and no counter moves.",
    evidence: "For each set of NUMA nodes that a container is bound to (`cpuset.mems.effective`): all that containers bound within that set have mapped and not yet touched, against the free pages on those nodes and the surplus pages that may still be made (`nr_overcommit_hugepages`). The kernel keeps no reservation by node.",
    false_alarms: "Memory policies (mbind, numactl) bind as well and are not seen. Pages used by others on these nodes may be freed in time.",
    remedy: "Put more of the pool on those nodes (`/sys/devices/system/node/node<N>/hugepages/hugepages-<size>/nr_hugepages`), or place fewer such pods there (memory manager, topology manager).",
    find,
};

type Nodes = BTreeSet<NumaNode>;

/// A container that is bound to fewer nodes than all.
struct Bound {
    pod: Arc<str>,
    nodes: Nodes,
    /// What it has still to touch.
    to_come: Bytes,
}

/// Nodes that have too little for the containers bound to them.
struct Short<'a> {
    nodes: &'a Nodes,
    short: Bytes,
    to_come: Bytes,
    free: Bytes,
    /// Surplus pages that the kernel may still make, wherever: of the nodes' ordinary memory, at the touch.
    room: Bytes,
}

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for pool in facts.snapshot.pools.iter().filter(|pool| pool.nodes.len() > 1) {
        let room = match pool.bytes(pool.overcommit_room()) {
            Reading::Present(room) => room,
            Reading::Absent => Bytes::ZERO,
            Reading::Failed => continue,
        };
        let all: Nodes = pool.nodes.iter().map(|part| part.node).collect();
        let bound = bound(facts, pool, &all);
        let sets: BTreeSet<&Nodes> = bound.iter().map(|container| &container.nodes).collect();
        let short = sets.into_iter().filter_map(|nodes| {
            let within = bound.iter().filter(|container| container.nodes.is_subset(nodes));
            let to_come =
                within.fold(0_u64, |sum, container| sum.saturating_add(container.to_come.0));
            let (to_come, free) = (Bytes(to_come), free_on(pool, nodes)?);
            let short = to_come.less(free).less(room);
            (short > Bytes::ZERO).then_some(Short { nodes, short, to_come, free, room })
        });
        let short: Vec<Short<'_>> = short.collect();
        // One finding a size, the worst set: sets that contain each other are short of the same pages.
        if let Some(worst) = short.iter().max_by_key(|short| short.short) {
            let is_within = |container: &&Bound| {
                short.iter().any(|short| container.nodes.is_subset(short.nodes))
            };
            let pods = bound.iter().filter(is_within).map(|container| Arc::clone(&container.pod));
            findings.push(finding(pool, worst).concerning(pods));
        }
    }
}

fn bound(facts: &Facts<'_>, pool: &Pool, all: &Nodes) -> Vec<Bound> {
    let cgroups = facts.snapshot.cgroups.iter();
    cgroups
        .filter_map(|cgroup| {
            let Owner::Container(container) = &*cgroup.owner else { return None };
            let Reading::Present(nodes) = &cgroup.memory_nodes else { return None };
            let nodes: Nodes = nodes.iter().copied().collect();
            let hugetlb = cgroup.of_size(pool.page_size)?;
            let to_come = hugetlb.reserved.present()?.less(hugetlb.usage.present()?);
            let bound = !nodes.is_empty() && !all.is_subset(&nodes) && to_come > Bytes::ZERO;
            bound.then(|| Bound { pod: container.pod.uid.shared(), nodes, to_come })
        })
        .collect()
}

fn free_on(pool: &Pool, set: &Nodes) -> Option<Bytes> {
    let parts = pool.nodes.iter().filter(|part| set.contains(&part.node));
    parts
        .map(|part| pool.bytes(part.free).present())
        .try_fold(Bytes::ZERO, |sum, free| sum.checked_add(free?))
}

fn finding(pool: &Pool, worst: &Short<'_>) -> Finding {
    let Short { nodes, short, to_come, free, room } = worst;
    let made =
        if *room > Bytes::ZERO { format!(", {room} more may be made") } else { String::new() };
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let (nodes, page_size) = (names.join(","), pool.page_size);
    RULE.finding(
        Subject::Node,
        page_size,
        format!(
            "Containers bound to NUMA node {nodes} have still to touch {to_come} of {page_size} pages, and {free} are free there{made}: a touch will be SIGBUS."
        ),
        format!(
            "Move at least {} pages of {page_size} to node {nodes}.",
            short.0.div_ceil(page_size.bytes().0),
        ),
        &[(SHORTFALL, short.0), ("outstanding_bytes", to_come.0), ("free_bytes", free.0)],
    )
}

#[cfg(test)]
mod tests {
    use super::super::example::Node;
    use crate::snapshot::{NumaPool, Reading};
    use crate::units::{NumaNode, Pages};

    /// Two nodes with so many free pages; two containers with 30 and 20 to touch, bound as told.
    fn node(free: [u64; 2], bound: [&[u32]; 2]) -> Node {
        overcommitted(free, bound, Reading::Present(Pages(0)))
    }

    /// The same, where so many surplus pages may be made.
    fn overcommitted(free: [u64; 2], bound: [&[u32]; 2], limit: Reading<Pages>) -> Node {
        let pages = |pages| Reading::Present(Pages(pages));
        let part = |(number, free)| NumaPool {
            node: NumaNode(number),
            size: pages(250),
            free: pages(free),
            surplus: pages(0),
        };
        Node::new().pod(None).container("a", None, (40, 10)).container("b", None, (30, 10)).but(
            |snapshot| {
                snapshot.pools[0].overcommit_limit = limit;
                snapshot.pools[0].nodes = (0..).zip(free).map(part).collect();
                for (cgroup, nodes) in snapshot.cgroups_mut()[2..].iter_mut().zip(bound) {
                    cgroup.memory_nodes =
                        Reading::Present(nodes.iter().map(|node| NumaNode(*node)).collect());
                }
            },
        )
    }

    #[track_caller]
    fn check(free: [u64; 2], bound: [&[u32]; 2], short: Option<u64>) {
        let found = node(free, bound).findings("numa-short");
        let got = found.first().map(|finding| finding.figures[0].value / (2 << 20));
        assert_eq!(got, short, "{free:?} {bound:?}");
    }

    #[test]
    fn each_set_against_its_own_nodes() {
        check([30, 20], [&[0], &[1]], None);
        check([29, 400], [&[0], &[1]], Some(1));
        check([49, 400], [&[0], &[0]], Some(1));
        check([50, 0], [&[0], &[0]], None);
        check([0, 0], [&[0, 1], &[0, 1]], None);
    }

    #[test]
    fn pages_that_may_be_made_are_counted_on() {
        let short = |limit| {
            let found = overcommitted([29, 400], [&[0], &[0]], limit).findings("numa-short");
            found.first().map(|finding| finding.figures[0].value / (2 << 20))
        };
        assert_eq!(short(Reading::Absent), Some(21));
        assert_eq!(short(Reading::Present(Pages(20))), Some(1));
        assert_eq!(short(Reading::Present(Pages(21))), None);
        assert_eq!(short(Reading::Failed), None, "nobody knows");
    }

    #[test]
    fn the_pods_of_every_set_that_is_short_are_concerned() {
        let concerned = |free| {
            let found = node(free, [&[0], &[1]]).findings("numa-short");
            found.first().map(|finding| (finding.concerns("u"), finding.concerns("other")))
        };
        assert_eq!(concerned([29, 19]), Some((true, false)));
        assert_eq!(concerned([400, 19]), Some((true, false)));
        assert_eq!(concerned([400, 400]), None);
    }

    #[test]
    fn a_set_within_a_set_counts_for_both() {
        check([30, 19], [&[0], &[0, 1]], None);
    }
}
