//! The exposition, from one table of families.
//!
//! A family stands here once: its name, type, help and labels, and the function that collects it. The
//! table makes `/metrics` and docs/METRICS.md. Families are built anew from each view, so no series
//! outlives what it tells of; a figure that is absent or failed is an absent series, never a zero.

mod container;
mod exporter;
mod finding;
mod outlook;
mod pod;
mod pool;
mod probe;
mod reference;
mod service;

use prometheus::TextEncoder;
use prometheus::proto;

use crate::snapshot::{Limit, Reading};
use crate::units::{Bytes, SignedBytes};
use crate::view::View;

pub use reference::reference;

/// The content type of the text format that every Prometheus understands.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric family.
struct Family {
    name: &'static str,
    kind: Kind,
    /// The HELP text: what it is, and the kernel's file.
    help: &'static str,
    labels: &'static [&'static str],
    collect: fn(&View, &mut Samples),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

/// All families, in the order of the exposition.
fn families() -> impl Iterator<Item = &'static Family> {
    [
        pool::FAMILIES,
        pod::FAMILIES,
        container::FAMILIES,
        outlook::FAMILIES,
        finding::FAMILIES,
        service::FAMILIES,
        probe::FAMILIES,
        exporter::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

/// The whole exposition of a view.
pub fn encode(view: &View) -> String {
    let mut text = String::new();
    for family in families() {
        let before = text.len();
        let mut samples = Samples::default();
        (family.collect)(view, &mut samples);
        let family = samples.into_family(family);
        // An empty family is refused by the encoder, and has nothing to say.
        if !family.get_metric().is_empty()
            && TextEncoder::new().encode_utf8(&[family], &mut text).is_err()
        {
            text.truncate(before);
        }
    }
    text
}

/// The samples of one family.
#[derive(Default)]
struct Samples(Vec<(Vec<String>, f64)>);

impl Samples {
    /// Adds a sample; its label values stand in the order of the family's labels.
    fn push<const N: usize>(&mut self, labels: [&str; N], value: f64) {
        self.0.push((labels.map(str::to_owned).to_vec(), value));
    }

    /// Adds a figure in bytes, where there is one.
    fn push_bytes<const N: usize>(&mut self, labels: [&str; N], bytes: Reading<Bytes>) {
        if let Reading::Present(bytes) = bytes {
            self.push(labels, bytes.as_f64());
        }
    }

    /// Adds a difference in bytes, where there is one.
    fn push_signed<const N: usize>(&mut self, labels: [&str; N], bytes: Reading<SignedBytes>) {
        if let Reading::Present(bytes) = bytes {
            self.push(labels, bytes.as_f64());
        }
    }

    /// Adds a limit, where it is finite.
    fn push_limit<const N: usize>(&mut self, labels: [&str; N], limit: Reading<Limit>) {
        if let Some(bytes) = limit.finite() {
            self.push(labels, bytes.as_f64());
        }
    }

    /// Adds a counter, where there is one.
    fn push_count<const N: usize>(&mut self, labels: [&str; N], count: Reading<u64>) {
        if let Reading::Present(count) = count {
            self.push(labels, as_f64(count));
        }
    }

    /// Sorted, and with no label set twice: one duplicate would make Prometheus refuse the whole scrape.
    fn into_family(mut self, family: &Family) -> proto::MetricFamily {
        self.0.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.0.dedup_by(|(later, _), (earlier, _)| later == earlier);
        let metrics =
            self.0.into_iter().map(|(values, value)| metric(family, values, value)).collect();
        let mut proto = proto::MetricFamily::default();
        proto.set_name(family.name.to_owned());
        proto.set_help(family.help.to_owned());
        proto.set_field_type(match family.kind {
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Counter => proto::MetricType::COUNTER,
        });
        proto.set_metric(metrics);
        proto
    }
}

fn metric(family: &Family, values: Vec<String>, value: f64) -> proto::Metric {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let label = |(name, value): (&&str, String)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric =
        proto::Metric::from_label(family.labels.iter().zip(values).map(label).collect());
    match family.kind {
        Kind::Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
    }
    metric
}

/// A count as a sample. Exact up to 2^53; a counter beyond wraps no earlier than Prometheus' own do.
#[expect(clippy::cast_precision_loss, reason = "a sample is an f64")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
