//! One clear line for a wrong flag, and exit code 64 (EX_USAGE of sysexits.h).

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::flags::{Cli, environment_of};

/// EX_USAGE.
const USAGE: u8 = 64;

/// Prints help or version as asked, or the error in one line.
pub(super) fn explain(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`--help | head -1`) is no error.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => refuse(&one_line(error, arguments)),
    }
}

/// Says what is wrong with what was asked for.
pub(super) fn refuse(complaint: &str) -> ExitCode {
    // Nothing can be done where stderr is closed.
    let _ = complain(complaint);
    ExitCode::from(USAGE)
}

/// Writes the line that every failure ends with.
pub(super) fn complain(message: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "hugetlb-exporter: {message}")
}

/// clap's message up to its first empty line, where the value came from if not from an argument, and what may have been
/// meant.
fn one_line(error: &clap::Error, arguments: &[OsString]) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let message = lines.collect::<Vec<_>>().join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let variable = variable(error, arguments);
    let variable = variable.map(|name| format!(" (from the environment, {name})"));
    let meant = meant(error).map(|meant| format!(" (did you mean {meant}?)"));
    let help = lists_what_there_is(error).then(|| format!("; see {} --help", command(arguments)));
    [Some(message.to_owned()), variable, meant, help].into_iter().flatten().collect()
}

/// The variable that gave a wrong value, if no argument did.
fn variable(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = flag.split([' ', '=']).next().unwrap_or_default();
    let given = arguments.iter().any(|argument| argument.to_string_lossy().starts_with(flag));
    environment_of(flag).filter(|_| !given)
}

/// What there is of that name in another command, or that is spelt nearly so.
fn meant(error: &clap::Error) -> Option<String> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        // The nearest comes last.
        Some(ContextValue::Strings(names)) => names.last().cloned(),
        _ => None,
    };
    let unknown = said(ContextKind::InvalidArg).filter(|_| lists_what_there_is(error));
    unknown
        .and_then(|flag| flag_of_a_command(&flag))
        .or_else(|| said(ContextKind::SuggestedSubcommand))
        .or_else(|| said(ContextKind::SuggestedArg))
        .or_else(|| said(ContextKind::SuggestedValue))
}

/// `report --pod` for `--pod`.
fn flag_of_a_command(flag: &str) -> Option<String> {
    let name = flag.strip_prefix("--")?;
    let has_it = |command: &&clap::Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    let cli = Cli::command();
    let command = cli.get_subcommands().find(has_it)?;
    Some(format!("{} {flag}", command.get_name()))
}

/// Whether a help lists what could have been said instead.
fn lists_what_there_is(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand)
}

/// The command whose help it is.
fn command(arguments: &[OsString]) -> String {
    let (cli, words) = (Cli::command(), arguments.iter().skip(1));
    let mut named = words.filter_map(|word| cli.find_subcommand(word)).map(clap::Command::get_name);
    [cli.get_name()].into_iter().chain(named.next()).collect::<Vec<_>>().join(" ")
}
