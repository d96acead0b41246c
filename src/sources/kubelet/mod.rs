//! The kubelet of this node, asked for its pods: their limits as declared, and names that no log directory tells.
//!
//! It answers when it likes, so this is not for the poller's thread.

mod claims;
mod client;
mod error;
mod limits;
mod pods;
mod quantity;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::{Origin, PeerName};
use crate::snapshot::{Health, Problems};
use crate::worker::Worker;
use client::Preparation;
use error::AskError;

pub use pods::Answer;
#[cfg(feature = "internals")]
pub use pods::read as read_pods;
pub use quantity::parse as parse_quantity;

const PATH: &str = "/pods";

/// Nobody reads more characters than these in one line.
const LONGEST_COMPLAINT: usize = 1_000;

/// Where the kubelet is, who we are, and whom we believe to be it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub url: Origin,
    /// The token to show; not shown where the URL is `http`.
    pub token_file: PathBuf,
    /// Who may have signed its certificate, as PEM.
    pub ca_file: PathBuf,
    /// The name that its certificate is for; nothing where that is the URL's host.
    pub server_name: Option<PeerName>,
    /// Whether anyone may be the kubelet.
    pub insecure_skip_verify: bool,
}

/// Asks one kubelet.
#[derive(Debug)]
pub struct Kubelet {
    endpoint: Endpoint,
    /// A request that takes longer is given up.
    limit: Duration,
    /// For what blocks (a file on a stuck disk, a name server): that can't be given up, so there is never more than one.
    worker: Worker,
}

impl Kubelet {
    /// The kubelet at that endpoint, with a thread to ask it.
    pub fn new(endpoint: Endpoint, limit: Duration) -> io::Result<Self> {
        Ok(Self { endpoint, limit, worker: Worker::start("kubelet")? })
    }

    /// Asks it for its pods. A failure is one line that says what, where and what was expected.
    pub async fn ask(&self) -> Result<Answer, Health> {
        self.try_to_ask().await.map_err(|error| self.down(&error.to_string()))
    }

    /// Its health before it was asked at all.
    pub fn not_asked_yet(&self) -> Health {
        self.down("not asked yet")
    }

    /// The health of an answer, however much of it was understood.
    pub fn health_after(&self, problems: Problems) -> Health {
        match problems.into_health() {
            health @ (Health::Up | Health::Missing(_)) => health,
            Health::Down(problem) => self.down(&problem),
        }
    }

    fn down(&self, what: &str) -> Health {
        // What is complained of may be in it, whole.
        let what: String = what.chars().take(LONGEST_COMPLAINT).collect();
        let mut problems = Problems::default();
        problems.add(|| format!("GET {}{PATH}: {what}", self.endpoint.url));
        problems.into_health()
    }

    async fn try_to_ask(&self) -> Result<Answer, AskError> {
        let fetch = async {
            let endpoint = self.endpoint.clone();
            let prepared = self.worker.run(move || Preparation::of(&endpoint)).await??;
            client::get(&self.endpoint, prepared).await
        };
        let body = tokio::time::timeout(self.limit, fetch)
            .await
            .map_err(|_| AskError::Slow { limit: self.limit })??;
        Ok(self.worker.run(move || pods::read(&body)).await??)
    }
}
