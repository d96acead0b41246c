//! The command line: flags, their environment twins, and the exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | could not be done; one line on stderr says why |
//! | 2 | `report`: something will crash |
//! | 64 | a flag or its value is wrong; one line on stderr says which and what was expected |

mod flags;
mod report;
mod serve;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::probe::child;
use flags::{Cli, Command};

/// Runs the command with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, &arguments),
    };
    let result = match cli.command {
        None | Some(Command::Serve) => serve::run(cli.flags),
        Some(Command::Report(report)) => report::run(&report, cli.flags),
        Some(Command::TouchChild(order)) => {
            child::run(&order).map_err(anyhow::Error::from).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        // Nothing can be done where stderr is closed.
        let _ = usage::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}
