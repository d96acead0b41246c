//! The command line: flags, their environment twins, and the exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | could not be done, or `demo` was not as it says; one line on stderr says why. `report`: not everything could be looked at, a node did not answer, or no such pod is here |
//! | 2 | `report`: something will crash; `try`: refused at mmap; `fit`: it does not fit |
//! | 3 | `try`: refused at a touch |
//! | 64 | a flag, its value or the web configuration is wrong; one line on stderr says which and what was expected |

mod demo;
mod fit;
mod flags;
mod guard;
mod from;
mod help;
mod here;
mod log;
mod report;
mod selection;
mod serve;
mod terminal;
mod trial;
mod usage;
mod witness;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser};

use crate::probe;
use crate::sources::{Lister, run_lister};
use flags::{Cli, Command, TouchChild};

/// Runs the command with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = help::asked(arguments.into_iter().collect());
    let first = arguments.get(1).and_then(|first| first.to_str());
    let result = if first == Some(Lister::NAME) {
        let listed = run_lister(arguments.get(2..).unwrap_or_default());
        Ok(listed.map_err(anyhow::Error::from).map(|()| ExitCode::SUCCESS))
    } else if first == Some(TouchChild::NAME) {
        TouchChild::try_parse_from(arguments.iter().skip(1)).map(|child| {
            probe::run_child(&child.order).map_err(anyhow::Error::from).map(|()| ExitCode::SUCCESS)
        })
    } else {
        parse(&arguments).map(carry_out)
    };
    let result = match result {
        Ok(result) => result,
        Err(error) => return usage::explain(&error, &arguments),
    };
    result.unwrap_or_else(|error| {
        // Nothing can be done where stderr is closed.
        let _ = usage::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn carry_out(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None | Some(Command::Serve) => serve::run(cli.flags),
        Some(Command::Report(report)) if !report.from.is_empty() => from::run(&report),
        Some(Command::Report(report)) => report::run(&report, cli.flags),
        Some(Command::Try(wish)) => trial::run(&wish, cli.flags),
        Some(Command::Fit(wish)) => fit::run(&wish, cli.flags),
        Some(Command::Witness(witness)) => witness::run(witness, &cli.flags),
        Some(Command::Demo(demo)) => demo::run(&demo, cli.flags),
        Some(Command::Guard(guard)) => guard::run(&guard, cli.flags),
    }
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = help::command(arguments);
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The command line of a command, or with no name of the whole, for man pages and completions.
pub fn page(name: &str) -> clap::Command {
    help::page(name)
}
