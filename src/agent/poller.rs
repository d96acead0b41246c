//! The loop that makes views, on a thread of its own that reads kernel files only.
//!
//! It waits for the next poll's time, for word that something was refused, for a new cgroup where polls are far apart, or
//! for the end, and for nothing else: names, the kubelet, mappings and the probe are looked after elsewhere, and their newest is taken as it is.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::{oneshot, watch};

use super::assessor::Assessor;
use super::events::EventSlot;
use super::guard::GuardSlot;
use super::kubelet::KubeletSlot;
use super::mappings::MappingSlot;
use super::names::NameSlot;
use super::pace::Pace;
use super::prober::ProbeSlot;
use super::witness::WitnessSlot;
use super::{AgentError, changes};
use crate::assessment::Thresholds;
use crate::incidents::Recorder;
use crate::log;
use crate::snapshot::{Health, Snapshot, Source, Taken};
use crate::sources::{Aside, OwnProcess, Reader};
use crate::view::{Poll, View};

/// A refusal waits so long for word of who was killed by it.
const GRACE: Duration = Duration::from_millis(15);

/// The poller's thread. It reads kernel files only, so told to stop it ends at once; nobody waits for it.
pub(super) struct Polling {
    stop: Arc<EventFd>,
    /// Resolves when the thread ends, however it ends.
    pub(super) ended: oneshot::Receiver<()>,
}

impl Polling {
    pub(super) fn start(
        mut poller: Poller,
        views: watch::Sender<Option<Arc<View>>>,
    ) -> Result<Self, AgentError> {
        let failed = |source| AgentError::Start { what: "poller", source };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = EventFd::from_value_and_flags(0, flags);
        let stop = Arc::new(stop.map_err(|error| failed(error.into()))?);
        let stopped = Arc::clone(&stop);
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            let _told_by_dropping = end;
            poller.run(&stopped, &views);
        };
        thread::Builder::new().name("poller".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { stop, ended })
    }

    /// Tells it to end.
    pub(super) fn stop(&self) {
        // It fails only where it was told 2^64 times.
        let _ = self.stop.write(1);
    }
}

/// Where facts that take their time are left.
pub(super) struct Slots {
    pub(super) names: NameSlot,
    pub(super) kubelet: Option<KubeletSlot>,
    pub(super) mappings: Option<MappingSlot>,
    pub(super) guard: Option<GuardSlot>,
    pub(super) probe: Option<ProbeSlot>,
    pub(super) events: Option<EventSlot>,
    pub(super) witness: Option<WitnessSlot>,
    /// Why the newest web configuration is not in force, if it is not; nothing where there is no file of it.
    pub(super) web_config: Option<watch::Receiver<Option<String>>>,
}

/// The loop.
pub(super) struct Poller {
    node: Option<Arc<str>>,
    reader: Reader,
    slots: Slots,
    assessor: Assessor,
    recorder: Recorder,
    pace: Pace,
    started: Instant,
    health: BTreeMap<Source, Health>,
    process: OwnProcess,
    polls: u64,
    woken: u64,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The interval is over.
    Due,
    /// Something was refused, or somebody got SIGBUS.
    Refusal,
    /// A cgroup came.
    Arrival,
    /// It is to end.
    Stop,
}

/// What is listened for besides the end.
struct Ears {
    refusals: bool,
    signals: bool,
    arrivals: bool,
    until: Instant,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Stop,
    Refusal,
    Signal,
    Arrival,
}

impl Slots {
    /// The newest of everything.
    fn newest(&self) -> Aside {
        let web_config = self.web_config.as_ref().map(|failure| match &*failure.borrow() {
            Some(reason) => Health::Down(reason.clone()),
            None => Health::Up,
        });
        let mut aside = Aside {
            names: self.names.newest(),
            mappings: self.mappings.as_ref().and_then(MappingSlot::newest),
            guard: self.guard.as_ref().map(GuardSlot::newest),
            probes: self.probe.as_ref().map(ProbeSlot::newest),
            witness: self.witness.as_ref().map(WitnessSlot::newest),
            web_config,
            ..Aside::default()
        };
        if let Some(kubelet) = &self.kubelet {
            kubelet.newest().add_to(&mut aside);
        }
        aside
    }

    fn ask_for_names(&self) {
        self.names.ask();
        self.kubelet.iter().for_each(KubeletSlot::ask);
    }
}

impl Poller {
    pub(super) fn new(
        node: Option<Arc<str>>,
        reader: Reader,
        slots: Slots,
        thresholds: Thresholds,
        pace: Pace,
        started: Instant,
    ) -> Self {
        Self {
            node,
            reader,
            slots,
            assessor: Assessor::new(thresholds),
            recorder: Recorder::default(),
            pace,
            started,
            health: BTreeMap::new(),
            process: OwnProcess::new(),
            polls: 0,
            woken: 0,
        }
    }

    /// Polls until told to stop, or until nobody wants the views.
    fn run(&mut self, stop: &EventFd, views: &watch::Sender<Option<Arc<View>>>) {
        let mut cause = Cause::Due;
        while cause != Cause::Stop {
            let (began, spent) = (Instant::now(), processor_time());
            self.woken += u64::from(cause == Cause::Refusal);
            let before = views.borrow().clone();
            let view = self.poll(began, before.as_deref());
            let (usual, due) = (began + self.pace.usual(), began + view.poll.next);
            if views.send(Some(Arc::new(view))).is_err() {
                return;
            }
            if cause == Cause::Refusal || (cause == Cause::Arrival && self.slots.witness.is_some())
            {
                self.pace.woken(began, processor_time().saturating_sub(spent));
            }
            cause = self.wait(usual, due, stop);
        }
    }

