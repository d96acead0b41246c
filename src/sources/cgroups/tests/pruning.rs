//! What is read of those that use pages, and where something was refused.

use super::*;
use crate::snapshot::NumaPool;
use crate::snapshot::example::pool;
use crate::units::{NumaNode, Pages};

const CHAIN: [&str; 3] = ["k", "k/a", "k/a/c"];

/// Three below one another, the innermost of which uses three pages.
fn chain_in_use() -> Example {
    let mut example = Example::settled(&CHAIN);
    example.use_pages(&CHAIN, 3);
    example.read();
    assert_eq!(example.pages("/k/a/c"), 3);
    example
}

/// Wholly read now, as in its turn.
fn in_its_turn(example: &mut Example, path: &str) {
    let tree = example.tree();
    let mut ids = tree.ids().into_iter();
    let id = ids.find(|id| tree.node(*id).is_some_and(|node| &*node.facts.path == path));
    tree.must_read(id.expect("it is known"));
}

#[test]
fn the_unused_are_not_read_while_the_sum_is_that_of_the_others() {
    let mut example = Example::settled(&["k", "k/a", "k/b", "k/b/c"]);
    example.use_pages(&["k", "k/a"], 3);
    example.read();
    // What no kernel would show: that it is not seen tells that it is not read.
    example.use_pages(&["k/b"], 2);
    example.read();
    assert_eq!(example.pages("/k/b"), 0);
    example.use_pages(&["k"], 5);
    example.read();
    assert_eq!(example.pages("/k/b"), 2, "something is left over");
    assert_eq!(example.pages("/k/b/c"), 0);
    example.use_pages(&["k/b/c"], 2);
    example.read();
    assert_eq!(example.pages("/k/b/c"), 2, "left over below it");
}

#[test]
fn one_that_stops_using_pages_is_read_once_more() {
    let mut example = chain_in_use();
    example.use_pages(&CHAIN, 0);
    example.read();
    assert_eq!(example.pages("/k/a/c"), 0);
}

#[test]
fn one_that_stops_is_read_once_more_also_where_its_parents_turn_came_just_then() {
    let mut example = chain_in_use();
    example.use_pages(&CHAIN, 0);
    in_its_turn(&mut example, "/k/a");
    example.read();
    assert_eq!(example.pages("/k/a/c"), 0);
}

#[test]
fn one_that_began_between_its_parents_reading_and_its_own_is_read_again() {
    let mut example = chain_in_use();
    // It had stopped when those above were read, and used pages again when it was read itself.
    example.use_pages(&CHAIN[..2], 0);
    example.read();
    assert_eq!(example.pages("/k/a/c"), 3);
    example.use_pages(&CHAIN[2..], 0);
    example.read();
    assert_eq!(example.pages("/k/a/c"), 0);
    // The same in its turn.
    example.use_pages(&CHAIN[2..], 2);
    in_its_turn(&mut example, "/k/a/c");
    example.read();
    assert_eq!(example.pages("/k/a/c"), 2);
    example.use_pages(&CHAIN[2..], 0);
    example.read();
    assert_eq!(example.pages("/k/a/c"), 0);
}

#[test]
fn two_figures_that_failed_are_not_the_same() {
    let mut example = Example::settled(&["k", "k/a", "k/b"]);
    example.use_pages(&["k", "k/a"], 3);
    example.read();
    ["k", "k/a"].iter().for_each(|path| example.write(path, "rsvd.current", "?"));
    example.read();
    assert_eq!(example.pages("/k/a"), 3);
    assert!(matches!(example.problems, Health::Down(_)));
    example.write("k/b", "rsvd.current", "2097152");
    example.read();
    assert_eq!(example.figures("/k/b").reserved, Reading::Present(Bytes(2 << 20)));
}

#[test]
fn numa_stat_is_read_once_more_when_use_is_over() {
    let mut example = Example::new(&["k"]);
    let node = |number| NumaPool {
        node: NumaNode(number),
        size: Reading::Absent,
        free: Reading::Absent,
        surplus: Reading::Absent,
    };
    example.pools = vec![Pool { nodes: vec![node(0), node(1)], ..pool(10, 10) }];
    example.write("k", "numa_stat", "total=6291456 N0=6291456");
    example.tree().must_read_all();
    example.use_pages(&["k"], 3);
    example.after(100);
    let nodes = |example: &Example| {
        let nodes = example.figures("/k").numa_usage.clone().present().expect("read");
        nodes.iter().map(|node| node.usage).collect::<Vec<_>>()
    };
    assert_eq!(nodes(&example), [Bytes(3 << 21)]);
    example.use_pages(&["k"], 0);
    example.write("k", "numa_stat", "total=0 N0=0");
    example.read();
    assert_eq!(nodes(&example), [Bytes::ZERO]);
}

