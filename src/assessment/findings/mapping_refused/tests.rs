//! Who was refused a mapping, by which limit, and what became of it.

use std::time::Duration;

use super::super::example::{Node, UID, figures, findings_through, limit};
use super::*;
use crate::snapshot::{Failures, Reading};

const APART: Duration = Duration::from_secs(2);

/// A pod of so many pages, with a reservation limit as the kubelet writes it, after so many refusals.
fn pod(pages: u64, refused: u64) -> Node {
    Node::new().pod(Some(pages)).but(|snapshot| {
        let hugetlb = &mut snapshot.cgroups_mut()[1].hugetlb_mut()[0];
        hugetlb.reservation_limit = limit(Some(pages));
        let hierarchical = Reading::Present(refused);
        hugetlb.failures = Failures::V2 { hierarchical, local: Reading::Absent };
    })
}

/// The same with an instance that was refused once, under its name.
fn instance(node: Node, number: u64) -> Node {
    node.but(|snapshot| {
        let mut hugetlb = figures(None, (0, 0));
        let one = Reading::Present(1);
        hugetlb.failures = Failures::V2 { hierarchical: one, local: one };
        let attempt = u32::try_from(number).expect("few");
        *snapshot = snapshot.clone().with_container(UID, number, hugetlb).named(
            UID,
            number,
            ["db", "pg-0", "postgres"],
            attempt,
        );
    })
}

/// So many instances, each there for one poll, and some polls after each.
fn crash_loop(pages: u64, instances: u64) -> Vec<Node> {
    let mut polls = vec![pod(pages, 0)];
    for number in 1..=instances {
        polls.push(instance(pod(pages, number), number));
        polls.extend((0..4).map(|_| pod(pages, number)));
    }
    polls
}

#[test]
fn a_container_that_ends_over_it_twice_loops() {
    let once = findings_through(&crash_loop(64, 1), APART, "mapping-refused");
    assert_eq!(once.iter().map(|it| it.severity).collect::<Vec<_>>(), [Severity::Info]);
    for pages in [64, 0] {
        let found = findings_through(&crash_loop(pages, 3), APART, "mapping-refused");
        let [found] = &found[..] else { panic!("one: {found:?}") };
        assert_eq!(found.severity, Severity::Critical);
        let limit = Bytes(pages << 21);
        assert_eq!(
            found.sentence,
            format!(
                "Container postgres of pod db/pg-0 asked for more 2Mi pages than it may map, was refused by its pod's limit of {limit}, and ended over it 3 times in 1 minute: it restarts and does not come up."
            )
        );
        assert!(found.remedy.contains("postgres -C"), "{}", found.remedy);
        for other in ["refusals-ambiguous", "refused-without-grant", "faults-refused"] {
            assert!(findings_through(&crash_loop(pages, 3), APART, other).is_empty(), "{other}");
        }
    }
}

#[test]
fn who_comes_up_does_not_loop() {
    let mut polls = crash_loop(64, 3);
    let comes_up = || {
        pod(64, 3).but(|snapshot| {
            *snapshot = snapshot.clone().with_container(UID, 9, figures(None, (30, 30))).named(
                UID,
                9,
                ["db", "pg-0", "postgres"],
                9,
            );
        })
    };
    polls.extend((0..40).map(|_| comes_up()));
    let found = findings_through(&polls, APART, "mapping-refused");
    assert!(found.iter().all(|it| it.severity == Severity::Info), "{found:?}");
}

#[test]
fn instances_that_were_never_seen_are_their_pods() {
    let polls: Vec<Node> = (0..20).map(|poll| pod(64, poll / 5)).collect();
    let found = findings_through(&polls, APART, "mapping-refused");
    let [found] = &found[..] else { panic!("one: {found:?}") };
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.sentence.starts_with("Pod "), "{}", found.sentence);
}

/// Links to the logs of those that are gone already.
fn links(node: Node, links: &[(&str, u64, u32)]) -> Node {
    node.but(|snapshot| {
        for (container, number, attempt) in links {
            let names = ["db", "pg-0", *container];
            *snapshot = snapshot.clone().named(UID, *number, names, *attempt);
        }
    })
}

