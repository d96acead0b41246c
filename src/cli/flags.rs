//! The flags as typed. Named as in exporter-toolkit and node_exporter; each has an environment twin.

mod amount;
mod commands;
mod common;
mod guard;
mod kubelet;
mod kubernetes;
mod probe;

use clap::{Parser, Subcommand};

use crate::probe::Order;
pub(super) use amount::Amount;
pub(super) use commands::{Colour, DemoFlags, FitWish, Form, Output, Report, Try, WitnessFlags};
pub(super) use common::{Flags, LogFormat, LogLevel};
pub(super) use guard::GuardFlags;

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("HUGETLB_EXPORTER_REVISION"), ")");

/// What `-h` says once instead of with every flag.
const TWINS: &str =
    "Each flag has a variable: --poll.interval is HUGETLB_EXPORTER_POLL_INTERVAL. More: --help";

/// With and without the word `serve`.
const SERVES: &str =
    "Exit status: 0 told to end, 1 could not serve, 64 a flag or the web configuration is wrong.";

/// Shows the huge pages of a node and of its pods: limits, reservations, usage, refusals
///
/// Without a command it serves: the figures for Prometheus at /metrics, a page for people at /, and it says in its log
/// what is wrong. A pod that has mapped more than it may touch is told of before the kernel kills it.
#[derive(Debug, Parser)]
#[command(
    name = "hugetlb-exporter",
    version = VERSION,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = TWINS,
    after_long_help = SERVES,
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) flags: Flags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve metrics until told to end; the default
    #[command(after_long_help = SERVES)]
    Serve,
    /// Look once at this node and say what there is
    ///
    /// It looks twice, half a second apart, and says what it saw both times.
    #[command(
        after_long_help = "Exit status: 0 everything was looked at and nothing will crash, 1 could not look at everything, a node did not answer or no such pod is here, 2 something will crash, 64 a wrong flag."
    )]
    Report(Report),
    /// Map and touch huge pages in this very cgroup, and say how far it gets
    ///
    /// A process of its own does it, since a touch beyond a limit ends in SIGBUS.
    #[command(
        after_long_help = "Exit status: 0 it fits, 1 could not be tried, 2 refused at mmap, 3 refused at a touch, 64 a wrong flag."
    )]
    Try(Try),
    /// Say whether a need would fit under this cgroup's limits and in the node's pool
    ///
    /// Nothing is mapped. As an init container it stops a database that would die.
    #[command(
        after_long_help = "Exit status: 0 it fits, 1 can't be told, 2 it does not fit, 64 a wrong flag."
    )]
    Fit(FitWish),
    /// Say which processes get SIGBUS, to an exporter on this node
    ///
    /// It needs CAP_BPF and CAP_PERFMON of user 0, Linux 5.8 and cgroup v2, and no network. The exporter that reads what it
    /// writes is given the same directory with --collector.witness.
    #[command(
        after_long_help = "Exit status: 0 told to end, 1 could not start, 64 a wrong flag. Where the kernel refuses, it says so and goes on trying."
    )]
    Witness(WitnessFlags),
    /// Show a database that is killed for its huge pages, and what is served before and after
    ///
    /// A node made of files, on which a story of a minute happens; with --real it happens on this machine. Nobody but this
    /// machine sees it unless --web.listen-address says otherwise.
    #[command(
        after_long_help = "Exit status: 0 what happened was served, 1 it was not or could not be tried, 64 a wrong flag."
    )]
    Demo(DemoFlags),
    /// Set limits that are missing, so that no pod is killed for its huge pages
    ///
    /// A process of its own, user 0 without capabilities, with kubepods mounted writable; it opens no socket. It writes limits
    /// of pods and their containers alone, and records each write on the node before it makes it. Try it with
    /// --guard.dry-run first.
    #[command(
        after_long_help = "Exit status: 0 told to end or done, 1 could not be done, 64 a wrong flag."
    )]
    Guard(GuardFlags),
}

/// The process that the probe and `try` start: it maps and touches as it is told on stdin. Not among the commands,
/// since no person types it, and no variable in the environment can be in its way.
#[derive(Debug, Parser)]
pub(super) struct TouchChild {
    #[command(flatten)]
    pub(super) order: Order,
}

impl TouchChild {
    /// The first argument of such a process.
    pub(super) const NAME: &str = "touch-child";
}

/// The environment twin of a flag such as `--poll.interval`.
pub(super) fn environment_of(flag: &str) -> Option<String> {
    let name = flag.strip_prefix("--")?;
    Some(format!("HUGETLB_EXPORTER_{}", name.replace(['.', '-'], "_").to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_flag_has_its_environment_twin() {
        Cli::command().debug_assert();
        let command = Cli::command();
        let flags = command
            .get_arguments()
            .filter_map(|argument| Some((argument.get_long()?, argument.get_env())));
        for (flag, environment) in flags.filter(|(flag, _)| !["help", "version"].contains(flag)) {
            let twin = environment_of(&format!("--{flag}"));
            assert_eq!(
                environment.and_then(|name| name.to_str()).map(str::to_owned),
                twin,
                "--{flag}"
            );
        }
    }
}
