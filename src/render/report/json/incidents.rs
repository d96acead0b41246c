//! What happened to pods lately, on the wire.

use std::sync::Arc;

use serde::Serialize;

use super::killed::{KilledReport, killed};
use super::{Figure, LimitReport, bytes, limit, seconds};
use crate::incidents::{Event, EventKind, Frame, Incident};
use crate::view::View;

/// All incidents of a view, the newest first, indented, with a final newline.
pub fn incidents(view: &View) -> String {
    let report = Report { incidents: view.incidents.iter().map(|it| incident(it)).collect() };
    // Plain structs with text keys always serialise.
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Report {
    incidents: Vec<IncidentReport>,
}

#[derive(Serialize)]
struct IncidentReport {
    namespace: Arc<str>,
    pod: Arc<str>,
    uid: Arc<str>,
    pagesize: String,
    events: Vec<EventReport>,
    frames: Vec<FrameReport>,
}

#[derive(Serialize)]
struct EventReport {
    timestamp_seconds: Option<f64>,
    #[serde(flatten)]
    kind: KindReport,
}

#[derive(Serialize)]
#[serde(untagged)]
enum KindReport {
    Raised { finding: &'static str, severity: String, summary: String },
    Refused { refused: u64 },
    Killed { killed: KilledReport },
}

#[derive(Serialize)]
struct FrameReport {
    timestamp_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    usage_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    reserved_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    limit_bytes: Figure<LimitReport>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    failures: Figure<u64>,
}

fn incident(incident: &Incident) -> IncidentReport {
    IncidentReport {
        namespace: Arc::clone(&incident.pod.namespace),
        pod: Arc::clone(&incident.pod.pod),
        uid: Arc::clone(&incident.pod.uid),
        pagesize: incident.page_size.to_string(),
        events: incident.events.iter().map(event).collect(),
        frames: incident.frames.iter().map(frame).collect(),
    }
}

fn event(event: &Event) -> EventReport {
    let kind = match &event.kind {
        EventKind::Raised { finding, severity, sentence } => KindReport::Raised {
            finding,
            severity: severity.to_string(),
            summary: sentence.clone(),
        },
        EventKind::Refused(refused) => KindReport::Refused { refused: *refused },
        EventKind::Killed(it) => KindReport::Killed { killed: killed(it) },
    };
    EventReport { timestamp_seconds: seconds(event.at), kind }
}

fn frame(frame: &Frame) -> FrameReport {
    FrameReport {
        timestamp_seconds: seconds(frame.at),
        usage_bytes: bytes(frame.usage),
        reserved_bytes: bytes(frame.reserved),
        limit_bytes: limit(frame.limit),
        failures: Figure(frame.failures),
    }
}
