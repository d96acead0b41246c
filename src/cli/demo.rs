//! `hugetlb-exporter demo`: the incident, replayed on files or as it really happens, and what the agent serves meanwhile.
//! Exit code 0: the agent served what happened; 1: it did not, or could not be tried; 64: a wrong flag.

use std::process::ExitCode;
use std::time::Duration;

use super::flags::{DemoFlags, Flags, LogLevel};
use super::log;
use crate::config::{Config, ListenAddress};
use crate::demo::{self, Demo};

/// Demonstrates it.
pub(super) fn run(demo: &DemoFlags, flags: Flags) -> anyhow::Result<ExitCode> {
    // What the agent logs of findings, and no more.
    let _log = log::start(flags.log_level.unwrap_or(LogLevel::Error), flags.log_format)?;
    let config = Config::from(flags.or_listen(ListenAddress::LOCALLY));
    let &DemoFlags { real, seconds, once } = demo;
    demo::run(Demo { real, once, length: Duration::from_secs(seconds) }, config)
}