    /// Waits for the time of the next poll, or for something that makes one sooner: a refusal, or, where the interval is
    /// longer than usual since nothing is in use, a new cgroup.
    fn wait(&mut self, usual: Instant, due: Instant, stop: &EventFd) -> Cause {
        let mut wanted: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if wanted.is_some_and(|from| now >= from.max(self.pace.next_woken())) {
                return Cause::Refusal;
            }
            if now >= due {
                return Cause::Due;
            }
            match self.hear(&self.ears(now, wanted, usual, due), now, stop) {
                Some(Heard::Stop) => return Cause::Stop,
                Some(Heard::Arrival) => return Cause::Arrival,
                Some(Heard::Signal) => {
                    self.slots.witness.iter().for_each(WitnessSlot::take_signals);
                    wanted = Some(now);
                }
                Some(Heard::Refusal) => {
                    let (began, spent) = (Instant::now(), processor_time());
                    if self.reader.heed_refusals() {
                        // Who was killed by it is told a moment later, and one poll shows both.
                        let grace = self.slots.witness.as_ref().map_or(Duration::ZERO, |_| GRACE);
                        wanted = wanted.or(Some(began + grace));
                    }
                    self.pace.listened(began, processor_time().saturating_sub(spent));
                }
                None => {}
            }
        }
    }

    /// What to listen for now, and until when; from when on a poll is wanted, if one is.
    fn ears(&self, now: Instant, wanted: Option<Instant>, usual: Instant, due: Instant) -> Ears {
        let mut until = due;
        let mut is_from = |at: Instant| {
            if now < at {
                until = until.min(at);
            }
            now >= at
        };
        let refusals = match wanted {
            Some(from) => {
                is_from(from.max(self.pace.next_woken()));
                false
            }
            None => is_from(self.pace.listen_from()),
        };
        let signals = wanted.is_none_or(|from| now < from);
        // Where signals are told of, a container is to be known before anything happens to it.
        let arrivals = match &self.slots.witness {
            Some(_) => is_from(self.pace.next_woken()),
            None => usual < due && is_from(usual),
        };
        Ears { refusals, signals, arrivals, until }
    }

    fn hear(&self, ears: &Ears, now: Instant, stop: &EventFd) -> Option<Heard> {
        let refusals = self.reader.refusals().filter(|_| ears.refusals);
        let arrivals = self.reader.arrivals().filter(|_| ears.arrivals);
        let signals = self.slots.witness.as_ref().filter(|_| ears.signals);
        let signals = signals.map(WitnessSlot::signals);
        let sources = [
            (Heard::Stop, Some(stop.as_fd())),
            (Heard::Refusal, refusals),
            (Heard::Signal, signals),
            (Heard::Arrival, arrivals),
        ];
        let (heard, mut polled): (Vec<Heard>, Vec<PollFd<'_>>) = sources
            .into_iter()
            .filter_map(|(heard, fd)| Some((heard, PollFd::new(fd?, PollFlags::POLLIN))))
            .unzip();
        let rest = TimeSpec::from_duration(ears.until.saturating_duration_since(now));
        // A signal that was handled on this thread is no reason to do anything.
        let ready = ppoll(&mut polled, Some(rest), None).is_ok_and(|ready| ready > 0);
        let mut heard = heard.into_iter().zip(polled).filter(|(_, fd)| fd.any() == Some(true));
        heard.next().filter(|_| ready).map(|(heard, _)| heard)
    }

    fn poll(&mut self, began: Instant, before: Option<&View>) -> View {
        let taken = Taken {
            wall: SystemTime::now(),
            since_start: began.saturating_duration_since(self.started),
        };
        let snapshot = self.reader.read(taken, self.slots.newest());
        let (assessment, changes) = self.assessor.assess(&snapshot, before);
        let is_repeated = before.is_some_and(|it| Arc::ptr_eq(&it.assessment, &assessment));
        let incidents = match is_repeated {
            true => self.recorder.record_again(taken, &assessment),
            false => self.recorder.record(taken, &assessment, &changes),
        };
        self.polls += 1;
        self.log_transitions(&snapshot);
        changes::log(&changes);
        if self.assessor.awaits_names() {
            self.slots.ask_for_names();
        }
        self.pace.take_in(&snapshot);
        let poll = Poll {
            number: self.polls,
            woken: self.woken,
            duration: began.elapsed(),
            next: self.pace.interval(taken.since_start),
            log_lines_lost: log::lost(),
            events: self.slots.events.as_ref().map(EventSlot::counts),
            process: self.process.read(),
        };
        View { node: self.node.clone(), snapshot, assessment, incidents, poll }
    }

    /// A source that fails is logged once, and once when it is well again.
    fn log_transitions(&mut self, snapshot: &Snapshot) {
        for source in &snapshot.sources {
            let was = self.health.insert(source.source, source.health.clone());
            let was_down = matches!(was, Some(Health::Down(_)));
            match &source.health {
                Health::Down(reason) if !was_down => {
                    tracing::warn!(source = %source.source, reason, "source is down");
                }
                Health::Missing(what) if !matches!(was, Some(Health::Missing(_))) => {
                    tracing::info!(source = %source.source, what, "source has nothing to read");
                }
                Health::Up if was_down => {
                    tracing::info!(source = %source.source, "source is up again");
                }
                Health::Up | Health::Missing(_) | Health::Down(_) => {}
            }
        }
    }
}

/// What this thread has taken of a processor so far. On a busy node a poll takes longer and costs no more.
fn processor_time() -> Duration {
    // The kernel has had this clock for longer than huge pages in cgroups.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
