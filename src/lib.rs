//! hugetlb-exporter: shows the huge pages of a node and its pods, so that one that has mapped more than it may
//! touch is seen before the kernel kills it.
//!
//! ```text
//!  /sys pools, cgroups ── Reader ─┐
//!  names, the kubelet's word ──────┼→ Snapshot → History → assess → Assessment ─┬→ metrics  (/metrics)
//!  touch-probe ────────────────────┘  facts      memory     rules              └→ report   (terminal, JSON), page (/)
//!  agent: owns the clock and the loop; publishes Arc<View{snapshot, assessment, incidents}> in a watch channel → web
//! ```
//!
//! Facts, then rules, then effects. Only `client`, `sources`, `probe`, `web`, `agent` and `cli` touch the world; all else
//! is pure functions of plain data. What is absent, on purpose: rendering never fails, assessing never
//! reads, the poller never waits for a disk, a network or another process, and no Rust runs after fork.

mod units;
mod worker;
mod log;
mod client;
mod identity;
mod exchange;
mod snapshot;
mod history;
mod assessment;
mod incidents;
mod events;
mod view;
mod fleet;
mod render;
mod sources;
mod probe;
mod guard;
mod witness;
mod web;
mod agent;
mod config;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod host;
#[cfg(not(feature = "internals"))]
#[allow(dead_code, reason = "the lab and the benchmarks use what the demonstration does not")]
mod host;
mod demo;
mod cli;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod fuzzing;

pub use agent::{Looking, look};
pub use assessment::{RULES, Thresholds};
pub use cli::{page as manual_page, run};
pub use render::{findings, metrics, page, report};
pub use sources::Roots;
