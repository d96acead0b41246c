//! The flags of the guard.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::guard::Settings;
use crate::snapshot::guard::{Policy, Refuse};
use crate::sources::Roots;

/// What to guard, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct GuardFlags {
    /// Whose mappings to refuse where they are larger than the limit: nobody's, those of pods that were granted nothing,
    /// or everybody's
    #[arg(
        long = "guard.refuse",
        env = "HUGETLB_EXPORTER_GUARD_REFUSE",
        value_enum,
        value_name = "WHOSE",
        default_value_t = Wanted::Ungranted
    )]
    refuse: Wanted,
    /// Whether to raise a limit to what is reserved already, where more is reserved than may be touched
    #[arg(
        long = "guard.rescue",
        env = "HUGETLB_EXPORTER_GUARD_RESCUE",
        value_enum,
        value_name = "SWITCH",
        default_value_t = Switch::Off
    )]
    rescue: Switch,
    /// Whether a raised limit comes with a reservation limit, so that it is not outgrown; `off` for servers that fork
    #[arg(
        long = "guard.rescue-bound",
        env = "HUGETLB_EXPORTER_GUARD_RESCUE_BOUND",
        hide_short_help = true,
        value_enum,
        value_name = "SWITCH",
        default_value_t = Switch::On
    )]
    rescue_bound: Switch,
    /// How often to look whether reservations have grown, of which the kernel does not tell; from 1ms to 10s
    #[arg(
        long = "guard.rescue-interval",
        env = "HUGETLB_EXPORTER_GUARD_RESCUE_INTERVAL",
        hide_short_help = true,
        value_name = "TIME",
        value_parser = interval,
        default_value = "20ms"
    )]
    rescue_interval: Duration,
    /// Leave pods of this namespace alone; may be repeated. With any, a pod is written to only once its name is known.
    /// Empty: none is excluded
    #[arg(
        long = "guard.exclude-namespace",
        env = "HUGETLB_EXPORTER_GUARD_EXCLUDE_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        default_value = "kube-system",
        action = ArgAction::Append
    )]
    excluded: Vec<String>,
    /// Write nothing; say what would be written, and at the end a summary
    #[arg(long = "guard.dry-run", env = "HUGETLB_EXPORTER_GUARD_DRY_RUN", alias = "dry-run")]
    dry_run: bool,
    /// End by itself after so long
    #[arg(
        long = "guard.for",
        env = "HUGETLB_EXPORTER_GUARD_FOR",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    lasts: Option<Duration>,
    /// Where to record on the node what is written, before it is written
    #[arg(
        long = "guard.state",
        env = "HUGETLB_EXPORTER_GUARD_STATE",
        value_name = "DIR",
        default_value = "/run/hugetlb-guard"
    )]
    state: PathBuf,
    /// Where to tell the exporter what was done: a directory that both have mounted
    #[arg(long = "guard.report", env = "HUGETLB_EXPORTER_GUARD_REPORT", value_name = "DIR")]
    report: Option<PathBuf>,
    /// kubepods' own directory, where it is mounted alone and under its own name [default: looked for in the hierarchy]
    #[arg(long = "guard.kubepods", env = "HUGETLB_EXPORTER_GUARD_KUBEPODS", value_name = "DIR")]
    kubepods: Option<PathBuf>,
    /// Have the guard of this node write nothing until it is resumed, and end
    #[arg(long = "pause", conflicts_with_all = ["guard_resume", "dry_run"])]
    pub(in crate::cli) guard_pause: bool,
    /// Have the guard of this node go on, and end
    #[arg(long = "resume", conflicts_with_all = ["guard_undo", "dry_run"])]
    pub(in crate::cli) guard_resume: bool,
    /// Take back what was written on this node and no process lives by, say what was left, and end
    #[arg(long = "undo", conflicts_with = "dry_run")]
    pub(in crate::cli) guard_undo: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// Nobody's
    Off,
    /// Those of pods that were granted nothing and hold nothing
    Ungranted,
    /// Everybody's
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    Off,
    On,
}

fn interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_secs(10);
    let interval = humantime::parse_duration(text).ok().filter(|it| bounds.contains(it));
    interval
        .ok_or_else(|| "expected a time from 1ms to 10s, with its unit, such as 20ms".to_owned())
}

impl GuardFlags {
    /// What the guard is told by these and by the common ones.
    pub(in crate::cli) fn settings(&self, roots: Roots) -> Settings {
        let excluded = self.excluded.iter().filter(|name| !name.is_empty()).cloned();
        let refuse = match self.refuse {
            Wanted::Off => Refuse::Off,
            Wanted::Ungranted => Refuse::Ungranted,
            Wanted::All => Refuse::All,
        };
        Settings {
            roots,
            kubepods: self.kubepods.clone(),
            policy: Policy {
                refuse,
                rescue: self.rescue == Switch::On,
                rescue_bound: self.rescue_bound == Switch::On,
                excluded_namespaces: excluded.collect::<BTreeSet<_>>(),
            },
            dry_run: self.dry_run,
            state: self.state.clone(),
            report: self.report.clone(),
            interval: self.rescue_interval,
            lasts: self.lasts,
        }
    }
}
