//! The exposition of made-up views.

use std::time::Duration;

use super::rows::Piece;
use super::samples::bytes;
use super::*;
use crate::assessment::{Thresholds, assess};
use crate::history::{History, Retention};
use crate::incidents::Incidents;
use crate::snapshot::example::{hugetlb, node};
use crate::snapshot::{Reading, Snapshot};
use crate::view::Poll;

fn view(snapshot: Snapshot) -> View {
    let mut history = History::new(Retention { hold_back: Duration::ZERO, ..Retention::default() });
    history.update(&snapshot);
    let assessment = assess(&snapshot, &history, &Thresholds::default());
    let poll = Poll {
        number: 1,
        woken: 0,
        log_lines_lost: 0,
        events: None,
        duration: Duration::ZERO,
        next: Duration::ZERO,
        process: Reading::Absent,
    };
    View {
        node: None,
        snapshot,
        assessment: assessment.into(),
        incidents: Incidents::default(),
        poll,
    }
}

fn exposition(snapshot: Snapshot) -> String {
    encode(&view(snapshot))
}

#[test]
fn names_that_run_together_the_same_way_stay_two_series() {
    // A hash of label values without a separator takes these two for one.
    let text = exposition(
        node(Duration::ZERO)
            .with_container("u1", 1, hugetlb(1, 0))
            .with_container("u2", 2, hugetlb(2, 0))
            .named("u1", 1, ["ab", "c", "x"], 0)
            .named("u2", 2, ["a", "bc", "x"], 0),
    );
    let usage = |labels: &str, value| {
        text.contains(&format!(
            "hugetlb_container_usage_bytes{{{labels},pagesize=\"2Mi\"}} {value}\n"
        ))
    };
    assert!(usage("namespace=\"ab\",pod=\"c\",container=\"x\",uid=\"u1\"", 1), "{text}");
    assert!(usage("namespace=\"a\",pod=\"bc\",container=\"x\",uid=\"u2\"", 2), "{text}");
}

#[test]
fn a_label_set_that_comes_twice_is_sent_once() {
    let same = node(Duration::ZERO).with("/a", hugetlb(1, 0)).with("/a", hugetlb(2, 0));
    let lines = exposition(same)
        .lines()
        .filter(|line| line.starts_with("hugetlb_cgroup_usage_bytes{"))
        .count();
    assert_eq!(lines, 1, "Prometheus refuses a scrape with a duplicate");
}

#[test]
fn what_one_family_adds_to_the_labels_lent_to_it_the_next_does_not_have() {
    let view = view(node(Duration::ZERO).with_container("u1", 1, hugetlb(1, 0)).with_container(
        "u2",
        2,
        hugetlb(2, 0),
    ));
    let mut rows = AllRows::new(&view);
    let labels = |samples: &[proto::Metric]| -> Vec<Vec<proto::LabelPair>> {
        samples.iter().map(|sample| sample.get_label().to_vec()).collect()
    };
    let mut lend = |lend: &dyn Fn(&mut Piece<'_, '_>, &mut Vec<proto::Metric>)| {
        let mut lent = Vec::new();
        rows.of(Tenants::Containers).each_piece(|mut piece| {
            let mut samples = Vec::new();
            lend(&mut piece, &mut samples);
            lent = labels(&samples);
            piece.take_back(&mut samples);
        });
        lent
    };
    let plain = lend(&|piece, samples| piece.lend(Kind::Gauge, |_| Some(1.0), samples));
    assert_eq!(plain.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);

    let kinds: Parts = |_, push| ["a", "b"].iter().for_each(|kind| push((*kind).to_owned(), 1.0));
    let parts = lend(&|piece, samples| piece.lend_parts(Kind::Counter, "kind", kinds, samples));
    let [first, again] = [0, 1].map(|place| parts[place].split_last().expect("labels"));
    assert_eq!((first.1, again.1), (&*plain[0], &*plain[0]));
    assert_eq!((first.0.value(), again.0.value(), parts.len()), ("a", "b", 4));

    let second: fn(&TenantSize) -> Option<f64> =
        |size| bytes(size.usage).filter(|used| *used > 1.0);
    assert_eq!(lend(&|piece, samples| piece.lend(Kind::Gauge, second, samples)), plain[1..]);
    assert_eq!(lend(&|piece, samples| piece.lend(Kind::Gauge, |_| Some(1.0), samples)), plain);
}

#[test]
fn a_family_that_comes_in_pieces_has_one_head() {
    // By name they are in another order than by UID.
    let many = (0..500).fold(node(Duration::ZERO), |node, number| {
        let (uid, pod) = (format!("u{number:03}"), format!("p{:03}", 999 - number));
        node.with_container(&uid, number, hugetlb(number + 1, number)).named(
            &uid,
            number,
            ["n", &pod, "c"],
            0,
        )
    });
    let text = exposition(many);
    for family in families() {
        let heads = [format!("# HELP {} ", family.name), format!("# TYPE {} ", family.name)];
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.split([' ', '{']).any(|word| word == family.name))
            .collect();
        let [help, kind, samples @ ..] = &*lines else { continue };
        assert!(help.starts_with(&heads[0]) && kind.starts_with(&heads[1]), "{help}\n{kind}");
        assert!(samples.iter().all(|line| line.starts_with(family.name)), "{}", family.name);
        assert!(samples.is_sorted(), "{}", family.name);
    }
    let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("hugetlb_container_usage_bytes{"), 500);
    assert_eq!(of("hugetlb_container_info{"), 500);
    assert_eq!(of("hugetlb_container_classified_failures_total{"), 1500);
}

#[test]
fn every_family_is_named_and_labelled_as_prometheus_wants() {
    for family in families() {
        let plain = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(
            plain(family.name) && family.labels.iter().all(|label| plain(label)),
            "{}",
            family.name
        );
        assert_eq!(
            family.kind == Kind::Counter,
            family.name.ends_with("_total"),
            "{}",
            family.name
        );
        assert!(
            family.help.ends_with('.') && !family.help.contains('|'),
            "{}: {}",
            family.name,
            family.help
        );
    }
}

#[test]
fn a_family_without_samples_is_not_sent() {
    assert!(!exposition(node(Duration::ZERO)).contains("hugetlb_pod_"));
}
