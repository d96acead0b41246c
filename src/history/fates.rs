//! One container is one container, in whatever order its instances live, are refused, end and get their names.

use proptest::prelude::*;

use super::*;
use crate::snapshot::example::{hugetlb, node, page_size};

/// What happens to one instance, by poll.
#[derive(Debug, Clone)]
struct Fate {
    comes: u64,
    refused: u64,
    times: u64,
    ends: u64,
    /// When its log link is seen, which may be long after its end, or never.
    named: Option<u64>,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..30_u64, 0..4_u64, 0..4_u64, 1..5_u64, proptest::option::of(0..10_u64));
    let fate = fate.prop_map(|(comes, refused, times, lives, named)| Fate {
        comes,
        refused: comes + refused.min(lives - 1),
        times,
        ends: comes + lives,
        named: named.map(|after| comes + after),
    });
    proptest::collection::vec(fate, 1..12)
}

/// What is reported of the container by its name, of those without one, and of its pod.
fn told(fates: &[Fate], polls: u64) -> (u64, u64, u64) {
    let mut history = History::new(Retention::default());
    for poll in 0..polls {
        // Every refusal is in the pod's count.
        let counted = |fate: &Fate| if fate.refused <= poll { fate.times } else { 0 };
        let in_pod = fates.iter().map(counted).sum();
        let mut snapshot = node(Duration::from_secs(2 * poll));
        snapshot = snapshot.with("/kubepods/podu", hugetlb(0, in_pod));
        for (number, fate) in (1..).zip(fates) {
            if (fate.comes..fate.ends).contains(&poll) {
                snapshot = snapshot.with_container("u", number, hugetlb(0, counted(fate)));
            }
            if fate.named.is_some_and(|named| named <= poll) {
                let attempt = u32::try_from(number).expect("few");
                snapshot = snapshot.named("u", number, ["ns", "db", "c"], attempt);
            }
        }
        history.update(&snapshot);
    }
    let all = history.all_past().map(|(key, sizes)| {
        assert_eq!(&*key.container, "c", "nobody is called by an id");
        sizes.map(|(_, tally)| tally.failures).sum::<u64>()
    });
    let named = all.sum();
    let nameless = history.nameless().map(|(.., tally)| tally.failures).sum();
    let pod = history.pod("/kubepods/podu", page_size()).map(|(tally, _)| tally);
    let pod = pod.map(|tally| tally.refusals.faults + tally.refusals.ambiguous);
    (named, nameless, pod.unwrap_or_default())
}

proptest! {
    #[test]
    fn an_instance_counts_once_whenever_its_name_comes(fates in fates()) {
        let (named, nameless, pod) = told(&fates, 60);
        let sum = |of: &dyn Fn(&Fate) -> bool| -> u64 {
            // An instance that is there when we come may have been refused long ago; that counts too.
            fates.iter().filter(|fate| of(fate)).map(|fate| fate.times).sum()
        };
        prop_assert_eq!(named, sum(&|fate| fate.named.is_some()));
        prop_assert_eq!(nameless, sum(&|fate| fate.named.is_none()));
        prop_assert_eq!(pod, 0, "the pod repeats nothing");
    }
}

#[test]
fn however_many_are_gone_a_living_pod_keeps_its_counts() {
    let mut history = History::new(Retention { most_dead: 16, ..Retention::default() });
    for round in 0..100_u64 {
        let mut snapshot = node(Duration::from_secs(round));
        snapshot = snapshot.with("/kubepods/podlives", hugetlb(0, 1));
        if round == 0 {
            snapshot = snapshot.with_container("lives", 1, hugetlb(0, 1));
            snapshot = snapshot.named("lives", 1, ["ns", "lives", "init"], 0);
        }
        let uid = format!("u{round}");
        snapshot = snapshot.with(&format!("/kubepods/pod{uid}"), hugetlb(0, 1));
        history.update(&snapshot.with_container(&uid, 1_000 + round, hugetlb(0, 1)));
    }
    let kept = history.all_past().any(|(key, _)| &*key.container == "init");
    assert!(kept, "it is of a pod that is there");
    assert!(history.past.len() <= 18, "{}", history.past.len());
}
