//! Findings, and the figures of theirs that alerts name.

use std::collections::BTreeMap;

use super::samples::{Samples, as_f64};
use super::{Collect, Family, Kind};
use crate::assessment::{Finding, Identity, REQUIRED_LIMIT, SHORTFALL, Subject};
use crate::view::View;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_finding",
        kind: Kind::Gauge,
        help: "1 while a finding holds; docs/findings.md says what each means. The identity labels are empty where it is about the node, cgroup is set where it is about one that is no pod.",
        labels: &[
            "finding",
            "severity",
            "namespace",
            "pod",
            "container",
            "uid",
            "cgroup",
            "pagesize",
        ],
        collect: Collect::Own(|view, samples| {
            for finding in &view.assessment.findings {
                let [name, who @ ..] = &labels(finding);
                let severity = finding.severity.to_string();
                let [namespace, pod, container, uid, cgroup, page_size] = who.each_ref();
                samples.push(
                    [name, &severity, namespace, pod, container, uid, cgroup, page_size],
                    1.0,
                );
            }
        }),
    },
    Family {
        name: "hugetlb_muted_findings",
        kind: Kind::Gauge,
        help: "Findings that are found and not raised, since a flag or the pod's annotation mutes them; the page and the report list them.",
        labels: &["finding"],
        collect: Collect::Own(|view, samples| {
            let mut counts = BTreeMap::new();
            for finding in &view.assessment.muted {
                *counts.entry(finding.name).or_insert(0_u64) += 1;
            }
            for (name, count) in counts {
                samples.push([name], as_f64(count));
            }
        }),
    },
    Family {
        name: "hugetlb_finding_shortfall_bytes",
        kind: Kind::Gauge,
        help: "What is missing, while a finding holds that tells it: will-crash, memory-short (of memory), pool-short, numa-short.",
        labels: LABELS,
        collect: Collect::Own(|view, samples| figures(view, SHORTFALL, samples)),
    },
    Family {
        name: "hugetlb_finding_required_limit_bytes",
        kind: Kind::Gauge,
        help: "The limit that would be enough for what is mapped, while a finding holds whose remedy is to raise one: will-crash, faults-refused, memory-short (the limit of memory).",
        labels: LABELS,
        collect: Collect::Own(|view, samples| figures(view, REQUIRED_LIMIT, samples)),
    },
];

const LABELS: &[&str] = &["finding", "namespace", "pod", "container", "uid", "cgroup", "pagesize"];

fn figures(view: &View, name: &str, samples: &mut Samples) {
    for finding in &view.assessment.findings {
        if let Some(figure) = finding.figures.iter().find(|figure| figure.name == name) {
            let labels = labels(finding);
            samples.push(labels.each_ref().map(String::as_str), as_f64(figure.value));
        }
    }
}

fn labels(finding: &Finding) -> [String; 7] {
    let nobody = Identity::default();
    let (who, cgroup) = match &finding.subject {
        Subject::Node => (&nobody, ""),
        Subject::Tenant(who) => (who, ""),
        Subject::Cgroup(path) => (&nobody, path.as_str()),
    };
    let page_size = finding.page_size.map(|size| size.to_string()).unwrap_or_default();
    [finding.name, &who.namespace, &who.pod, &who.container, &who.uid, cgroup, &page_size]
        .map(str::to_owned)
}