#[test]
fn a_limit_that_is_set_where_pages_are_used_is_read_at_the_next_poll() {
    let mut example = chain_in_use();
    for limit in [4096, 8192] {
        example.write("k/a/c", "max", &limit.to_string());
        example.read();
        assert_eq!(example.limit("/k/a/c"), at(limit));
    }
}

#[test]
fn a_limit_is_watched_once_however_often_the_other_can_not_be() {
    let mut example = Example::new(&["k"]);
    fs::remove_file(example.at("k/hugetlb.2MB.rsvd.max")).expect("removed");
    fs::create_dir(example.at("k/hugetlb.2MB.rsvd.max")).expect("made");
    let before = example.watch().targets.len();
    example.use_pages(&["k"], 3);
    (0..3).for_each(|_| example.read());
    assert_eq!(example.watch().targets.len(), before + 2);
}

fn refuse(example: &Example, paths: &[&str], count: u64) {
    paths.iter().for_each(|path| example.write(path, "events", &format!("max {count}")));
}

fn refused(example: &Example, path: &str) -> (u64, u64) {
    let figure = |reading: Reading<u64>| reading.present().expect("read");
    match example.figures(path).failures {
        Failures::V2 { hierarchical: all, local } => (figure(all), figure(local)),
        Failures::V1 { faults, .. } => (figure(faults), 0),
    }
}

#[test]
fn a_refusal_is_followed_down_to_where_it_happened() {
    let mut example = Example::settled(&["k", "k/a", "k/a/c", "k/b", "k/b/d"]);
    refuse(&example, &CHAIN, 2);
    example.write("k/a/c", "events.local", "max 2");
    // Not below anything that moved: no kernel would show it.
    refuse(&example, &["k/b/d"], 7);
    assert!(example.cgroups.heed_refusals(&mut KernelFiles::default()));
    assert!(!example.cgroups.heed_refusals(&mut KernelFiles::default()), "it is no news twice");
    example.read();
    assert_eq!(refused(&example, "/k/a/c"), (2, 2));
    assert_eq!(refused(&example, "/k/b/d"), (0, 0));
}

#[test]
fn a_poll_follows_refusals_by_itself() {
    let mut example = Example::settled(&CHAIN);
    refuse(&example, &CHAIN, 2);
    example.read();
    assert_eq!(refused(&example, "/k/a/c"), (2, 0));
}

#[test]
fn a_counter_that_failed_is_read_at_the_next_poll() {
    let mut example = Example::settled(&["k", "k/a"]);
    refuse(&example, &["k"], 2);
    example.write("k/a", "events", "?");
    assert!(example.cgroups.heed_refusals(&mut KernelFiles::default()));
    refuse(&example, &["k/a"], 2);
    example.read();
    assert_eq!(refused(&example, "/k/a"), (2, 0));
}

#[test]
fn a_refusal_of_one_that_is_gone_is_its_parents() {
    let mut example = Example::settled(&CHAIN);
    fs::remove_dir_all(example.at("k/a/c")).expect("removed");
    refuse(&example, &CHAIN[..2], 1);
    assert!(example.cgroups.heed_refusals(&mut KernelFiles::default()));
    example.read();
    assert_eq!(refused(&example, "/k/a"), (1, 0));
    assert_eq!(example.problems, Health::Up);
}

#[test]
fn refusals_of_v1_are_read_at_every_poll_where_somebody_could_have_had_the_page() {
    let mut example = Example::of(CgroupVersion::V1, &["a"]);
    example.write("a", "limit_in_bytes", "4096");
    example.after(100);
    example.write("a", "failcnt", "3");
    let mut seen = |size, overcommit_limit| {
        example.pools = vec![Pool { size, overcommit_limit, ..pool(0, 0) }];
        example.read();
        refused(&example, "/a").0
    };
    let [none, one] = [0, 1].map(|pages| Reading::Present(Pages(pages)));
    assert_eq!((seen(none, none), seen(none, Reading::Absent)), (0, 0));
    assert_eq!(seen(none, one), 3);
}
