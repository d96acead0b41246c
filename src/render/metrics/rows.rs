//! Tenants by page size: what most series tell of. Their labels are made once for all families that share them,
//! and lent to one family after the other.

use std::mem;

use prometheus::proto;

use super::Kind;
use super::samples::{labelled, pair, sort_unique};
use crate::assessment::TenantSize;
use crate::view::View;

/// Whose rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tenants {
    Pods,
    Containers,
    Services,
}

/// The labels of a pod's series.
pub(super) const POD: &[&str] = &["namespace", "pod", "uid", "pagesize"];

/// The labels of a container's series.
pub(super) const CONTAINER: &[&str] = &["namespace", "pod", "container", "uid", "pagesize"];

/// The labels of a service's series.
pub(super) const SERVICE: &[&str] = &["cgroup", "pagesize"];

/// Tells a row's samples: what the label that is their own says, and the value. In the order of that label.
pub(super) type Parts = fn(&TenantSize, &mut dyn FnMut(String, f64));

/// The rows of all tenants of a view.
pub(super) struct AllRows<'a> {
    pods: Rows<'a>,
    containers: Rows<'a>,
    services: Rows<'a>,
}

impl<'a> AllRows<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        let [mut pods, mut containers, mut services] = [POD, CONTAINER, SERVICE].map(Rows::new);
        for pod in &view.assessment.pods {
            let who = &pod.identity;
            pods.add(&[&who.namespace, &who.pod, &who.uid], &pod.sizes);
        }
        for container in &view.assessment.containers {
            let who = &container.identity;
            let names = [&*who.namespace, &who.pod, &who.container, &who.uid];
            containers.add(&names, &container.sizes);
        }
        for service in &view.assessment.services {
            services.add(&[&service.cgroup], &service.sizes);
        }
        Self { pods: pods.sorted(), containers: containers.sorted(), services: services.sorted() }
    }

    pub(super) fn of(&mut self, tenants: Tenants) -> &mut Rows<'a> {
        match tenants {
            Tenants::Pods => &mut self.pods,
            Tenants::Containers => &mut self.containers,
            Tenants::Services => &mut self.services,
        }
    }
}

/// In the order of their labels, none of which comes twice: so is every family made of them.
pub(super) struct Rows<'a> {
    labels: &'static [&'static str],
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    size: &'a TenantSize,
    /// Has the labels, and the value of the family that it was last lent to. Empty while it is lent.
    metric: proto::Metric,
    /// How many samples a family has of it.
    lent: usize,
}

/// So many samples are passed on at a time: enough to make their text in few pieces, few enough to hold little of it.
pub(super) const PIECE: usize = 128;

/// Some rows that follow one another.
pub(super) struct Piece<'r, 'a> {
    /// How many labels each has.
    labels: usize,
    rows: &'r mut [Row<'a>],
}

impl<'a> Rows<'a> {
    fn new(labels: &'static [&'static str]) -> Self {
        Self { labels, rows: Vec::new() }
    }

    fn add(&mut self, who: &[&str], sizes: &'a [TenantSize]) {
        for size in sizes {
            let page_size = size.page_size.to_string();
            let metric = labelled(self.labels, who.iter().copied().chain([&*page_size]));
            self.rows.push(Row { size, metric, lent: 0 });
        }
    }

    fn sorted(mut self) -> Self {
        sort_unique(&mut self.rows, |row| &row.metric);
        self
    }

    /// Does this with all rows, piece by piece.
    pub(super) fn each_piece(&mut self, mut with: impl FnMut(Piece<'_, 'a>)) {
        for rows in self.rows.chunks_mut(PIECE) {
            with(Piece { labels: self.labels.len(), rows });
        }
    }
}

impl Piece<'_, '_> {
    /// Lends a family those rows that have its figure.
    pub(super) fn lend(
        &mut self,
        kind: Kind,
        figure: fn(&TenantSize) -> Option<f64>,
        samples: &mut Vec<proto::Metric>,
    ) {
        for row in &mut *self.rows {
            if let Some(value) = figure(row.size) {
                let mut metric = mem::take(&mut row.metric);
                kind.set(&mut metric, value);
                samples.push(metric);
                row.lent = 1;
            }
        }
    }

    /// Lends a family those rows that have parts of it, and copies of them for all parts but the first.
    pub(super) fn lend_parts(
        &mut self,
        kind: Kind,
        label: &str,
        parts: Parts,
        samples: &mut Vec<proto::Metric>,
    ) {
        for Row { size, metric, lent } in &mut *self.rows {
            parts(size, &mut |part, value| {
                let mut labels = match samples.last() {
                    Some(earlier) if *lent > 0 => {
                        let before = earlier.get_label().last().map(proto::LabelPair::value);
                        debug_assert!(before < Some(&part), "{part} is not in its order");
                        copied(earlier, self.labels)
                    }
                    _ => metric.take_label(),
                };
                labels.push(pair(label, part));
                let mut sample = proto::Metric::from_label(labels);
                kind.set(&mut sample, value);
                samples.push(sample);
                *lent += 1;
            });
        }
    }

    /// Takes back what it lent.
    pub(super) fn take_back(self, samples: &mut Vec<proto::Metric>) {
        let mut samples = samples.drain(..);
        for row in &mut *self.rows {
            let mut own = samples.by_ref().take(mem::take(&mut row.lent));
            if let Some(mut metric) = own.next() {
                let mut labels = metric.take_label();
                labels.truncate(self.labels);
                metric.set_label(labels);
                row.metric = metric;
            }
            own.for_each(drop);
        }
    }
}

/// So many of a sample's labels, and room for one more.
fn copied(sample: &proto::Metric, labels: usize) -> Vec<proto::LabelPair> {
    let mut copy = Vec::with_capacity(labels + 1);
    copy.extend(sample.get_label().iter().take(labels).cloned());
    copy
}
