//! The command line as clap has it, and how much of it a help shows.
//!
//! Every command takes every common flag, so that one environment does for all; a help shows those that its
//! command heeds. `-h` is a first look and fits on a screen, `--help` and the man pages have it all.

use std::ffi::OsString;

use clap::{Command, CommandFactory};

use super::flags::Cli;

/// Commands that heed only some of the common flags, by the headings of those.
const HEEDED: &[(&str, &[&str])] = &[
    ("report", &["Collection", "Findings", "Kubelet", "Paths"]),
    ("try", &["Paths"]),
    ("fit", &["Paths"]),
    ("demo", &["Web", "Log"]),
    ("guard", &["Paths", "Log"]),
];

/// The command line, to parse these arguments.
pub(super) fn command(arguments: &[OsString]) -> Command {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let command = showing_what_is_heeded(
        HEEDED.iter().find(|(name, _)| has(name)).map(|(name, _)| *name).unwrap_or_default(),
    );
    // Each flag's variable is its name in capitals; saying that once is enough for a first look.
    if has("-h") { command.mut_args(|argument| argument.hide_env(true)) } else { command }
}

/// `help` and `help report` are `--help` and `report --help`.
pub(super) fn asked(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

/// The command line for manuals and completions: of a command, or with no name of the whole.
pub(super) fn page(name: &str) -> Command {
    // A page has room, and clap_mangen leaves out the words of what a first look leaves out.
    let mut whole =
        showing_what_is_heeded(name).mut_args(|argument| argument.hide_short_help(false));
    whole.build();
    whole.find_subcommand(name).cloned().unwrap_or(whole)
}

fn showing_what_is_heeded(name: &str) -> Command {
    let Some((_, headings)) = HEEDED.iter().find(|(heeding, _)| *heeding == name) else {
        return Cli::command();
    };
    Cli::command().mut_args(|argument| {
        let unheeded =
            argument.get_help_heading().is_some_and(|heading| !headings.contains(&heading));
        if unheeded { argument.hide(true) } else { argument }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heeded_is_there_to_be_heeded() {
        let command = Cli::command();
        let headings: Vec<_> =
            command.get_arguments().filter_map(clap::Arg::get_help_heading).collect();
        for (name, heeded) in HEEDED {
            assert!(command.find_subcommand(name).is_some(), "{name}");
            for heading in *heeded {
                assert!(headings.contains(heading), "{heading}");
            }
        }
    }

    #[test]
    fn a_first_look_fits_on_a_screen() {
        for (name, lines) in
            [("", 49), ("report", 36), ("try", 30), ("fit", 24), ("demo", 28), ("guard", 48)]
        {
            let mut command = if name.is_empty() {
                command(&["hugetlb-exporter".into(), "-h".into()])
            } else {
                let mut whole = command(&["hugetlb-exporter".into(), name.into(), "-h".into()]);
                whole.build();
                whole.find_subcommand(name).expect("a command").clone()
            };
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= lines, "{} lines: {help}", help.lines().count());
        }
    }
}
