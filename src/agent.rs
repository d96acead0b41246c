//! The agent: owns the clock and the loop.
//!
//! The poller is a thread of its own that reads kernel files only, and so never waits for a disk, a
//! network or another process. Names come from a log directory that may lie on a slow disk: they are looked for
//! on the side and left where the poller takes what is there.

mod assessor;
mod kubelet;
mod look;
mod mappings;
mod names;
mod pace;
mod poller;
mod prober;

use std::io;
use std::time::Instant;

use tokio::sync::watch;

use crate::config::Config;
use crate::sources::Reader;
use crate::web::{ServeError, Server, Site, WebConfig, WebConfigError};
use kubelet::KubeletSlot;
pub use look::{Looking, look};
use mappings::MappingSlot;
use names::NameSlot;
use pace::Pace;
use poller::{Poller, Polling, Slots};
use prober::ProbeSlot;

/// Why the agent ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// What --web.config.file names can't be used.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// It could not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system did not give it a thread or a signal handler.
    #[error("can't start the {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The poller ended by itself, which is a bug.
    #[error("the poller ended unexpectedly; the log says why")]
    Poller,
}

/// Polls and serves until the process is told to end by SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), AgentError> {
    let web_config = WebConfig::load(config.web_config.as_deref())?;
    let server = Server::bind(&config.listen).await?;
    for address in server.addresses() {
        tracing::info!(%address, path = config.telemetry_path.as_str(), tls = web_config.is_tls(),
            authentication = web_config.authentication(), "listening");
    }
    let mut signals = Signals::new()?;
    let started = Instant::now();
    let interval = config.poll_interval.duration();
    let (views, view) = watch::channel(None);
    let (end, ending) = watch::channel(false);
    let roots = config.roots.clone();
    let probe = config.probe.map(|probe| ProbeSlot::start(probe, roots, view.clone(), started));
    let site = Site::new(view, config.telemetry_path, started, interval, ending, &web_config);
    let web_config = web_config.keep_fresh();
    let serving = tokio::spawn(server.serve(site));

    let (names, kubelet) =
        tokio::join!(NameSlot::start(config.roots.clone()), KubeletSlot::start(config.kubelet));
    let slots = Slots {
        names,
        kubelet,
        mappings: config.mappings.map(|every| MappingSlot::start(config.roots.clone(), every)),
        probe,
        web_config,
    };
    let reader = Reader::resident(config.roots);
    let pace = Pace::new(interval, config.adaptive);
    let poller = Poller::new(reader, slots, config.thresholds, pace, started);
    let mut polling = Polling::start(poller, views)?;
    let result = tokio::select! {
        signal = signals.wait() => {
            tracing::info!(signal, "ending");
            Ok(())
        }
        _ = &mut polling.ended => Err(AgentError::Poller),
    };
    // Whoever is not there any more needs no telling.
    polling.stop();
    let _ = end.send(true);
    let _ = serving.await;
    result
}

/// The signals that end the agent.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, AgentError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |source| AgentError::Start { what: "signal handlers", source };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
