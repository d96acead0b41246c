//! The findings that changed with a poll, in the log.

use crate::assessment::{Changes, Finding, Severity};

/// One poll logs at most so many.
const MOST_LINES: usize = 20;

/// A finding is logged once when it is raised, with its figures, once when its severity changes, and once when it is
/// cleared. Of many at once the gravest are, and the others counted.
pub(super) fn log(changes: &Changes) {
    let raised = changes.raised.iter().map(|finding| (finding, String::new()));
    let changed = changes.changed.iter();
    let changed = changed.map(|finding| (finding, format!("now {}: ", finding.severity)));
    let mut standing: Vec<(&Finding, String)> = raised.chain(changed).collect();
    standing.sort_by_key(|(finding, _)| finding.severity);
    for (finding, before) in standing.iter().take(MOST_LINES) {
        log_standing(finding, before);
    }
    for finding in changes.cleared.iter().take(MOST_LINES.saturating_sub(standing.len())) {
        tracing::info!(finding = finding.name, "cleared: {}", finding.sentence);
    }
    let more = (standing.len() + changes.cleared.len()).saturating_sub(MOST_LINES);
    if more > 0 {
        tracing::warn!("and {more} more findings were raised, changed or cleared by this poll");
    }
}

fn log_standing(finding: &Finding, before: &str) {
    let figures: Vec<String> =
        finding.figures.iter().map(|figure| format!("{}={}", figure.name, figure.value)).collect();
    let (name, figures) = (finding.name, figures.join(" "));
    let (sentence, remedy) = (&finding.sentence, &finding.remedy);
    match finding.severity {
        Severity::Critical => {
            tracing::error!(finding = name, figures, remedy, "{before}{sentence}");
        }
        Severity::Warning => {
            tracing::warn!(finding = name, figures, remedy, "{before}{sentence}");
        }
        Severity::Info => tracing::info!(finding = name, figures, remedy, "{before}{sentence}"),
    }
}
