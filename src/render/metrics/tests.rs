//! The exposition of made-up views.

use std::time::Duration;

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
    let poll = Poll { number: 1, duration: Duration::ZERO, process: Reading::Absent };
    View { snapshot, assessment, incidents: Incidents::default(), poll }
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
    let containers = rows.of(Tenants::Containers);
    let labels = |samples: &[proto::Metric]| -> Vec<Vec<proto::LabelPair>> {
        samples.iter().map(|sample| sample.get_label().to_vec()).collect()
    };
    let mut samples = Vec::new();
    containers.lend(Kind::Gauge, |_| Some(1.0), &mut samples);
    let lent = labels(&samples);
    assert_eq!(lent.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    containers.take_back(&mut samples);

    let kinds: Parts = |_, push| ["a", "b"].iter().for_each(|kind| push((*kind).to_owned(), 1.0));
    containers.lend_parts(Kind::Counter, "kind", kinds, &mut samples);
    let with_kinds: Vec<_> = labels(&samples);
    let [first, again] = [0, 1].map(|place| with_kinds[place].split_last().expect("labels"));
    assert_eq!((first.1, again.1), (&*lent[0], &*lent[0]));
    assert_eq!((first.0.value(), again.0.value(), with_kinds.len()), ("a", "b", 4));
    containers.take_back(&mut samples);

    let second: fn(&TenantSize) -> Option<f64> =
        |size| bytes(size.usage).filter(|used| *used > 1.0);
    containers.lend(Kind::Gauge, second, &mut samples);
    assert_eq!(labels(&samples), lent[1..]);
    containers.take_back(&mut samples);
    containers.lend(Kind::Gauge, |_| Some(1.0), &mut samples);
    assert_eq!(labels(&samples), lent);
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
