//! `--web.config.file`: TLS, certificates and passwords, as clients meet them.

mod auth;
mod reload;
mod tls;
mod wrong;

use std::fs;
use std::path::PathBuf;

use crate::harness::agent::{Agent, Start};
use crate::harness::tls::{Authority, Client};
use crate::machine::Machine;

/// The part of a configuration that turns TLS on.
const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

/// A directory with a configuration, a certificate and its key.
struct Files {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    /// With that configuration, which names its files by their names alone.
    fn new(config: &str) -> Self {
        let files = Self {
            directory: tempfile::tempdir().expect("a directory"),
            authority: Authority::new(),
        };
        let identity = files.authority.sign(&["127.0.0.1"]);
        files.write("server.crt", &identity.certificate);
        files.write("server.key", &identity.key);
        files.write("web.yml", config);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// In one piece, as editors and Kubernetes do it.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).expect("written");
        fs::rename(self.path("new"), self.path(name)).expect("put in place");
    }

    fn flag(&self) -> String {
        format!("--web.config.file={}", self.path("web.yml").display())
    }

    fn client(&self) -> Client {
        Client::new(&self.authority)
    }

    fn start(&self) -> Node {
        self.start_with(|start| start)
    }

    fn start_tls(&self) -> Node {
        self.start_with(|start| start.over_tls(self.client()))
    }

    fn start_with(&self, how: impl FnOnce(Start) -> Start) -> Node {
        let machine = Machine::named("seed");
        let mut flags = machine.flags();
        flags.push(self.flag());
        Node { agent: how(Start::new(&flags)).go(), _machine: machine }
    }
}

/// An agent on a machine of its own.
struct Node {
    agent: Agent,
    _machine: Machine,
}

impl Node {
    /// Whether the configuration is in force as it is written.
    fn config_is_up(&self) -> Option<f64> {
        self.agent.fresh().value("hugetlb_exporter_source_up", &[("source", "web-config")])
    }
}
