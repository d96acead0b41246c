//! What the exporter itself costs, from `/proc/self`.

use std::time::Duration;

use procfs::process::Process as SelfProcess;
use procfs::{CurrentSI, ProcResult};

use crate::snapshot::{Process, Reading};
use crate::units::Bytes;

/// Our own process. Always `/proc`, whatever root the node's figures come from.
pub fn read() -> Reading<Process> {
    try_read().map_or(Reading::Failed, Reading::Present)
}

#[expect(clippy::cast_precision_loss, reason = "processor time in ticks is far below 2^53")]
fn try_read() -> ProcResult<Process> {
    let process = SelfProcess::myself()?;
    let stat = process.stat()?;
    let ticks_per_second = procfs::ticks_per_second();
    let started_ticks = stat.starttime as f64 / ticks_per_second as f64;
    let boot = procfs::KernelStats::current()?.btime;
    Ok(Process {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second as f64,
        resident: Bytes(stat.rss.saturating_mul(procfs::page_size())),
        virtual_memory: Bytes(stat.vsize),
        open_descriptors: u64::try_from(process.fd_count()?).unwrap_or(u64::MAX),
        max_descriptors: max_descriptors(&process)?,
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        started: Duration::from_secs(boot) + Duration::from_secs_f64(started_ticks.max(0.0)),
    })
}

fn max_descriptors(process: &SelfProcess) -> ProcResult<Option<u64>> {
    match process.limits()?.max_open_files.soft_limit {
        procfs::process::LimitValue::Value(limit) => Ok(Some(limit)),
        procfs::process::LimitValue::Unlimited => Ok(None),
    }
}
