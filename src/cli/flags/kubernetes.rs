//! The flags of what is told to the API server.

use std::path::PathBuf;

use clap::Args;

use crate::client::Origin;
use crate::config::{EventsConfig, api_server_of_environment};

/// What the API server is told, if anything.
#[derive(Debug, Args)]
pub(super) struct KubernetesFlags {
    /// Make each finding an Event on its pod or node; needs create and patch on events
    #[arg(
        long = "kubernetes.events",
        env = "HUGETLB_EXPORTER_KUBERNETES_EVENTS",
        global = true,
        hide_short_help = true,
        help_heading = "Kubernetes"
    )]
    events: bool,
    /// Name processes by number, and addresses, in Events; whoever may read the namespace's Events sees them
    #[arg(
        long = "kubernetes.events-processes",
        env = "HUGETLB_EXPORTER_KUBERNETES_EVENTS_PROCESSES",
        global = true,
        hide_short_help = true,
        help_heading = "Kubernetes"
    )]
    with_processes: bool,
    /// Where the API server is [default: what KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say]; `http` is sent no
    /// token
    #[arg(
        long = "kubernetes.api-server",
        env = "HUGETLB_EXPORTER_KUBERNETES_API_SERVER",
        global = true,
        hide_short_help = true,
        help_heading = "Kubernetes",
        value_name = "URL"
    )]
    api_server: Option<Origin>,
    /// The token to show it, read anew for every request
    #[arg(
        long = "kubernetes.token-file",
        env = "HUGETLB_EXPORTER_KUBERNETES_TOKEN_FILE",
        global = true,
        hide_short_help = true,
        help_heading = "Kubernetes",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    )]
    api_token_file: PathBuf,
    /// Who may have signed its certificate (PEM), read anew for every request
    #[arg(
        long = "kubernetes.ca-file",
        env = "HUGETLB_EXPORTER_KUBERNETES_CA_FILE",
        global = true,
        hide_short_help = true,
        help_heading = "Kubernetes",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    )]
    api_ca_file: PathBuf,
}

impl KubernetesFlags {
    /// What is wrong with them together.
    pub(super) fn complaint(&self) -> Option<&'static str> {
        let lacks_server = self.api_server.is_none() && api_server_of_environment().is_none();
        (self.events && lacks_server).then_some(
            "--kubernetes.events: it is not known where the API server is: expected --kubernetes.api-server=https://HOST:PORT, or KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT as in every pod",
        )
    }
}

impl From<KubernetesFlags> for Option<EventsConfig> {
    fn from(flags: KubernetesFlags) -> Self {
        let server = flags.api_server.filter(|_| flags.events);
        let server = server.or_else(|| api_server_of_environment().filter(|_| flags.events))?;
        Some(EventsConfig {
            server,
            token_file: flags.api_token_file,
            ca_file: flags.api_ca_file,
            with_processes: flags.with_processes,
        })
    }
}