#[test]
fn an_instance_that_was_never_seen_is_named_by_its_link() {
    let found = |containers: &[(&str, u64, u32)]| {
        let polls: Vec<Node> = (0..20).map(|poll| links(pod(64, poll / 5), containers)).collect();
        let found = findings_through(&polls, APART, "mapping-refused");
        let [found] = &found[..] else { panic!("one: {found:?}") };
        assert_eq!(found.severity, Severity::Critical);
        found.sentence.clone()
    };
    let init = ("init", 1, 0);
    for containers in [&[("postgres", 2, 1)][..], &[init, ("postgres", 2, 1)]] {
        assert_eq!(
            found(containers),
            "Container postgres of pod db/pg-0 asked for more 2Mi pages than it may map, was refused by its pod's limit of 128Mi, and ended over it 3 times in 1 minute: it restarts and does not come up."
        );
    }
    let either = found(&[("one", 1, 1), ("other", 2, 1)]);
    assert!(either.starts_with("Pod db/pg-0 asked "), "{either}");
}

#[test]
fn a_link_tells_of_the_instance_that_ended_before() {
    let severity = |attempt| {
        let refused = |poll| links(pod(64, u64::from(poll > 0)), &[("postgres", 1, attempt)]);
        let polls: Vec<Node> = (0..6).map(refused).collect();
        let found = findings_through(&polls, APART, "mapping-refused");
        found.iter().map(|it| it.severity).collect::<Vec<_>>()
    };
    assert_eq!(severity(0), [Severity::Info]);
    assert_eq!(severity(1), [Severity::Critical]);
}

#[test]
fn who_lives_on_is_told_as_information() {
    // Its code cache takes a part of the grant, its heap is refused and falls back.
    let java = |refused| {
        let node = Node::new().pod(Some(150)).container("java", None, (120, 2));
        let node = node.but(|snapshot| {
            snapshot.cgroups_mut()[1].hugetlb_mut()[0].reservation_limit = limit(Some(150));
        });
        node.refused(refused)
    };
    let polls: Vec<Node> = [0, 1, 1, 1, 1].map(java).to_vec();
    let found = findings_through(&polls, APART, "mapping-refused");
    let [found] = &found[..] else { panic!("one: {found:?}") };
    assert_eq!(found.severity, Severity::Info);
    assert_eq!(
        found.sentence,
        "Container java of pod db/pg-0 asked for more 2Mi pages than it may map, was refused by its pod's limit of 300Mi (1 refusal), and goes on without them."
    );
    assert!(findings_through(&polls, APART, "refusals-ambiguous").is_empty());
}

#[test]
fn the_sibling_that_took_more_than_its_own_is_named() {
    let mut polls = crash_loop(16, 3);
    for node in &mut polls {
        *node = node.clone().declares(16).but(|snapshot| {
            let greedy = figures(None, (12, 12));
            for above in snapshot.cgroups_mut().iter_mut().take(2) {
                let hugetlb = &mut above.hugetlb_mut()[0];
                (hugetlb.usage, hugetlb.reserved) = (greedy.usage, greedy.reserved);
            }
            *snapshot = snapshot.clone().with_container(UID, 77, greedy).named(
                UID,
                77,
                ["db", "pg-0", "greedy"],
                0,
            );
            let declared = snapshot.declared.as_mut().expect("declared");
            let pod = &mut std::sync::Arc::make_mut(declared).pods[0];
            let size = crate::snapshot::example::page_size();
            pod.asked =
                ["greedy", "postgres"].map(|name| (name.into(), size, Bytes(8 << 21))).into();
        });
    }
    let found = findings_through(&polls, APART, "mapping-refused");
    let [found] = &found[..] else { panic!("one: {found:?}") };
    assert!(
        found.sentence.contains("of which container greedy holds 24Mi and was granted 16Mi"),
        "{}",
        found.sentence
    );
    let Subject::Tenant(who) = &found.subject else { panic!("a container") };
    assert_eq!(&*who.container, "greedy");
    assert_eq!(
        found.remedy,
        "Set hugepages-2Mi of container greedy to at least 24Mi, or make it map less."
    );
}
