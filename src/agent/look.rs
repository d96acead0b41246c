//! A report's look at the node: once more, without the loop.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::kubelet;
use crate::assessment::{Findings, Thresholds, assess};
use crate::history::{History, Retention};
use crate::incidents::Incidents;
use crate::snapshot::{Reading, Taken};
use crate::sources::{Aside, Endpoint, Reader, Roots, scan_mappings, scan_names};
use crate::view::{Poll, View};

/// What a report is to be made of.
#[derive(Debug)]
pub struct Looking {
    /// What the node is called, where that is known.
    pub node: Option<Arc<str>>,
    /// Where the files are.
    pub roots: Roots,
    /// What to show, and of what to speak.
    pub thresholds: Thresholds,
    /// The kubelet, if it is to be asked.
    pub kubelet: Option<Endpoint>,
    /// Whether to look at what processes have mapped.
    pub at_mappings: bool,
    /// The time between the two looks.
    pub apart: Duration,
}

impl Looking {
    /// Looking at the files below these roots, twice without a pause.
    pub fn at(roots: Roots) -> Self {
        Self {
            node: None,
            roots,
            thresholds: Thresholds::default(),
            kubelet: None,
            at_mappings: false,
            apart: Duration::ZERO,
        }
    }
}

/// Two looks at the node, for a report: what is found in both is believed. Waits for names, and holds
/// nothing back for want of one.
pub fn look(looking: Looking) -> View {
    let Looking { node, roots, thresholds, kubelet, at_mappings, apart } = looking;
    let mappings = at_mappings.then(|| scan_mappings(&roots, &AtomicU32::default()));
    let mut aside = Aside { names: scan_names(&roots), mappings, ..Aside::default() };
    if let Some(endpoint) = kubelet {
        kubelet::ask_once(endpoint).add_to(&mut aside);
    }
    let mut reader = Reader::new(roots);
    let mut history = History::new(Retention { hold_back: Duration::ZERO, ..Retention::default() });
    let mut findings = Findings::default();
    let begun = Instant::now();
    let mut look = |number| {
        let started = Instant::now();
        let since_start = started.saturating_duration_since(begun);
        let taken = Taken { wall: SystemTime::now(), since_start };
        let snapshot = reader.read(taken, aside.clone());
        history.update(&snapshot);
        let mut assessment = assess(&snapshot, &history, &thresholds);
        findings.confirm(&mut assessment.findings);
        let poll = Poll {
            number,
            woken: 0,
            duration: started.elapsed(),
            next: apart,
            process: Reading::Absent,
        };
        View { node: node.clone(), snapshot, assessment, incidents: Incidents::default(), poll }
    };
    look(1);
    #[expect(clippy::disallowed_methods, reason = "a report has nothing else to do meanwhile")]
    thread::sleep(apart);
    look(2)
}
