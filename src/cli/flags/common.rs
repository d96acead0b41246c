//! The flags of every command.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::kubelet::KubeletFlags;
use super::kubernetes::KubernetesFlags;
use super::probe::ProbeFlags;
use crate::assessment::{MutedPod, Thresholds};
use crate::config::{Config, Interval, ListenAddress, TelemetryPath, node_name_of_environment};
use crate::sources::{Lister, Roots};

/// The form of a log line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How much to log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
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
    /// Also read what the guard does, from the directory where it leaves its report (docs/guard.md)
    #[arg(
        long = "collector.guard",
        env = "HUGETLB_EXPORTER_COLLECTOR_GUARD",
        global = true,
        hide_short_help = true,
        help_heading = "Collection",
        value_name = "DIR"
    )]
    guard: Option<PathBuf>,
    /// The directory that `hugetlb-exporter witness` writes to, which says what processes got SIGBUS
    #[arg(
        long = "collector.witness",
        env = "HUGETLB_EXPORTER_COLLECTOR_WITNESS",
        global = true,
        hide_short_help = true,
        help_heading = "Collection",
        value_name = "DIR"
    )]
    witness: Option<PathBuf>,
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
    /// Pods of which no finding is raised, or not that one; their metrics stay
    #[arg(
        long = "findings.mute-pod",
        env = "HUGETLB_EXPORTER_FINDINGS_MUTE_POD",
        global = true,
        hide_short_help = true,
        help_heading = "Findings",
        value_name = "NAMESPACE/POD[:FINDING]",
        value_delimiter = ','
    )]
    muted_pods: Vec<MutedPod>,
    #[command(flatten)]
    kubelet: KubeletFlags,
    #[command(flatten)]
    kubernetes: KubernetesFlags,
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
    pub(in crate::cli) procfs: PathBuf,
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
    pub(in crate::cli) log_level: Option<LogLevel>,
    /// The form of a log line
    #[arg(long = "log.format", env = "HUGETLB_EXPORTER_LOG_FORMAT", global = true,
 hide_short_help = true,
          help_heading = "Log", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(in crate::cli) log_format: LogFormat,
}

impl Flags {
    /// What is wrong with what they ask of `serve`, in one line.
    pub(in crate::cli) fn complaint(&self) -> Option<&'static str> {
        self.kubernetes.complaint()
    }

    /// With that address if no flag and no variable has set one.
    pub(in crate::cli) fn or_listen(mut self, address: ListenAddress) -> Self {
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
                muted_pods: flags.muted_pods,
                ..Thresholds::default()
            },
            kubelet: flags.kubelet.into(),
            mappings: flags.mappings.then_some(flags.mappings_interval),
            guard: flags.guard,
            events: flags.kubernetes.into(),
            witness: flags.witness,
            probe: flags.probe.into(),
            lister: Lister::Child,
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
