//! What the exporter's own process costs.

use std::time::Duration;

use crate::units::Bytes;

/// The exporter itself, from `/proc/self/{stat,status,limits,fd}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Processor time since its start, in seconds.
    pub cpu_seconds: f64,
    /// Memory in use.
    pub resident: Bytes,
    /// Address space.
    pub virtual_memory: Bytes,
    /// Open descriptors.
    pub open_descriptors: u64,
    /// The soft limit of descriptors.
    pub max_descriptors: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// When it was started, since the epoch.
    pub started: Duration,
}
