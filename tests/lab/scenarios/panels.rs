//! What the dashboards ask, asked of a Prometheus that has seen the incident.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::harness::{DEADLINE, dashboards};
use crate::monitoring::Prometheus;

/// Panels that rightly have no data there, and why.
const EMPTY: &[(&str, &str)] = &[
    ("Exporters that do not answer", "the only one there is answers"),
    ("Memory too small for huge pages", "huge pages do not count as memory here"),
    ("Limits written, by result", "no guard runs"),
    ("Left alone, by reason", "no guard runs"),
    ("Pods with a limit of the guard", "no guard runs"),
];

/// Asks every panel's every question, and says which get no answer. What takes several scrapes gets its time.
pub fn all_have_data(prometheus: &Prometheus) {
    let mut unanswered = dashboards::queries();
    assert!(unanswered.len() > 50, "there are only {}", unanswered.len());
    let began = Instant::now();
    while began.elapsed() < DEADLINE && unanswered.iter().any(|query| !is_excepted(&query.panel)) {
        unanswered
            .retain(|query| prometheus.answer(&query.expression).is_none_or(|it| it.is_empty()));
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let wrong: Vec<_> = unanswered.iter().filter(|query| !is_excepted(&query.panel)).collect();
    assert!(wrong.is_empty(), "no data: {wrong:#?}");
    let empty: BTreeSet<_> = unanswered.iter().map(|query| query.panel.as_str()).collect();
    let excepted: BTreeSet<_> = EMPTY.iter().map(|(panel, _)| *panel).collect();
    assert_eq!(empty, excepted, "these have data now");
}

fn is_excepted(panel: &str) -> bool {
    EMPTY.iter().any(|(title, _)| *title == panel)
}
