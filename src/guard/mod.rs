//! The guard: on its node nobody dies of huge pages. Opt-in, a process of its own, and reversible.
//!
//! It writes two limits of pods and of their containers, nothing else and nowhere else: a reservation limit where there is
//! none (*refuse*), so that a mapping that is too large fails with ENOMEM; and a fault limit raised to what is reserved
//! already (*rescue*), so that what was mapped can be touched. The rules decide from facts alone (`rules`); each write is
//! recorded before it is made (`journal`); the kernel tells of new cgroups and of limits that are set (`tree`).
//!
//! It opens no socket, needs no capability but user 0, and has one thread besides the log's. What it did it says in a
//! file (`exchange`) that the exporter reads. If it ends, nothing that it wrote is harmful; what it wrote stays.

mod admin;
mod around;
mod candidates;
mod effects;
mod engine;
mod facts;
mod files;
mod journal;
mod kubepods;
mod names;
mod rules;
mod run;
mod state;
mod summary;
mod tally;
mod telling;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use crate::snapshot::guard::Policy;
use crate::sources::Roots;

pub use admin::{pause, resume, undo};
pub use run::run;

/// What the guard is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the files are.
    pub roots: Roots,
    /// kubepods' own directory, where it is mounted alone.
    pub kubepods: Option<PathBuf>,
    /// What to do.
    pub policy: Policy,
    /// Whether to say what would be written, and write nothing.
    pub dry_run: bool,
    /// Where it keeps its records on the node.
    pub state: PathBuf,
    /// Where it tells the exporter what it does, if anywhere.
    pub report: Option<PathBuf>,
    /// How often to look whether reservations have grown, of which the kernel does not tell.
    pub interval: Duration,
    /// When to end by itself.
    pub lasts: Option<Duration>,
}

/// Why the guard could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GuardError(String);
