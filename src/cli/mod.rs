//! The command line: flags, their environment twins, and the exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | could not be done; one line on stderr says why |
//! | 2 | `report`: something will crash; `try`: refused at mmap; `fit`: it does not fit |
//! | 3 | `try`: refused at a touch |
//! | 64 | a flag, its value or the web configuration is wrong; one line on stderr says which and what was expected |

mod fit;
mod flags;
mod here;
mod report;
mod serve;
mod trial;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::probe;
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
        Some(Command::Try(wish)) => trial::run(&wish, cli.flags),
        Some(Command::Fit(wish)) => fit::run(&wish, cli.flags),
        Some(Command::TouchChild(order)) => {
            probe::run_child(&order).map_err(anyhow::Error::from).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        // Nothing can be done where stderr is closed.
        let _ = usage::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}
