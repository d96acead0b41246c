//! The agent: owns the clock and the loop.
//!
//! The poller is a thread of its own that reads kernel files only, and so never waits for a disk, a
//! network or another process. Names come from a log directory that may lie on a slow disk: they are looked for
//! on the side and left where the poller takes what is there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, oneshot, watch};

use crate::assessment::{Selection, assess};
use crate::config::Config;
use crate::history::{History, Retention};
use crate::snapshot::{Health, Reading, Snapshot, Source, Taken};
use crate::sources::{Names, OwnProcess, Reader, Roots, scan_names};
use crate::view::{Poll, View};
use crate::web::{ServeError, Server, Site};

/// Names are looked for this often when nobody waits for one.
const NAMES_IDLE: Duration = Duration::from_secs(30);

/// And at most this often when somebody does.
const NAMES_BUSY: Duration = Duration::from_secs(1);

/// The first snapshot waits so long for names, no longer: it is better with them, but a stuck disk must
/// not keep the agent from starting.
const FIRST_NAMES: Duration = Duration::from_secs(1);

/// Why the agent ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
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
    let server = Server::bind(&config.listen).await?;
    for address in server.addresses() {
        tracing::info!(%address, path = config.telemetry_path.as_str(), "listening");
    }
    let mut signals = Signals::new()?;
    let started = Instant::now();
    let interval = config.poll_interval.duration();
    let (views, view) = watch::channel(None);
    let (end, ending) = watch::channel(false);
    let site = Site::new(view, config.telemetry_path, started, interval, ending);
    let serving = tokio::spawn(server.serve(site));

    let poller = Poller {
        names: NameSlot::start(config.roots.clone()).await,
        reader: Reader::new(config.roots),
        history: History::new(Retention::default()),
        selection: config.selection,
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

/// One look at the node, for a report. Waits for names, and holds nothing back for want of one.
pub fn look_once(roots: Roots, selection: Selection) -> View {
    let started = Instant::now();
    let names = scan_names(&roots);
    let taken = Taken { wall: SystemTime::now(), since_start: Duration::ZERO };
    let snapshot = Reader::new(roots).read(taken, names);
    let mut history = History::new(Retention { hold_back: Duration::ZERO, ..Retention::default() });
    history.update(&snapshot);
    let assessment = assess(&snapshot, &history, selection);
    View {
        snapshot,
        assessment,
        poll: Poll { number: 1, duration: started.elapsed(), process: Reading::Absent },
    }
}

/// The loop that makes views.
struct Poller {
    reader: Reader,
    history: History,
    selection: Selection,
    interval: Duration,
    started: Instant,
    names: NameSlot,
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
        let snapshot = self.reader.read(taken, self.names.newest());
        self.history.update(&snapshot);
        let assessment = assess(&snapshot, &self.history, self.selection);
        self.number += 1;
        self.log_transitions(&snapshot);
        if self.history.awaits_names() {
            self.names.ask();
        }
        let poll =
            Poll { number: self.number, duration: began.elapsed(), process: self.process.read() };
        View { snapshot, assessment, poll }
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

/// Where names are left for the poller.
struct NameSlot {
    newest: watch::Receiver<Names>,
    wanted: Arc<Notify>,
}

impl NameSlot {
    /// Starts looking for names; returns when they were found, or soon.
    async fn start(roots: Roots) -> Self {
        let (sender, mut newest) = watch::channel(Names::default());
        let wanted = Arc::new(Notify::new());
        tokio::spawn(look_for_names(roots, sender, Arc::clone(&wanted)));
        if tokio::time::timeout(FIRST_NAMES, newest.changed()).await.is_err() {
            tracing::warn!("the log directories are slow; the first series come without names");
        }
        Self { newest, wanted }
    }

    fn newest(&self) -> Names {
        self.newest.borrow().clone()
    }

    fn ask(&self) {
        self.wanted.notify_one();
    }
}

async fn look_for_names(roots: Roots, sender: watch::Sender<Names>, wanted: Arc<Notify>) {
    loop {
        let roots = roots.clone();
        let Ok(names) = tokio::task::spawn_blocking(move || scan_names(&roots)).await else {
            return;
        };
        if sender.send(names).is_err() {
            return;
        }
        tokio::time::sleep(NAMES_BUSY).await;
        // A time-out is the ordinary case: nobody asked.
        let _ = tokio::time::timeout(NAMES_IDLE, wanted.notified()).await;
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
