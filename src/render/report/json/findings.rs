//! Findings on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::assessment::{Finding, Subject};

#[derive(Serialize, Default)]
pub(super) struct FindingReport {
    finding: &'static str,
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagesize: Option<String>,
    summary: String,
    remedy: String,
    figures: BTreeMap<&'static str, u64>,
}

pub(super) fn finding(finding: &Finding) -> FindingReport {
    let report = FindingReport {
        finding: finding.name,
        severity: finding.severity.to_string(),
        pagesize: finding.page_size.map(|size| size.to_string()),
        summary: finding.sentence.clone(),
        remedy: finding.remedy.clone(),
        figures: finding.figures.iter().map(|figure| (figure.name, figure.value)).collect(),
        ..FindingReport::default()
    };
    match &finding.subject {
        Subject::Node => report,
        Subject::Tenant(who) => FindingReport {
            namespace: Some(who.namespace.clone()),
            pod: Some(who.pod.clone()),
            container: Some(who.container.clone()).filter(|container| !container.is_empty()),
            uid: Some(who.uid.clone()),
            ..report
        },
        Subject::Cgroup(path) => FindingReport { cgroup: Some(path.as_str().into()), ..report },
    }
}
