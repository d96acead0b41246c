//! What one poll has to show: the facts, what was made of them, and how the poll went.

use std::sync::Arc;
use std::time::Duration;

use crate::assessment::{Assessment, PoolState};
use crate::events::Counts;
use crate::incidents::Incidents;
use crate::snapshot::{Pool, Process, Reading, Snapshot};

/// Everything a rendering may use.
#[derive(Debug, Clone)]
pub struct View {
    /// The node's name; nothing where neither the user nor the system says it.
    pub node: Option<Arc<str>>,
    /// The facts.
    pub snapshot: Snapshot,
    /// What was made of them; the last poll's where nothing is different.
    pub assessment: Arc<Assessment>,
    /// What happened to pods lately, the newest first; none in a report, which has just begun to look.
    pub incidents: Incidents,
    /// How the poll went.
    pub poll: Poll,
}

impl View {
    /// The pools, each with what was made of it.
    pub fn pools(&self) -> impl Iterator<Item = (&Pool, &PoolState)> {
        let of_size = |pool: &Pool| {
            self.assessment.pools.iter().find(|state| state.page_size == pool.page_size)
        };
        self.snapshot.pools.iter().filter_map(move |pool| Some((pool, of_size(pool)?)))
    }
}

/// How a poll went.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// Polls since the start, this one included.
    pub number: u64,
    /// Those of them that were made at once because something was refused.
    pub woken: u64,
    /// How long reading and assessing took.
    pub duration: Duration,
    /// The time from its beginning to that of the next, if nothing happens.
    pub next: Duration,
    /// Lines of the log that could not be written since the start.
    pub log_lines_lost: u64,
    /// What became of Events of findings; nothing where none are made.
    pub events: Option<Counts>,
    /// The exporter's own process; absent in a report, whose process is nobody's concern.
    pub process: Reading<Process>,
}
