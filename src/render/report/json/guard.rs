//! The guard on the wire.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::render::guard::{action, mode, reason, refuse, result};
use crate::snapshot::Guard;

#[derive(Serialize)]
pub(super) struct GuardReport {
    mode: &'static str,
    refuse: &'static str,
    rescue: bool,
    rescue_bound: bool,
    excluded_namespaces: BTreeSet<String>,
    writes: Vec<WritesReport>,
}

#[derive(Serialize)]
struct WritesReport {
    action: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    count: u64,
}

pub(super) fn guard(guard: &Guard) -> GuardReport {
    let (report, policy) = (&guard.report, &guard.report.policy);
    let writes = report.writes.iter().map(|it| WritesReport {
        action: action(it.action),
        result: result(it.result),
        reason: it.reason.map(reason),
        count: it.count,
    });
    GuardReport {
        mode: mode(report),
        refuse: refuse(policy.refuse),
        rescue: policy.rescue,
        rescue_bound: policy.rescue_bound,
        excluded_namespaces: policy.excluded_namespaces.clone(),
        writes: writes.collect(),
    }
}
