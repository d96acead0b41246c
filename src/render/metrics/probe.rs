//! What the touch-probe found.

use std::time::SystemTime;

use super::samples::as_f64;
use super::{Collect, Family, Kind};
use crate::snapshot::Probes;
use crate::view::View;

const LABELS: &[&str] = &["target", "pagesize"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_probe_enforced",
        kind: Kind::Gauge,
        help: "Whether a limit refused what it must refuse when it was last tried: 1 or 0, absent where it could not be told or nothing has to be refused. fault: the touch of a page; reserve: the mapping of pages (0 is how kubelets before 1.29 are: a mapping that is too large succeeds, and its touch kills).",
        labels: &["target", "check", "pagesize"],
        collect: Collect::Own(|view, samples| {
            each(view, |probes, target| {
                for ((page_size, check), probed) in &probes.results {
                    if let Some(enforced) = probed.verdict.is_enforced() {
                        let labels = [target, &check.to_string(), &page_size.to_string()];
                        samples.push(labels, if enforced { 1.0 } else { 0.0 });
                    }
                }
            });
        }),
    },
    Family {
        name: "hugetlb_probe_runs_total",
        kind: Kind::Counter,
        help: "Checks of the touch-probe since the start, by what they showed: enforced, not_enforced, not_applicable, inconclusive.",
        labels: &["target", "check", "verdict", "pagesize"],
        collect: Collect::Own(|view, samples| {
            each(view, |probes, target| {
                for ((page_size, check, verdict), runs) in &probes.runs {
                    let (check, verdict) = (check.to_string(), verdict.to_string());
                    let labels = [target, &check, &verdict, &page_size.to_string()];
                    samples.push(labels, as_f64(*runs));
                }
            });
        }),
    },
    Family {
        name: "hugetlb_probe_last_run_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the touch-probe last ended, whatever it showed.",
        labels: LABELS,
        collect: Collect::Own(|view, samples| {
            each(view, |probes, target| {
                for (page_size, last) in &probes.last {
                    let time = last.ended.wall.duration_since(SystemTime::UNIX_EPOCH);
                    let seconds = time.unwrap_or_default().as_secs_f64();
                    samples.push([target, &page_size.to_string()], seconds);
                }
            });
        }),
    },
    Family {
        name: "hugetlb_probe_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the last touch-probe took, both checks together.",
        labels: LABELS,
        collect: Collect::Own(|view, samples| {
            each(view, |probes, target| {
                for (page_size, last) in &probes.last {
                    samples.push([target, &page_size.to_string()], last.took.as_secs_f64());
                }
            });
        }),
    },
];

fn each(view: &View, push: impl FnOnce(&Probes, &str)) {
    if let Some(probes) = &view.snapshot.probes {
        push(probes, &probes.target.to_string());
    }
}
