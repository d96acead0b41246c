//! The agent: owns the clock and the loop.
//!
//! The poller is a thread of its own that reads kernel files only, and so never waits for a disk, a
//! network or another process. Names come from a log directory that may lie on a slow disk: they are looked for
//! on the side and left where the poller takes what is there.

mod assessor;
mod changes;
mod guard;
mod events;
mod kubelet;
mod look;
mod mappings;
mod names;
mod pace;
mod poller;
mod prober;
mod witness;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::sources::Reader;
use crate::web::{ServeError, Server, Site, WebConfig, WebConfigError};
use events::EventSlot;
use guard::GuardSlot;
use kubelet::KubeletSlot;
pub use look::{Looking, look};
use mappings::MappingSlot;
use names::NameSlot;
use pace::Pace;
use poller::{Poller, Polling, Slots};
use prober::ProbeSlot;
use witness::WitnessSlot;

/// A task that panics is started again after this time.
const RESTART: Duration = Duration::from_secs(1);

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
    /// The server ended by itself, which is a bug.
    #[error("the server ended unexpectedly; the log says why")]
    Server,
}

/// An agent that listens, and neither polls nor answers yet.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    web_config: WebConfig,
    server: Server,
    first_request: Arc<Notify>,
}

impl Agent {
    /// Binds all addresses.
    pub async fn bind(config: Config) -> Result<Self, AgentError> {
        let web_config = WebConfig::load(config.web_config.as_deref())?;
        let server = Server::bind(&config.listen).await?;
        for address in server.addresses() {
            tracing::info!(%address, path = config.telemetry_path.as_str(), tls = web_config.is_tls(),
                authentication = web_config.authentication(), "listening");
        }
        Ok(Self { config, web_config, server, first_request: Arc::default() })
    }

    /// The addresses that it listens on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.server.addresses()
    }

    /// Notified when the page or the metrics are first asked for.
    pub fn first_request(&self) -> Arc<Notify> {
        Arc::clone(&self.first_request)
    }

    /// Polls and serves until that future says what ends it.
    pub async fn run(self, end: impl Future<Output = &'static str>) -> Result<(), AgentError> {
        let Self { config, web_config, server, first_request } = self;
        serve(config, web_config, server, first_request, end).await
    }
}

async fn serve(
    config: Config,
    web_config: WebConfig,
    server: Server,
    first_request: Arc<Notify>,
    end: impl Future<Output = &'static str>,
) -> Result<(), AgentError> {
    let started = Instant::now();
    let node = config.node();
    let interval = config.poll_interval.duration();
    let (views, view) = watch::channel(None);
    let (ended, ending) = watch::channel(false);
    let roots = config.roots.clone();
    let probe = config.probe.map(|probe| ProbeSlot::start(probe, roots, view.clone(), started));
    let probe = probe.transpose()?;
    let events = config.events.map(|events| EventSlot::start(events, view.clone(), started));
    let events = events.transpose()?;
    let site = Site::new(view, config.telemetry_path, started, interval, ending, &web_config);
    let site = site.map_err(can_not_start("threads that encode"))?.telling(first_request);
    let web_config =
        web_config.keep_fresh().map_err(can_not_start("web configuration's thread"))?;
    let mut serving = tokio::spawn(server.serve(site));

    let (names, kubelet) = tokio::join!(
        NameSlot::start(config.roots.clone(), config.lister),
        KubeletSlot::start(config.kubelet)
    );
    let mappings = config.mappings.map(|every| MappingSlot::start(config.roots.clone(), every));
    let guard = config.guard.map(|file| GuardSlot::start(file, config.roots.proc.clone()));
    let proc = config.roots.proc.clone();
    let witness = config.witness.map(|directory| WitnessSlot::start(directory, proc, started));
    let slots = Slots {
        names: names?,
        kubelet: kubelet?,
        mappings: mappings.transpose()?,
        guard: guard.transpose()?,
        probe,
        events,
        witness: witness.transpose()?,
        web_config,
    };
    let reader = Reader::resident(config.roots);
    let pace = Pace::new(interval, config.adaptive);
    let poller = Poller::new(node, reader, slots, config.thresholds, pace, started);
    let mut polling = Polling::start(poller, views)?;
    let result = wait_for_end(end, &mut polling.ended, &mut serving).await;
    // Whoever is not there any more needs no telling.
    polling.stop();
    let _ = ended.send(true);
    if !serving.is_finished() {
        let _ = serving.await;
    }
    result
}

/// Waits for the word to end, or for one of the parts to end, which it does after that word alone.
async fn wait_for_end(
    end: impl Future<Output = &'static str>,
    polling: &mut oneshot::Receiver<()>,
    serving: &mut JoinHandle<()>,
) -> Result<(), AgentError> {
    tokio::select! {
        cause = end => {
            tracing::info!(cause, "ending");
            Ok(())
        }
        _ = polling => Err(AgentError::Poller),
        _ = serving => Err(AgentError::Server),
    }
}

/// Runs a task for as long as the agent runs: if it panics it is started again.
fn keep_running<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    start: impl Fn() -> F + Send + 'static,
) {
    tokio::spawn(async move {
        while let Err(error) = tokio::spawn(start()).await {
            tracing::error!(%error, "{what} ended unexpectedly and is started again");
            tokio::time::sleep(RESTART).await;
        }
    });
}

/// The signals that end the agent. From when there are some, they do not end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Nothing where it is to do what it does by default.
    hangup: Option<Signal>,
}

impl Signals {
    /// SIGTERM and SIGINT. It must be called inside a runtime.
    pub fn new() -> Result<Self, AgentError> {
        let [terminate, interrupt] =
            [SignalKind::terminate(), SignalKind::interrupt()].map(listen_to);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: None })
    }

    /// The same and SIGHUP.
    pub fn with_hangup() -> Result<Self, AgentError> {
        Ok(Self { hangup: Some(listen_to(SignalKind::hangup())?), ..Self::new()? })
    }

    /// Waits for one, and returns its name.
    pub async fn wait(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = hangup => "SIGHUP",
        }
    }
}

fn listen_to(kind: SignalKind) -> Result<Signal, AgentError> {
    signal(kind).map_err(can_not_start("signal handlers"))
}

fn can_not_start(what: &'static str) -> impl FnOnce(io::Error) -> AgentError {
    move |source| AgentError::Start { what, source }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_one_that_ends_is_not() {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        keep_running("a test", move || {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            async move { assert!(start > 0, "the first one panics") }
        });
        tokio::time::sleep(RESTART * 3).await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_ends_the_agent_with_an_error() {
        let never = std::future::pending::<&'static str>;
        let (part, mut polling) = oneshot::channel();
        let mut serving = tokio::spawn(async {});
        let result = wait_for_end(never(), &mut polling, &mut serving).await;
        assert!(matches!(result, Err(AgentError::Server)), "{result:?}");
        let mut serving = tokio::spawn(async { panic!("the server's panic") });
        let result = wait_for_end(never(), &mut polling, &mut serving).await;
        assert!(matches!(result, Err(AgentError::Server)), "{result:?}");
        let mut serving = tokio::spawn(std::future::pending());
        drop(part);
        let result = wait_for_end(never(), &mut polling, &mut serving).await;
        assert!(matches!(result, Err(AgentError::Poller)), "{result:?}");
        let (_part, mut polling) = oneshot::channel();
        let result = wait_for_end(async { "SIGTERM" }, &mut polling, &mut serving).await;
        assert!(result.is_ok(), "{result:?}");
    }
}
