//! Who will hang, and what is said of it.

use std::time::Duration;

use super::super::example::{Node, findings_through};
use crate::assessment::Finding;
use crate::snapshot::{Limit, MemoryEvents, Reading};
use crate::units::Bytes;

const MI: u64 = 1 << 20;
const NONE: MemoryEvents = MemoryEvents { max: 0, oom: 0, oom_kill: 0 };

/// A container that has mapped 40 pages and touched 10, in so much memory, with so much anonymous memory.
fn node(limit: u64, anon: u64) -> Node {
    let node = Node::new().pod(Some(64)).container("postgres", None, (40, 10)).accounting();
    node.memory(2, limit * MI, (20 * MI, anon * MI), NONE)
}

fn found(node: &Node) -> Vec<Finding> {
    node.findings("memory-short")
}

fn figure(finding: &Finding, name: &str) -> u64 {
    finding.figures.iter().find(|figure| figure.name == name).expect("a figure").value
}

#[test]
fn huge_pages_alone_that_are_above_the_limit_are_certain_to_hang() {
    let [finding] = &found(&node(64, 10))[..] else { panic!("one") };
    assert_eq!(
        finding.sentence,
        "Container postgres of pod db/pg-0 needs 80Mi of memory for its huge pages, and its memory.max is 64Mi (26Mi too little): huge pages count as memory on this node, and the process that touches the rest will hang at 100 % of a core, without a signal or an error."
    );
    assert_eq!(
        finding.remedy,
        format!(
            "Set memory of container postgres to 144Mi, its 64Mi and its huge pages (91Mi is the least), or let it map less. At once and without a restart, on the node: echo {} > /sys/fs/cgroup/kubepods/podu/{}/memory.max; or, to have no huge pages count as memory until the next boot: mount -t cgroup2 -o remount,rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup",
            144 * MI,
            crate::snapshot::example::id(1),
        )
    );
    assert_eq!(figure(finding, "shortfall_bytes"), 26 * MI);
    assert_eq!(figure(finding, "required_limit_bytes"), 144 * MI);
    assert_eq!(figure(finding, "needed_bytes"), 91 * MI);
}

#[test]
fn with_other_memory_it_depends_on_that() {
    let [finding] = &found(&node(90, 12))[..] else { panic!("one") };
    assert!(finding.sentence.contains("80Mi of memory for its huge pages and has 12Mi of other memory that can't be reclaimed, and its memory.max is 90Mi (2Mi too little)"), "{finding:?}");
    assert!(finding.sentence.ends_with("without a signal or an error, unless that shrinks."));
}

#[test]
fn with_the_value_it_is_silent() {
    for enough in [144, 91, 90] {
        assert!(found(&node(enough, 10)).is_empty(), "{enough}");
    }
    assert_eq!(found(&node(89, 10)).len(), 1);
}

#[test]
fn where_they_do_not_count_as_memory_nothing_is_said() {
    let off = node(64, 10).but(|snapshot| snapshot.accounting = Default::default());
    assert!(found(&off).is_empty());
}

#[test]
fn what_the_limit_of_huge_pages_refuses_needs_no_memory() {
    // SIGBUS at page 26 of 40: 52 MiB.
    let limited = |limit| {
        let node = Node::new().pod(Some(26)).container("postgres", None, (40, 10)).accounting();
        node.memory(2, limit * MI, (20 * MI, 4 * MI), NONE)
    };
    assert_eq!((found(&limited(56)).len(), found(&limited(55)).len()), (0, 1));
    assert_eq!(limited(56).findings("will-crash").len(), 1);
}

#[test]
fn the_pod_is_named_where_its_own_limit_is_met_first() {
    let both = |container: u64, pod: u64| {
        let node = node(container, 10).memory(1, pod * MI, (20 * MI, 11 * MI), NONE);
        found(&node)
            .into_iter()
            .map(|finding| (finding.sentence, finding.remedy))
            .collect::<Vec<_>>()
    };
    let [(sentence, remedy)] = &both(128, 64)[..] else { panic!("one") };
    assert!(sentence.starts_with("Pod db/pg-0 needs 80Mi"), "{sentence}");
    assert!(remedy.starts_with("Set memory of its containers to 144Mi"), "{remedy}");
    let [(sentence, remedy)] = &both(64, 64)[..] else { panic!("one: the pod's is made of it") };
    assert!(sentence.starts_with("Container postgres"), "{sentence}");
    let enough = 144 * MI;
    let pods = format!("memory.max; echo {enough} > /sys/fs/cgroup/kubepods/podu/memory.max; or");
    assert!(remedy.contains(&format!("echo {enough} > ")) && remedy.contains(&pods), "{remedy}");
}

#[test]
fn a_tier_is_named_by_its_path() {
    let tier = node(128, 10).memory(0, 64 * MI, (20 * MI, 11 * MI), NONE);
    let [finding] = &found(&tier)[..] else { panic!("one") };
    assert!(finding.sentence.starts_with("Cgroup /kubepods needs"), "{}", finding.sentence);
    assert!(finding.concerns("u"));
}

#[test]
fn caches_and_what_can_be_swapped_out_are_reclaimed() {
    let with = |change: fn(&mut crate::snapshot::CgroupMemory)| {
        let node = node(64, 10).but(|snapshot| {
            let memory = snapshot.cgroups_mut()[2].memory.as_mut().expect("there");
            change(std::sync::Arc::make_mut(memory));
        });
        found(&node).first().map(|finding| figure(finding, "shortfall_bytes") / MI)
    };
    assert_eq!(with(|_| {}), Some(26));
    assert_eq!(with(|memory| memory.swap_room = Reading::Present(Bytes(6 * MI))), Some(20));
    assert_eq!(with(|memory| memory.swap_room = Reading::Present(Bytes(60 * MI))), Some(16));
    let cached = |memory: &mut crate::snapshot::CgroupMemory| {
        memory.usage = memory.usage.map(|usage| Bytes(usage.0 + 30 * MI));
        memory.stat = memory.stat.map(|stat| crate::snapshot::MemoryStat {
            inactive_file: Bytes(20 * MI),
            active_file: Bytes(8 * MI),
            slab_reclaimable: Bytes(2 * MI),
            file: Bytes(28 * MI),
            kernel: Reading::Present(Bytes(2 * MI)),
            ..stat
        });
    };
    assert_eq!(with(cached), Some(26));
    assert_eq!(with(|memory| memory.limit = Reading::Present(Limit::Unlimited)), None);
    assert_eq!(with(|memory| memory.stat = Reading::Failed), None, "never a guess");
}

#[test]
fn once_all_is_touched_it_is_over() {
    let node = Node::new().pod(Some(64)).container("postgres", None, (40, 40)).accounting();
    let node = node.memory(2, 64 * MI, (80 * MI, MI), NONE);
    let polls = [node.clone(), node];
    assert!(findings_through(&polls, Duration::from_secs(2), "memory-short").is_empty());
}
