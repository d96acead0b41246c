//! Samples as the encoder takes them.

use prometheus::proto;

use super::rows::PIECE;
use super::{Encoder, Family, Kind};
use crate::snapshot::{Limit, Reading};
use crate::units::{Bytes, SignedBytes};

/// The samples of a family whose labels are its own.
pub(super) struct Samples<'e, 'a> {
    family: &'static Family,
    encoder: &'e mut Encoder<'a>,
}

impl<'e, 'a> Samples<'e, 'a> {
    /// None yet, to be passed on there.
    pub(super) fn new(family: &'static Family, encoder: &'e mut Encoder<'a>) -> Self {
        Self { family, encoder }
    }

    /// Adds a sample; its label values stand in the order of the family's labels.
    pub(super) fn push<const N: usize>(&mut self, values: [&str; N], value: f64) {
        debug_assert_eq!(self.family.labels.len(), N, "{}", self.family.name);
        let mut metric = labelled(self.family.labels, values.into_iter());
        self.family.kind.set(&mut metric, value);
        self.encoder.samples().push(metric);
    }

    /// Adds a sample whose labels come after those of all before it: the samples of thousands are passed on piece by
    /// piece, and never there at once.
    pub(super) fn push_in_order<const N: usize>(&mut self, values: [&str; N], value: f64) {
        if self.encoder.samples().len() >= PIECE {
            self.pass_on();
        }
        self.push(values, value);
        debug_assert!(self.encoder.samples().is_sorted_by(is_before), "{}", self.family.name);
    }

    /// Adds a sample, where there is one.
    pub(super) fn push_some<const N: usize>(&mut self, values: [&str; N], value: Option<f64>) {
        if let Some(value) = value {
            self.push(values, value);
        }
    }

    /// Sorts them, leaves no label set twice, and passes them on.
    pub(super) fn pass_on(&mut self) {
        sort_unique(self.encoder.samples(), |metric| metric);
        self.encoder.pass_on();
        self.encoder.samples().clear();
    }
}

/// A sample that has its labels and no value yet, with room for one more label.
pub(super) fn labelled<'a>(names: &[&str], values: impl Iterator<Item = &'a str>) -> proto::Metric {
    let mut pairs = Vec::with_capacity(names.len() + 1);
    pairs.extend(names.iter().zip(values).map(|(name, value)| pair(name, value.to_owned())));
    proto::Metric::from_label(pairs)
}

pub(super) fn pair(name: &str, value: String) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

/// By label values, and no label set twice: one duplicate would make Prometheus refuse the whole scrape.
pub(super) fn sort_unique<T>(samples: &mut Vec<T>, metric: impl Fn(&T) -> &proto::Metric) {
    samples.sort_by(|left, right| values(metric(left)).cmp(values(metric(right))));
    samples.dedup_by(|later, earlier| values(metric(later)).eq(values(metric(earlier))));
}

fn is_before(earlier: &proto::Metric, later: &proto::Metric) -> bool {
    values(earlier).lt(values(later))
}

fn values(metric: &proto::Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(proto::LabelPair::value)
}

impl Kind {
    /// Gives a sample its value.
    pub(super) fn set(self, metric: &mut proto::Metric, value: f64) {
        match self {
            Self::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Self::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
        }
    }
}

/// A figure in bytes, where there is one.
pub(super) fn bytes(bytes: Reading<Bytes>) -> Option<f64> {
    bytes.present().map(Bytes::as_f64)
}

/// A difference in bytes, where there is one.
pub(super) fn signed(bytes: Reading<SignedBytes>) -> Option<f64> {
    bytes.present().map(SignedBytes::as_f64)
}

/// A limit, where it is finite.
pub(super) fn limit(limit: Reading<Limit>) -> Option<f64> {
    limit.finite().map(Bytes::as_f64)
}

/// A counter, where there is one.
pub(super) fn count(count: Reading<u64>) -> Option<f64> {
    count.present().map(as_f64)
}

/// A count as a sample. Exact up to 2^53; a counter beyond wraps no earlier than Prometheus' own do.
#[expect(clippy::cast_precision_loss, reason = "a sample is an f64")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
