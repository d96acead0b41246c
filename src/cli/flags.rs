//! The flags as typed. Named as in exporter-toolkit and node_exporter; each has an environment twin.

mod amount;
mod commands;
mod kubelet;
mod probe;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::assessment::Thresholds;
use crate::config::{Config, Interval, ListenAddress, TelemetryPath, node_name_of_environment};
use crate::probe::Order;
use crate::sources::Roots;
pub(super) use amount::Amount;
pub(super) use commands::{Colour, DemoFlags, FitWish, Form, Output, Report, Try};
use kubelet::KubeletFlags;
use probe::ProbeFlags;

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
        after_long_help = "Exit status: 0 everything was looked at and nothing will crash, 1 could not look at everything or no such pod is here, 2 something will crash, 64 a wrong flag."
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
    /// Show a database that is killed for its huge pages, and what is served before and after
    ///
    /// A node made of files, on which a story of a minute happens; with --real it happens on this machine. Nobody but this
    /// machine sees it unless --web.listen-address says otherwise.
    #[command(
        after_long_help = "Exit status: 0 what happened was served, 1 it was not or could not be tried, 64 a wrong flag."
    )]
    Demo(DemoFlags),
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

/// The form of a log line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How much to log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Where to listen: `:PORT` for all addresses, `IP:PORT`, `[IPv6]:PORT`; may be repeated [default: :10270, for demo
    /// 127.0.0.1:10270]
    #[arg(
        long = "web.listen-address",
        env = "HUGETLB_EXPORTER_WEB_LISTEN_ADDRESS",
        global = true,
        help_heading = "Web",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    listen: Vec<ListenAddress>,
    /// Where the metrics are
    #[arg(
        long = "web.telemetry-path",
        env = "HUGETLB_EXPORTER_WEB_TELEMETRY_PATH",
        global = true,
        hide_short_help = true,
        help_heading = "Web",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    telemetry_path: TelemetryPath,
    /// TLS, client certificates, passwords and headers, as for Prometheus' exporter-toolkit; read anew as it changes
    #[arg(
        long = "web.config.file",
        env = "HUGETLB_EXPORTER_WEB_CONFIG_FILE",
        global = true,
        help_heading = "Web",
        value_name = "FILE"
    )]
    web_config: Option<PathBuf>,
    /// What the page and the report call this node; unless given the variable NODE_NAME, else the host's name
    #[arg(
        long = "node.name",
        env = "HUGETLB_EXPORTER_NODE_NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Collection",
        value_name = "NAME"
    )]
    node_name: Option<String>,
    /// How often the kernel is asked
    #[arg(
        long = "poll.interval",
        env = "HUGETLB_EXPORTER_POLL_INTERVAL",
        global = true,
        help_heading = "Collection",
        value_name = "TIME",
        default_value = "2s"
    )]
    poll_interval: Interval,
    /// Whether to read less often while nothing uses huge pages and more often while mapped pages are touched fast
    #[arg(
        long = "poll.adaptive",
        env = "HUGETLB_EXPORTER_POLL_ADAPTIVE",
        global = true,
        hide_short_help = true,
        help_heading = "Collection",
        value_name = "BOOL",
        action = ArgAction::Set,
        default_value_t = true
    )]
    poll_adaptive: bool,
    /// Also show containers and pods that hold, were granted and were refused no huge pages
    #[arg(
        long = "collector.idle",
        env = "HUGETLB_EXPORTER_COLLECTOR_IDLE",
        global = true,
        hide_short_help = true,
        help_heading = "Collection"
    )]
    idle: bool,
    /// Also look at what the containers' processes have mapped; needs hostPID and CAP_SYS_PTRACE
    #[arg(
        long = "collector.mappings",
        env = "HUGETLB_EXPORTER_COLLECTOR_MAPPINGS",
        global = true,
        help_heading = "Collection"
    )]
    mappings: bool,
    /// How long to wait from one such look to the next
    #[arg(
        long = "collector.mappings-interval",
        env = "HUGETLB_EXPORTER_COLLECTOR_MAPPINGS_INTERVAL",
        global = true,
        hide_short_help = true,
        help_heading = "Collection",
        value_name = "TIME",
        default_value = "10s"
    )]
    mappings_interval: Interval,
    /// Namespaces of whose pods no finding is raised; their metrics stay
    #[arg(
        long = "findings.mute-namespace",
        env = "HUGETLB_EXPORTER_FINDINGS_MUTE_NAMESPACE",
        global = true,
        help_heading = "Findings",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    muted_namespaces: Vec<String>,
    #[command(flatten)]
    kubelet: KubeletFlags,
    #[command(flatten)]
    probe: ProbeFlags,
    /// Where procfs is mounted
    #[arg(
        long = "path.procfs",
        env = "HUGETLB_EXPORTER_PATH_PROCFS",
        global = true,
        hide_short_help = true,
        help_heading = "Paths",
        value_name = "DIR",
        default_value = "/proc"
    )]
    procfs: PathBuf,
    /// Where sysfs is mounted
    #[arg(
        long = "path.sysfs",
        env = "HUGETLB_EXPORTER_PATH_SYSFS",
        global = true,
        hide_short_help = true,
        help_heading = "Paths",
        value_name = "DIR",
        default_value = "/sys"
    )]
    sysfs: PathBuf,
    /// Where the cgroup file system is mounted; told by mountinfo unless given
    #[arg(
        long = "path.cgroupfs",
        env = "HUGETLB_EXPORTER_PATH_CGROUPFS",
        global = true,
        help_heading = "Paths",
        value_name = "DIR"
    )]
    cgroupfs: Option<PathBuf>,
    /// The kubelet's log directories by pod, for names
    #[arg(
        long = "path.pod-logs",
        env = "HUGETLB_EXPORTER_PATH_POD_LOGS",
        global = true,
        hide_short_help = true,
        help_heading = "Paths",
        value_name = "DIR",
        default_value = "/var/log/pods"
    )]
    pod_logs: PathBuf,
    /// The kubelet's log links by container, for names
    #[arg(
        long = "path.container-logs",
        env = "HUGETLB_EXPORTER_PATH_CONTAINER_LOGS",
        global = true,
        hide_short_help = true,
        help_heading = "Paths",
        value_name = "DIR",
        default_value = "/var/log/containers"
    )]
    container_logs: PathBuf,
    /// How much to log [default: info, for demo error]
    #[arg(
        long = "log.level",
        env = "HUGETLB_EXPORTER_LOG_LEVEL",
        global = true,
        help_heading = "Log",
        value_name = "LEVEL",
        value_enum
    )]
    pub(super) log_level: Option<LogLevel>,
    /// The form of a log line
    #[arg(long = "log.format", env = "HUGETLB_EXPORTER_LOG_FORMAT", global = true,
 hide_short_help = true,
          help_heading = "Log", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

impl Flags {
    /// With that address if no flag and no variable has set one.
    pub(super) fn or_listen(mut self, address: ListenAddress) -> Self {
        if self.listen.is_empty() {
            self.listen.push(address);
        }
        self
    }
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Self {
        let flags = flags.or_listen(ListenAddress::EVERYWHERE);
        let named = flags.node_name.filter(|name| !name.is_empty());
        Self {
            node_name: named.or_else(node_name_of_environment),
            listen: flags.listen,
            telemetry_path: flags.telemetry_path,
            web_config: flags.web_config,
            poll_interval: flags.poll_interval,
            adaptive: flags.poll_adaptive,
            thresholds: Thresholds {
                show_idle: flags.idle,
                muted_namespaces: flags.muted_namespaces,
                ..Thresholds::default()
            },
            kubelet: flags.kubelet.into(),
            mappings: flags.mappings.then_some(flags.mappings_interval),
            probe: flags.probe.into(),
            roots: Roots {
                proc: flags.procfs,
                sys: flags.sysfs,
                cgroup: flags.cgroupfs,
                pod_logs: flags.pod_logs,
                container_logs: flags.container_logs,
            },
        }
    }
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
