//! One clear line for a wrong flag, and exit code 64 (EX_USAGE of sysexits.h).

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::flags::environment_of;

/// EX_USAGE.
pub(super) const USAGE: u8 = 64;

/// Prints help or version as asked, or the error in one line.
pub(super) fn explain(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`--help | head -1`) is no error.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let _ = complain(&one_line(error, arguments));
            ExitCode::from(USAGE)
        }
    }
}

/// Writes the line that every failure ends with.
pub(super) fn complain(message: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "hugetlb-exporter: {message}")
}

/// clap's message up to its first empty line, and where the value came from if not from an argument.
fn one_line(error: &clap::Error, arguments: &[OsString]) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let message = lines.collect::<Vec<_>>().join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => flag.split([' ', '=']).next().unwrap_or_default(),
        _ => return message,
    };
    let given = arguments.iter().any(|argument| argument.to_string_lossy().starts_with(flag));
    match environment_of(flag) {
        Some(variable) if !given => format!("{message} (from the environment, {variable})"),
        _ => message,
    }
}
