//! The agent: owns the clock and the loop.
//!
//! The poller is a thread of its own that reads kernel files only, and so never waits for a disk, a
//! network or another process. Names come from a log directory that may lie on a slow disk: they are looked for
//! on the side and left where the poller takes what is there.

mod kubelet;
mod look;
mod mappings;
mod names;
mod prober;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{oneshot, watch};

use crate::assessment::{Changes, Findings, Severity, Thresholds, assess};
use crate::config::Config;
use crate::history::{History, Retention};
use crate::incidents::Recorder;
use crate::snapshot::{Health, Snapshot, Source, Taken};
use crate::sources::{Aside, OwnProcess, Reader};
use crate::view::{Poll, View};
use crate::web::{ServeError, Server, Site, WebConfig, WebConfigError};
use kubelet::KubeletSlot;
pub use look::{Looking, look};
use mappings::MappingSlot;
use names::NameSlot;
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
    let poller = Poller {
        names,
        kubelet,
        mappings: config.mappings.map(|every| MappingSlot::start(config.roots.clone(), every)),
        probe,
        web_config,
        reader: Reader::new(config.roots),
        history: History::new(Retention::default()),
        thresholds: config.thresholds,
        findings: Findings::default(),
        recorder: Recorder::default(),
        interval,
        started,
        health: BTreeMap::new(),
        process: OwnProcess::new(),
        number: 0,
    };
    let mut polling = Polling::start(poller, views)?;
    let result = tokio::select! {
        signal = signals.wait() => {
            tracing::info!(signal, "ending");
            Ok(())
        }
        _ = &mut polling.ended => Err(AgentError::Poller),
    };
    // Whoever is not there any more needs no telling.
    let _ = polling.stop.send(());
    let _ = end.send(true);
    let _ = serving.await;
    result
}

/// The poller's thread. It reads kernel files only, so told to stop it ends at once; nobody waits for it.
struct Polling {
    stop: mpsc::Sender<()>,
    /// Resolves when the thread ends, however it ends.
    ended: oneshot::Receiver<()>,
}

impl Polling {
    fn start(
        mut poller: Poller,
        views: watch::Sender<Option<Arc<View>>>,
    ) -> Result<Self, AgentError> {
        let (stop, stopped) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            let _told_by_dropping = end;
            poller.run(&stopped, &views);
        };
        let thread = thread::Builder::new().name("poller".to_owned()).spawn(run);
        thread.map_err(|source| AgentError::Start { what: "poller", source })?;
        Ok(Self { stop, ended })
    }
}

/// The loop that makes views.
struct Poller {
    reader: Reader,
    history: History,
    thresholds: Thresholds,
    findings: Findings,
    recorder: Recorder,
    interval: Duration,
    started: Instant,
    names: NameSlot,
    kubelet: Option<KubeletSlot>,
    mappings: Option<MappingSlot>,
    probe: Option<ProbeSlot>,
    /// Why the newest web configuration is not in force, if it is not; nothing where there is no file of it.
    web_config: Option<watch::Receiver<Option<String>>>,
    health: BTreeMap<Source, Health>,
    process: OwnProcess,
    number: u64,
}

impl Poller {
    /// Polls until told to stop, or until nobody wants the views.
    fn run(&mut self, stop: &mpsc::Receiver<()>, views: &watch::Sender<Option<Arc<View>>>) {
        loop {
            let began = Instant::now();
            let view = self.poll(began);
            if views.send(Some(Arc::new(view))).is_err() {
                return;
            }
            let rest = self.interval.saturating_sub(began.elapsed());
            match stop.recv_timeout(rest) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn poll(&mut self, began: Instant) -> View {
        let taken = Taken {
            wall: SystemTime::now(),
            since_start: began.saturating_duration_since(self.started),
        };
        let mappings = self.mappings.as_ref().and_then(MappingSlot::newest);
        let probes = self.probe.as_ref().map(ProbeSlot::newest);
        let web_config = self.web_config.as_ref().map(|failure| match &*failure.borrow() {
            Some(reason) => Health::Down(reason.clone()),
            None => Health::Up,
        });
        let names = self.names.newest();
        let mut aside = Aside { names, mappings, probes, web_config, ..Aside::default() };
        if let Some(kubelet) = &self.kubelet {
            kubelet.newest().add_to(&mut aside);
        }
        let snapshot = self.reader.read(taken, aside);
        self.history.update(&snapshot);
        let mut assessment = assess(&snapshot, &self.history, &self.thresholds);
        let changes = self.findings.confirm(&mut assessment.findings);
        let incidents = self.recorder.record(taken, &assessment, &changes);
        self.number += 1;
        self.log_transitions(&snapshot);
        log_changes(&changes);
        if self.history.awaits_names() {
            self.names.ask();
            self.kubelet.iter().for_each(KubeletSlot::ask);
        }
        let poll =
            Poll { number: self.number, duration: began.elapsed(), process: self.process.read() };
        View { snapshot, assessment, incidents, poll }
    }

    /// A source that fails is logged once, and once when it is well again.
    fn log_transitions(&mut self, snapshot: &Snapshot) {
        for source in &snapshot.sources {
            let was_up = self
                .health
                .insert(source.source, source.health.clone())
                .is_none_or(|was| was == Health::Up);
            match &source.health {
                Health::Down(reason) if was_up => {
                    tracing::warn!(source = %source.source, reason, "source is down");
                }
                Health::Up if !was_up => {
                    tracing::info!(source = %source.source, "source is up again");
                }
                Health::Up | Health::Down(_) => {}
            }
        }
    }
}

/// A finding is logged once when it is raised, with its figures, and once when it is cleared.
fn log_changes(changes: &Changes) {
    for finding in &changes.raised {
        let figures: Vec<String> = finding
            .figures
            .iter()
            .map(|figure| format!("{}={}", figure.name, figure.value))
            .collect();
        let (name, figures) = (finding.name, figures.join(" "));
        let (sentence, remedy) = (&finding.sentence, &finding.remedy);
        match finding.severity {
            Severity::Critical => tracing::error!(finding = name, figures, remedy, "{sentence}"),
            Severity::Warning => tracing::warn!(finding = name, figures, remedy, "{sentence}"),
            Severity::Info => tracing::info!(finding = name, figures, remedy, "{sentence}"),
        }
    }
    for finding in &changes.cleared {
        tracing::info!(finding = finding.name, "cleared: {}", finding.sentence);
    }
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
