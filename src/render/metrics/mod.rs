//! The exposition, from one table of families.
//!
//! A family stands here once: its name, type, help and labels, and the function that collects it. The
//! table makes `/metrics` and docs/METRICS.md. Families are built anew from each view, so no series
//! outlives what it tells of; a figure that is absent or failed is an absent series, never a zero.
//!
//! Most series tell of pods and containers, and most of the work would be their labels: [`rows`] makes them once.

mod container;
mod exporter;
mod finding;
mod outlook;
mod pod;
mod pool;
mod probe;
mod reference;
mod rows;
mod samples;
mod service;

use std::slice;

use prometheus::TextEncoder;
use prometheus::proto;

use crate::assessment::TenantSize;
use crate::view::View;

pub use reference::reference;
use rows::{AllRows, Parts, Tenants};
use samples::Samples;

/// The content type of the text format that every Prometheus understands.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric family.
struct Family {
    name: &'static str,
    kind: Kind,
    /// The HELP text: what it is, and the kernel's file.
    help: &'static str,
    labels: &'static [&'static str],
    collect: Collect,
}

/// Where a family's samples come from.
#[derive(Clone, Copy)]
enum Collect {
    /// From anywhere in the view, with labels made for this family alone.
    Own(fn(&View, &mut Samples)),
    /// One of each tenant and page size that has the figure.
    Figure(Tenants, fn(&TenantSize) -> Option<f64>),
    /// Some of each tenant and page size, told apart by the last label.
    Parts(Tenants, Parts),
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
    encode_by_family(view, &mut |family| text.push_str(family));
    text
}

/// The exposition of a view, family after family out of one buffer, so that it never is there as a whole.
pub fn encode_by_family(view: &View, take: &mut dyn FnMut(&str)) {
    let mut rows = AllRows::new(view);
    let mut proto = proto::MetricFamily::default();
    let mut text = String::new();
    for family in families() {
        family.collect(view, &mut rows, proto.mut_metric());
        // An empty family is refused by the encoder, and has nothing to say.
        if !proto.get_metric().is_empty() {
            proto.set_name(family.name.to_owned());
            proto.set_help(family.help.to_owned());
            proto.set_field_type(match family.kind {
                Kind::Gauge => proto::MetricType::GAUGE,
                Kind::Counter => proto::MetricType::COUNTER,
            });
            text.clear();
            if TextEncoder::new().encode_utf8(slice::from_ref(&proto), &mut text).is_ok() {
                take(&text);
            }
        }
        family.give_back(&mut rows, proto.mut_metric());
    }
}

impl Family {
    /// Its samples, in the order of their labels, none of which comes twice.
    fn collect(&'static self, view: &View, rows: &mut AllRows, samples: &mut Vec<proto::Metric>) {
        match self.collect {
            Collect::Own(collect) => {
                let mut own = Samples::new(self, samples);
                collect(view, &mut own);
                own.finish();
            }
            Collect::Figure(tenants, figure) => rows.of(tenants).lend(self.kind, figure, samples),
            Collect::Parts(tenants, parts) => {
                let label = self.labels.last().copied().unwrap_or_default();
                rows.of(tenants).lend_parts(self.kind, label, parts, samples);
            }
        }
    }

    /// The end of its samples, whose labels may be another family's as well.
    fn give_back(&self, rows: &mut AllRows, samples: &mut Vec<proto::Metric>) {
        match self.collect {
            Collect::Own(_) => samples.clear(),
            Collect::Figure(tenants, _) | Collect::Parts(tenants, _) => {
                rows.of(tenants).take_back(samples);
            }
        }
    }
}

#[cfg(test)]
mod tests;
