//! The flags of the kubelet's collector.

use std::path::PathBuf;

use clap::Args;

use crate::client::{Origin, PeerName};
use crate::config::{Interval, KubeletConfig};
use crate::sources::Endpoint;

/// How the kubelet is asked, if it is.
#[derive(Debug, Args)]
pub(super) struct KubeletFlags {
    /// Also ask the kubelet for its pods: declared limits, names of static pods
    #[arg(
        long = "collector.kubelet",
        env = "HUGETLB_EXPORTER_COLLECTOR_KUBELET",
        global = true,
        help_heading = "Kubelet"
    )]
    enabled: bool,
    /// Where the kubelet listens; `http://HOST:10255` is its read-only port, which is sent no token
    #[arg(
        long = "kubelet.url",
        env = "HUGETLB_EXPORTER_KUBELET_URL",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet",
        value_name = "URL",
        default_value = "https://127.0.0.1:10250"
    )]
    url: Origin,
    /// The token to show it, read anew for every request
    #[arg(
        long = "kubelet.token-file",
        env = "HUGETLB_EXPORTER_KUBELET_TOKEN_FILE",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    )]
    token_file: PathBuf,
    /// Who may have signed its certificate (PEM), read anew for every request
    #[arg(
        long = "kubelet.ca-file",
        env = "HUGETLB_EXPORTER_KUBELET_CA_FILE",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    )]
    ca_file: PathBuf,
    /// The name in its certificate, where that is not the URL's host: the node's, in one that it signed itself
    #[arg(
        long = "kubelet.server-name",
        env = "HUGETLB_EXPORTER_KUBELET_SERVER_NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet",
        value_name = "NAME"
    )]
    server_name: Option<PeerName>,
    /// Take any certificate for the kubelet's: whoever answers is given the token and believed
    #[arg(
        long = "kubelet.insecure-skip-verify",
        env = "HUGETLB_EXPORTER_KUBELET_INSECURE_SKIP_VERIFY",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet"
    )]
    insecure_skip_verify: bool,
    /// How often it is asked; sooner where a new container has no name yet
    #[arg(
        long = "kubelet.interval",
        env = "HUGETLB_EXPORTER_KUBELET_INTERVAL",
        global = true,
        hide_short_help = true,
        help_heading = "Kubelet",
        value_name = "TIME",
        default_value = "30s"
    )]
    interval: Interval,
}

impl From<KubeletFlags> for Option<KubeletConfig> {
    fn from(flags: KubeletFlags) -> Self {
        flags.enabled.then_some(KubeletConfig {
            endpoint: Endpoint {
                url: flags.url,
                token_file: flags.token_file,
                ca_file: flags.ca_file,
                server_name: flags.server_name,
                insecure_skip_verify: flags.insecure_skip_verify,
            },
            interval: flags.interval,
        })
    }
}
