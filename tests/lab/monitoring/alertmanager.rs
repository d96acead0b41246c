//! Alertmanager with the configuration that is shipped as an example.

use std::fs;
use std::net::SocketAddr;

use super::{Pager, Server, shipped, with};

/// A running Alertmanager.
pub struct Alertmanager(Server);

impl Alertmanager {
    /// Pages that pager, a second after an alert came rather than five.
    pub fn paging(pager: &Pager) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("alertmanager.yaml");
        let text = shipped("manifests/alertmanager.yaml");
        let text = with(&text, "http://127.0.0.1:9095", &format!("http://{}", pager.address()));
        let text = with(&text, "group_wait: 5s", "group_wait: 1s");
        fs::write(&config, text).expect("written");
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", directory.path().join("data").display()),
            // No others to talk to.
            "--cluster.listen-address=".to_owned(),
        ];
        Self(Server::start("prometheus-alertmanager", &arguments, directory))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}
