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
mod guard;
mod memory;
mod outlook;
mod pod;
mod pool;
mod probe;
mod reference;
mod rows;
mod samples;
mod service;
mod signals;

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
        memory::FAMILIES,
        signals::FAMILIES,
        finding::FAMILIES,
        service::FAMILIES,
        probe::FAMILIES,
        guard::FAMILIES,
        exporter::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

/// The whole exposition of a view.
pub fn encode(view: &View) -> String {
    let mut text = String::new();
    encode_in_pieces(view, &mut |piece| text.push_str(piece));
    text
}

/// The exposition of a view, piece by piece out of one buffer, so that it never is there as a whole.
pub fn encode_in_pieces(view: &View, take: &mut dyn FnMut(&str)) {
    let mut rows = AllRows::new(view);
    let mut encoder = Encoder { proto: proto::MetricFamily::default(), text: String::new(), take };
    for family in families() {
        encoder.begin(family);
        match family.collect {
            Collect::Own(collect) => {
                let mut samples = Samples::new(family, &mut encoder);
                collect(view, &mut samples);
                samples.pass_on();
            }
            Collect::Figure(tenants, figure) => rows.of(tenants).each_piece(|mut piece| {
                piece.lend(family.kind, figure, encoder.samples());
                encoder.pass_on();
                piece.take_back(encoder.samples());
            }),
            Collect::Parts(tenants, parts) => rows.of(tenants).each_piece(|mut piece| {
                let label = family.labels.last().copied().unwrap_or_default();
                piece.lend_parts(family.kind, label, parts, encoder.samples());
                encoder.pass_on();
                piece.take_back(encoder.samples());
            }),
        }
    }
}

/// The encoder of the text format, and what it needs again and again.
struct Encoder<'a> {
    proto: proto::MetricFamily,
    text: String,
    take: &'a mut dyn FnMut(&str),
}

impl Encoder<'_> {
    /// Begins a family. There are no samples.
    fn begin(&mut self, family: &Family) {
        self.proto.set_name(family.name.to_owned());
        self.proto.set_help(family.help.to_owned());
        self.proto.set_field_type(match family.kind {
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Counter => proto::MetricType::COUNTER,
        });
    }

    /// The family's samples, or the next of them, in the order of their labels, none of which comes twice.
    fn samples(&mut self) -> &mut Vec<proto::Metric> {
        self.proto.mut_metric()
    }

    /// Passes the samples on as text, the family's first ones below its help and type.
    fn pass_on(&mut self) {
        // An empty family is refused by the encoder, and has nothing to say.
        if self.proto.get_metric().is_empty() {
            return;
        }
        self.text.clear();
        let encoded = TextEncoder::new().encode_utf8(slice::from_ref(&self.proto), &mut self.text);
        let is_first = !self.proto.help().is_empty();
        match self.text.split_once('\n') {
            Some(_) if is_first && encoded.is_ok() => (self.take)(&self.text),
            // Without a help it begins with the type, which was said.
            Some((_, samples)) if encoded.is_ok() => (self.take)(samples),
            _ => {}
        }
        self.proto.set_help(String::new());
    }
}

#[cfg(test)]
mod tests;
