//! The flags of the touch-probe.

use clap::{Args, ValueEnum};

use crate::config::{Interval, ProbeConfig, in_kubernetes};
#[cfg(feature = "scratch-probe")]
use crate::probe::Terms;
use crate::snapshot::Target;
#[cfg(feature = "scratch-probe")]
use crate::units::Pages;

/// How to probe.
#[derive(Debug, Args)]
pub(super) struct ProbeFlags {
    /// Where to touch a page that must be refused: the exporter's own cgroup, or one made for it (needs root and a
    /// writable cgroup file system)
    #[arg(
        long = "probe.target",
        env = "HUGETLB_EXPORTER_PROBE_TARGET",
        global = true,
        help_heading = "Probe",
        value_enum,
        value_name = "TARGET",
        default_value_t = Wanted::Own
    )]
    target: Wanted,
    /// How long to wait from one probe to the next, more or less
    #[arg(
        long = "probe.interval",
        env = "HUGETLB_EXPORTER_PROBE_INTERVAL",
        global = true,
        hide_short_help = true,
        help_heading = "Probe",
        value_name = "TIME",
        default_value = "5m"
    )]
    probe_interval: Interval,
    /// How long the process that touches may take before it is ended
    #[arg(
        long = "probe.deadline",
        env = "HUGETLB_EXPORTER_PROBE_DEADLINE",
        global = true,
        hide_short_help = true,
        help_heading = "Probe",
        value_name = "TIME",
        default_value = "5s"
    )]
    deadline: Interval,
    #[cfg(feature = "scratch-probe")]
    #[command(flatten)]
    scratch: ScratchFlags,
    /// Wait so long in the middle of a check (for tests of what a slow probe does to others)
    #[arg(
        long = "probe.pause",
        env = "HUGETLB_EXPORTER_PROBE_PAUSE",
        global = true,
        hide = true,
        value_name = "TIME"
    )]
    pause: Option<Interval>,
}

/// How a scratch cgroup is made.
#[cfg(feature = "scratch-probe")]
#[derive(Debug, Args)]
struct ScratchFlags {
    /// The limit of the scratch cgroup, in pages
    #[arg(
        long = "probe.scratch-pages",
        env = "HUGETLB_EXPORTER_PROBE_SCRATCH_PAGES",
        global = true,
 hide_short_help = true,
        help_heading = "Probe",
        value_name = "PAGES",
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    scratch_pages: u32,
    /// The fewest available pages with which the scratch cgroup is probed [default: its limit and 8]
    #[arg(
        long = "probe.scratch-floor",
        env = "HUGETLB_EXPORTER_PROBE_SCRATCH_FLOOR",
        global = true,
        hide_short_help = true,
        help_heading = "Probe",
        value_name = "PAGES"
    )]
    scratch_floor: Option<u32>,
    /// Probe the scratch cgroup with pages of 1 GiB and more, too
    #[arg(
        long = "probe.scratch-gigantic",
        env = "HUGETLB_EXPORTER_PROBE_SCRATCH_GIGANTIC",
        global = true,
        hide_short_help = true,
        help_heading = "Probe"
    )]
    scratch_gigantic: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// The exporter's own cgroup
    Own,
    /// A cgroup made for it
    #[cfg(feature = "scratch-probe")]
    Scratch,
    /// None
    Off,
}

impl From<ProbeFlags> for Option<ProbeConfig> {
    fn from(flags: ProbeFlags) -> Self {
        let target = match flags.target {
            Wanted::Own => Target::Own,
            #[cfg(feature = "scratch-probe")]
            Wanted::Scratch => Target::Scratch,
            Wanted::Off => return None,
        };
        Some(ProbeConfig {
            target,
            interval: flags.probe_interval,
            deadline: flags.deadline.duration(),
            pause: flags.pause.map(Interval::duration).unwrap_or_default(),
            #[cfg(feature = "scratch-probe")]
            scratch: flags.scratch.into(),
            in_kubernetes: in_kubernetes(),
        })
    }
}

#[cfg(feature = "scratch-probe")]
impl From<ScratchFlags> for Terms {
    fn from(flags: ScratchFlags) -> Self {
        let floor = flags.scratch_floor.unwrap_or(flags.scratch_pages.saturating_add(8));
        Self {
            pages: Pages(u64::from(flags.scratch_pages)),
            floor: Pages(u64::from(floor)),
            gigantic: flags.scratch_gigantic,
        }
    }
}
