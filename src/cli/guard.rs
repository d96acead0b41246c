//! `hugetlb-exporter guard`: the limits that keep a node's pods from being killed, and taking them back.

use std::io::{self, Write};
use std::process::ExitCode;

use super::flags::{Flags, GuardFlags, LogLevel};
use super::log;
use crate::config::Config;
use crate::guard;

/// Guards until told to end, or does the one thing that was asked.
pub(super) fn run(asked: &GuardFlags, flags: Flags) -> anyhow::Result<ExitCode> {
    let (level, format) = (flags.log_level, flags.log_format);
    let settings = asked.settings(Config::from(flags).roots);
    if asked.guard_pause {
        guard::pause(&settings.state)?;
    }
    if asked.guard_resume {
        guard::resume(&settings.state)?;
    }
    if asked.guard_undo {
        return undo(&settings);
    }
    if asked.guard_pause || asked.guard_resume {
        return Ok(ExitCode::SUCCESS);
    }
    let _log = log::start(level.unwrap_or(LogLevel::Info), format)?;
    guard::run(settings)?;
    Ok(ExitCode::SUCCESS)
}

fn undo(settings: &guard::Settings) -> anyhow::Result<ExitCode> {
    let undone = guard::undo(settings)?;
    let mut out = io::stdout().lock();
    for line in &undone.undone {
        writeln!(out, "undone: {line}")?;
    }
    for line in &undone.left {
        writeln!(out, "left: {line}")?;
    }
    if undone.undone.is_empty() && undone.left.is_empty() {
        writeln!(out, "nothing to undo")?;
    }
    Ok(ExitCode::SUCCESS)
}
