//! `hugetlb-exporter witness`: which processes get SIGBUS.

use std::process::ExitCode;

use super::flags::{Flags, LogLevel, WitnessFlags};
use super::log;
use crate::witness::Witness;

/// Watches until told to end.
pub(super) fn run(witness: WitnessFlags, flags: &Flags) -> anyhow::Result<ExitCode> {
    let _log = log::start(flags.log_level.unwrap_or(LogLevel::Info), flags.log_format)?;
    Witness::new(witness.report, &flags.procfs)?.run()?;
    Ok(ExitCode::SUCCESS)
}
