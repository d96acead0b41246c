//! The flags of single commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::amount::{self, Amount};
use crate::client::Origin;
use crate::units::PageSize;

/// How to report.
#[derive(Debug, Args)]
pub(in crate::cli) struct Report {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(in crate::cli) output: Output,
    /// Only pods of this namespace
    #[arg(long, value_name = "NAMESPACE")]
    pub(in crate::cli) namespace: Option<String>,
    /// Only this pod, by its name or UID
    #[arg(long, value_name = "POD")]
    pub(in crate::cli) pod: Option<String>,
    /// Not this node, but those whose agents answer there, as one report; may be repeated
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) from: Vec<Origin>,
    /// How to ask them: passwords, tokens, certificates, as in Prometheus' http_config
    #[arg(long = "from.config", value_name = "FILE", requires = "from")]
    pub(in crate::cli) from_config: Option<PathBuf>,
    /// When to use colours; NO_COLOR in the environment means never
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(in crate::cli) color: Colour,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Colour {
    /// On a terminal
    Auto,
    Always,
    Never,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Output {
    /// For people, as wide as the terminal, or as COLUMNS in the environment says
    Table,
    /// For programs
    Json,
    /// The exposition, for node_exporter's textfile collector
    Prometheus,
}

/// What to try.
#[derive(Debug, Args)]
pub(in crate::cli) struct Try {
    /// How many pages to map
    #[arg(long, value_name = "PAGES", value_parser = amount::pages)]
    pub(in crate::cli) pages: u64,
    /// How many of them to touch; without it nothing is touched
    #[arg(long, value_name = "PAGES", value_parser = amount::pages_if_any)]
    pub(in crate::cli) touch: Option<u64>,
    /// Touch more than one page, though that may take pages from a neighbour under the same limit
    #[arg(long)]
    pub(in crate::cli) yes: bool,
    /// The size of the pages [default: what a mapping gets that names none]
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) pagesize: Option<PageSize>,
    /// Shared memory, as PostgreSQL maps it
    #[arg(long)]
    pub(in crate::cli) shared: bool,
    /// Without a reservation (MAP_NORESERVE)
    #[arg(long)]
    pub(in crate::cli) noreserve: bool,
    /// A file in this directory, on a hugetlbfs; it is removed afterwards
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Keep what was got for so long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub(in crate::cli) hold: Duration,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(in crate::cli) output: Form,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What to demonstrate.
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoFlags {
    /// Let it happen on this machine: real huge pages and cgroups, and PostgreSQL if it is installed; needs root and no
    /// kubelet. Everything is put back
    #[arg(long)]
    pub(in crate::cli) real: bool,
    /// About how long it takes, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub(in crate::cli) seconds: u64,
    /// Begin at once and end when it is over; otherwise it begins with the first request, and goes on serving
    #[arg(long)]
    pub(in crate::cli) once: bool,
}

/// What is needed.
#[derive(Debug, Args)]
pub(in crate::cli) struct FitWish {
    /// How much is needed, as in a pod spec: 282Mi; without a unit it is bytes, a page at least
    #[arg(
        long,
        value_name = "QUANTITY",
        value_parser = amount::need,
        required_unless_present = "need_pages",
        conflicts_with = "need_pages"
    )]
    pub(in crate::cli) need: Option<Amount>,
    /// How many pages are needed
    #[arg(long, value_name = "PAGES", value_parser = amount::pages)]
    pub(in crate::cli) need_pages: Option<u64>,
    /// The size of the pages [default: what a mapping gets that names none]
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) pagesize: Option<PageSize>,
    /// The pod's own limit, where it can't be seen from inside: the downward API's limits.hugepages-2Mi
    #[arg(long, value_name = "QUANTITY")]
    pub(in crate::cli) limit: Option<Amount>,
    /// Where the kubelet looks for a container's last words
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    pub(in crate::cli) termination_log: PathBuf,
}

/// What `witness` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct WitnessFlags {
    /// Where to write what is seen; a directory that the exporter reads too
    #[arg(long = "witness.report", value_name = "DIR")]
    pub(in crate::cli) report: PathBuf,
}
