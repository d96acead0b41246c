//! What becomes of signals: whose they are, and why.

use super::*;
use crate::snapshot::example::{self, hugetlb, pool};
use crate::snapshot::{Dropped, Sight, WitnessReport};

const SECOND: u64 = 1_000_000_000;
const PAGE: u64 = 2 << 20;
/// The inode numbers of the made-up node's cgroups.
const POD: u64 = 2;
const CONTAINER: u64 = 3;

fn signal(number: u64, seconds: u64, cgroup: u64, above: &[u64], code: i32) -> Signal {
    let comm = "postgres".to_owned();
    let at_ns = seconds * SECOND;
    Signal { number, at_ns, pid: 7, comm, cgroup, above: above.to_vec(), address: 4096, code }
}

fn witness(since: u64, signals: &[Signal], dropped: &[(u64, u64)]) -> Arc<Witness> {
    let report = WitnessReport {
        sight: Sight::Since(since),
        until_ns: 0,
        count: signals.iter().map(|it| it.number).max().unwrap_or(0),
        signals: signals.to_vec(),
        dropped: dropped
            .iter()
            .map(|(cgroup, count)| Dropped { cgroup: *cgroup, count: *count })
            .collect(),
        dropped_in_all: 0,
        lost: 0,
    };
    Arc::new(Witness { report, started: Duration::ZERO, booted: SystemTime::UNIX_EPOCH })
}

/// A node with kubepods, a pod and its container `db`, which hold so many pages and were refused so often.
fn node(seconds: u64, pages: u64, refused: u64, told: &Arc<Witness>) -> Snapshot {
    let figures = || hugetlb(pages * PAGE, refused);
    let mut node = example::node(Duration::from_secs(seconds))
        .with("/kubepods", figures())
        .with("/kubepods/podu", figures())
        .with_container("u", 1, figures())
        .named("u", 1, ["ns", "pg-0", "db"], 0);
    node.pools = vec![pool(400, 0)];
    node.witness = Some(Arc::clone(told));
    node
}

fn through(nodes: impl IntoIterator<Item = Snapshot>) -> History {
    let mut history = History::new(Retention::default());
    nodes.into_iter().for_each(|node| history.update(&node));
    history
}

fn causes(history: &History) -> Vec<(Arc<str>, Option<Cause>)> {
    history.deaths().map(|death| (history.called(&death.whose), death.cause)).collect()
}

#[test]
fn a_signal_in_a_cgroup_that_was_refused_is_of_the_limit() {
    let none = witness(1, &[], &[]);
    let told = witness(1, &[signal(1, 3, CONTAINER, &[1, POD], 2)], &[]);
    let history = through([node(2, 8, 0, &none), node(4, 8, 1, &told), node(6, 8, 1, &told)]);
    assert_eq!(causes(&history), [("db".into(), Some(Cause::Limit))], "once");
    let later = witness(1, &[signal(1, 30, CONTAINER, &[], 2)], &[]);
    let history = through([node(2, 8, 0, &none), node(4, 8, 1, &none), node(31, 8, 1, &later)]);
    assert_eq!(causes(&history), [("db".into(), Some(Cause::Other))], "that was long ago");
}

#[test]
fn a_cgroup_below_a_containers_is_the_containers_and_one_that_is_gone_its_pods() {
    let none = witness(1, &[], &[]);
    let below = signal(1, 3, 99, &[1, POD, CONTAINER], 2);
    let gone = signal(2, 3, 98, &[1, POD], 2);
    let nobody = signal(3, 3, 97, &[96], 2);
    let told = witness(1, &[below, gone, nobody], &[]);
    let history = through([node(2, 8, 0, &none), node(4, 8, 2, &told)]);
    let expected = [("db".into(), Some(Cause::Limit)), ("".into(), Some(Cause::Limit))];
    assert_eq!(causes(&history), expected);
}

#[test]
fn a_container_that_is_gone_keeps_its_name_and_what_its_pod_counted() {
    let none = witness(1, &[], &[]);
    let told = witness(1, &[signal(1, 3, CONTAINER, &[1, POD], 2)], &[]);
    let mut gone = node(4, 8, 1, &told);
    gone.cgroups_mut().truncate(2);
    let history = through([node(2, 8, 0, &none), gone]);
    assert_eq!(causes(&history), [("db".into(), Some(Cause::Limit))]);
}

#[test]
fn an_empty_pool_is_the_cause_only_where_pages_are_held() {
    let empty = |seconds, pages, told| {
        let mut node = node(seconds, pages, 0, told);
        node.pools = vec![pool(3, 3)];
        node
    };
    let none = witness(1, &[], &[]);
    let told = witness(1, &[signal(1, 3, CONTAINER, &[], 2)], &[]);
    let cause =
        |pages| causes(&through([empty(2, pages, &none), empty(4, pages, &told)])).remove(0).1;
    assert_eq!(cause(8), Some(Cause::Pool));
    assert_eq!(cause(0), Some(Cause::Other));
}

#[test]
fn broken_memory_and_bad_addresses_are_not_huge_pages_whatever_was_refused() {
    let none = witness(1, &[], &[]);
    let cause = |code| {
        let told = witness(1, &[signal(1, 3, CONTAINER, &[], code)], &[]);
        causes(&through([node(2, 8, 0, &none), node(4, 8, 1, &told)])).remove(0).1
    };
    assert_eq!(
        [4, 5, 1, 3].map(cause),
        [Cause::Memory, Cause::Memory, Cause::Other, Cause::Other].map(Some)
    );
}

#[test]
fn what_was_dropped_is_counted_and_a_witness_that_starts_again_counts_from_0() {
    let first = witness(1, &[signal(1, 3, CONTAINER, &[], 2)], &[(CONTAINER, 5)]);
    let again = witness(9, &[signal(1, 7, CONTAINER, &[], 2)], &[(CONTAINER, 2), (77, 4)]);
    let none = witness(1, &[], &[]);
    let history = through([node(2, 8, 0, &none), node(4, 8, 1, &first), node(8, 8, 2, &again)]);
    let counts: Vec<_> = history.signals().map(|(_, counts)| counts.clone()).collect();
    assert_eq!(counts, [Counts::from([(Cause::Limit, 2), (Cause::Dropped, 7)])]);
    assert_eq!(history.lost_signals(), Some(4), "of a cgroup that nobody knows");
}

#[test]
fn what_was_before_the_start_is_told_without_a_cause_and_not_counted() {
    let mut told = witness(1, &[signal(1, 3, CONTAINER, &[], 2)], &[]);
    Arc::make_mut(&mut told).started = Duration::from_secs(100);
    let history = through([node(2, 8, 1, &told)]);
    assert_eq!(causes(&history), [("db".into(), None)]);
    assert_eq!(history.signals().count(), 0);
}

#[test]
fn without_a_witness_nothing_is_remembered() {
    let mut node = node(2, 8, 1, &witness(1, &[], &[]));
    node.witness = None;
    let history = through([node]);
    assert_eq!((history.lost_signals(), history.signals.places.len()), (None, 0));
}
