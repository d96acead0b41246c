//! What the benchmarks in benches/ measure: one step at a time, on a real reading.

use std::time::{Duration, SystemTime};

use crate::assessment::{Assessment, Thresholds, assess};
use crate::history::{History, Retention};
use crate::snapshot::{Snapshot, Taken};
use crate::sources::{Aside, Reader, Roots, scan_names};

/// A node that was read once and is assessed as often as wanted.
#[derive(Debug)]
pub struct Assessing {
    snapshot: Snapshot,
    history: History,
    thresholds: Thresholds,
}

impl Assessing {
    /// Reads the node below these roots.
    pub fn new(roots: Roots) -> Self {
        let aside = Aside { names: scan_names(&roots), ..Aside::default() };
        let taken = Taken { wall: SystemTime::now(), since_start: Duration::ZERO };
        let snapshot = Reader::new(roots).read(taken, aside);
        let mut history = History::new(Retention::default());
        history.update(&snapshot);
        Self { snapshot, history, thresholds: Thresholds::default() }
    }

    /// Takes the reading into the memory once more.
    pub fn remember(&mut self) {
        self.history.update(&self.snapshot);
    }

    /// Assesses it.
    pub fn assess(&self) -> Assessment {
        assess(&self.snapshot, &self.history, &self.thresholds)
    }
}
