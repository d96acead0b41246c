//! What a user may set, checked: from here on a value is right.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;

use crate::assessment::Thresholds;
use crate::client::Origin;
#[cfg(feature = "scratch-probe")]
use crate::probe::Terms;
use crate::snapshot::Target;
use crate::sources::{Endpoint, Lister, Roots, host_name};

/// A port that nothing else asks for in the lists of exporters and of Kubernetes.
const DEFAULT_PORT: u16 = 10270;

/// Everything `serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the node is called, where the user says it.
    pub node_name: Option<String>,
    /// Where to listen, at least one.
    pub listen: Vec<ListenAddress>,
    /// Where the metrics are.
    pub telemetry_path: TelemetryPath,
    /// Where TLS, passwords and headers are written; nothing where there are none.
    pub web_config: Option<PathBuf>,
    /// Where the files are.
    pub roots: Roots,
    /// Who lists the log directories.
    pub lister: Lister,
    /// How often to read them.
    pub poll_interval: Interval,
    /// Whether the interval follows what the node does.
    pub adaptive: bool,
    /// What to show, and of what to speak.
    pub thresholds: Thresholds,
    /// How to ask the kubelet; nothing where it is not to be asked.
    pub kubelet: Option<KubeletConfig>,
    /// How often to look at what processes have mapped; nothing where it is not looked for.
    pub mappings: Option<Interval>,
    /// Where the guard leaves its report; nothing where there is no guard.
    pub guard: Option<PathBuf>,
    /// How findings become Events; nothing where they do not.
    pub events: Option<EventsConfig>,
    /// The directory that the witness of SIGBUS writes to; nothing where there is none.
    pub witness: Option<PathBuf>,
    /// How to probe; nothing where it is not to be done.
    pub probe: Option<ProbeConfig>,
}

impl Config {
    /// The node's name: what the user says, else the host's.
    pub fn node(&self) -> Option<Arc<str>> {
        self.node_name.as_deref().map(Arc::from).or_else(|| host_name(&self.roots.proc))
    }
}

/// How limits are probed.
#[derive(Debug, Clone)]
pub struct ProbeConfig {
    /// Where.
    pub target: Target,
    /// How often, more or less.
    pub interval: Interval,
    /// How long the process that touches may take.
    pub deadline: Duration,
    /// How long to wait in the middle of a check.
    pub pause: Duration,
    /// How a scratch cgroup is made.
    #[cfg(feature = "scratch-probe")]
    pub scratch: Terms,
    /// Whether the environment says that this is a container in a pod.
    pub in_kubernetes: bool,
}

/// How the kubelet is asked.
#[derive(Debug, Clone)]
pub struct KubeletConfig {
    /// Where it is and who we are.
    pub endpoint: Endpoint,
    /// How often.
    pub interval: Interval,
}

/// How findings become Events.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// Where the API server is. Where that is `http`, nothing secret is sent.
    pub server: Origin,
    /// The token to show it.
    pub token_file: PathBuf,
    /// Who may have signed its certificate, as PEM.
    pub ca_file: PathBuf,
    /// Whether an Event may hold numbers of processes and addresses.
    pub with_processes: bool,
}

/// Where the kubelet tells every container that the API server is.
pub fn api_server_of_environment() -> Option<Origin> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?;
    format!("https://{host}:{port}").parse().ok()
}

/// The node's name as a pod's spec usually hands it down (`fieldRef: spec.nodeName`).
pub fn node_name_of_environment() -> Option<String> {
    std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty())
}

/// Whether the environment says that this is a container in a pod: the kubelet tells every one where the API server is.
pub fn in_kubernetes() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// A value that is not of the form expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Unexpected {
    expected: &'static str,
}

/// Where to listen: `:10270` (all addresses, IPv6 and IPv4), `127.0.0.1:10270`, `[::1]:10270`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(Listen);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    /// On all addresses, at that port.
    Everywhere(u16),
    /// On that one; of a link-local address with its interface.
    At(SocketAddr),
}

impl ListenAddress {
    /// Where `serve` listens by default: on all addresses.
    pub const EVERYWHERE: Self = Self(Listen::Everywhere(DEFAULT_PORT));

    /// Where `demo` listens by default: nobody else is shown a demonstration.
    pub const LOCALLY: Self =
        Self(Listen::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT)));

    /// The addresses to try, in that order: all of IPv6 takes IPv4 too, but a node may have none of it.
    pub fn candidates(self) -> Vec<SocketAddr> {
        match self.0 {
            Listen::At(address) => vec![address],
            Listen::Everywhere(port) => {
                [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
                    .map(|ip| SocketAddr::new(ip, port))
                    .to_vec()
            }
        }
    }
}

impl FromStr for ListenAddress {
    type Err = Unexpected;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unexpected = Unexpected {
            expected: "`:PORT`, `IP:PORT` or `[IPv6]:PORT`, the port from 0 to 65535",
        };
        let listen = match text.strip_prefix(':') {
            Some(port) => port.parse().map(Listen::Everywhere).ok(),
            None => text.parse().map(Listen::At).ok(),
        };
        listen.map(Self).ok_or(unexpected)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Listen::At(address) => address.fmt(f),
            Listen::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

/// The path of the metrics, `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// As text, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TelemetryPath {
    type Err = Unexpected;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let taken =
            ["/", "/-/healthy", "/-/ready", "/api/v1/view", "/api/v1/incidents"].contains(&text);
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>".contains(&byte));
        // What no request can name would never be asked for.
        let nameable = text.parse::<Uri>().is_ok_and(|uri| uri.path() == text);
        if text.starts_with('/') && plain && nameable && !taken {
            Ok(Self(text.to_owned()))
        } else {
            Err(Unexpected {
                expected: "a path such as /metrics that is not the status page's, its JSON's or a health check's",
            })
        }
    }
}

/// How often: between 100 ms and an hour, `2s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(Duration);

impl Interval {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(3600);

    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// The interval that is nearest to that duration.
    pub fn nearest(duration: Duration) -> Self {
        Self(duration.clamp(Self::SHORTEST, Self::LONGEST))
    }
}

impl FromStr for Interval {
    type Err = Unexpected;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bounds = Self::SHORTEST..=Self::LONGEST;
        humantime::parse_duration(text)
            .ok()
            .filter(|duration| bounds.contains(duration))
            .map(Self)
            .ok_or(Unexpected { expected: "a time from 100ms to 1h, with its unit, such as 2s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses() {
        let all: ListenAddress = ":10270".parse().expect("an address");
        let shown: Vec<_> = all.candidates().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::]:10270", "0.0.0.0:10270"]);
        for text in ["127.0.0.1:0", "[::1]:9", "[fe80::1%3]:9", ":10270"] {
            assert_eq!(text.parse::<ListenAddress>().expect("an address").to_string(), text);
        }
        for text in ["", ":", "10270", "localhost:1", "1.2.3.4", ":65536", "::1:9", "[::1]"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn telemetry_paths() {
        assert!("/metrics".parse::<TelemetryPath>().is_ok());
        for text in ["", "metrics", "/", "/-/ready", "/a b", "/a?b", "/é", "/a`b"] {
            assert!(text.parse::<TelemetryPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn intervals() {
        assert_eq!("2s".parse(), Ok(Interval(Duration::from_secs(2))));
        for text in ["", "2", "0s", "10ms", "2h", "-1s", "soon"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
