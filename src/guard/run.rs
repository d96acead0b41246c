//! The loop: it waits for the kernel's word, for the next look, and for the end.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;

use super::candidates::Candidates;
use super::engine::Engine;
use super::names::{self, Names};
use super::state::State;
use super::summary::Summary;
use super::tally::{Lefts, Tally};
use super::tree::{Told, Tree};
use super::{GuardError, Settings, kubepods};
use crate::exchange::{self, Moment};

/// A limit is followed by the reservation limit of whoever writes both: it gets so long to come.
const SETTLES: Duration = Duration::from_micros(300);
/// How often the report is renewed though nothing has happened, and after how long it is late.
const RENEW: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(35);
/// How often at most it is written.
const SPACING: Duration = Duration::from_millis(100);
/// How often those that may need a rescue are looked at whole, whatever the sums say.
const WHOLE: Duration = Duration::from_secs(10);
/// How often everything is listed anew, whatever the kernel has told.
const SWEEP: Duration = Duration::from_secs(300);
/// How often kubepods is looked for where there is none.
const SEARCH: Duration = Duration::from_secs(5);

/// Guards until it is told to end.
pub fn run(settings: Settings) -> Result<(), GuardError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| GuardError(format!("{what}: {error}"));
    let signals = signals().map_err(|error| failed("can't wait for signals", &error))?;
    let now = Moment::now(&settings.roots.proc)
        .map_err(|error| failed("can't tell which boot this is", &error))?;
    let ends = settings.lasts.map(|lasts| Instant::now() + lasts);
    let mut said = None;
    let found = loop {
        match kubepods::find(&settings.roots, settings.kubepods.as_deref()) {
            Ok(found) => break found,
            Err(why) if said.as_ref() == Some(&why) => {}
            Err(why) => {
                tracing::warn!("nothing to guard yet: {why}");
                said = Some(why);
            }
        }
        if has_ended(&signals, ends, SEARCH) {
            return Ok(());
        }
    };
    let tree = Tree::new(found).map_err(|error| failed("can't be told of cgroups", &error))?;
    let mut engine = Engine::new(settings, now, tree);
    engine.begin();
    engine.guard(&signals, ends)?;
    if engine.settings.dry_run {
        use std::io::Write;
        // Nothing can be done where stdout is closed.
        let _ = write!(std::io::stdout().lock(), "{}", engine.summary);
    }
    Ok(())
}

/// SIGTERM and SIGINT, to be read instead of ending the process.
fn signals() -> nix::Result<SignalFd> {
    let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Waits for so long, or until it is told to end.
fn has_ended(signals: &SignalFd, ends: Option<Instant>, wait: Duration) -> bool {
    let wait = ends.map_or(wait, |ends| wait.min(ends.saturating_duration_since(Instant::now())));
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    // Interrupted, it is as if the time were over.
    let _ = ppoll(&mut fds, Some(TimeSpec::from(wait)), None);
    is_told(signals) || ends.is_some_and(|ends| Instant::now() >= ends)
}

fn is_told(signals: &SignalFd) -> bool {
    signals.read_signal().is_ok_and(|signal| signal.is_some())
}

/// When what comes round comes next.
struct Rounds {
    report: Instant,
    whole: Instant,
    sweep: Instant,
    look: Instant,
}

impl Engine {
    fn new(settings: Settings, now: Moment, tree: Tree) -> Self {
        let (uid, own) = names::own(&settings.roots.proc);
        let excluded = settings.policy.excluded_namespaces.clone();
        let names = Names::new(&settings.roots.pod_logs, excluded, uid);
        let state = State::new(&settings.state);
        Self {
            started: now.since_boot,
            settings,
            now,
            tree,
            names,
            state,
            tally: Tally::default(),
            lefts: Lefts::default(),
            summary: Summary::default(),
            candidates: Candidates::default(),
            own,
            state_trouble: None,
            is_paused: false,
            has_news: true,
            due: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Opens what it needs, and looks at all pods.
    fn begin(&mut self) {
        if !self.settings.dry_run {
            self.state.start();
        }
        self.mind_state();
        if let Some(directory) = self.names.source() {
            let directory = directory.to_owned();
            self.tree.watch.names(&directory);
        }
        self.names.list();
        let policy = &self.settings.policy;
        tracing::info!(
            refuse = super::telling::word(policy.refuse),
            rescue = policy.rescue,
            dry_run = self.settings.dry_run,
            pods = self.tree.pods().count(),
            "the guard begins"
        );
        self.visit_all();
        self.forget_the_gone();
    }

    fn guard(&mut self, signals: &SignalFd, ends: Option<Instant>) -> Result<(), GuardError> {
        let now = Instant::now();
        let mut rounds = Rounds { report: now, whole: now + WHOLE, sweep: now + SWEEP, look: now };
        loop {
            let next = self.next(&rounds, ends);
            let wait = next.saturating_duration_since(Instant::now());
            let (told, fds) = {
                let mut fds = [
                    PollFd::new(self.tree.watch.descriptor(), PollFlags::POLLIN),
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                ];
                // Interrupted, everything is looked at as if its time had come.
                let _ = ppoll(&mut fds, Some(TimeSpec::from(wait)), None);
                let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or_default();
                (fds.first().is_some_and(is_ready), fds.get(1).is_some_and(is_ready))
            };
            if (fds && is_told(signals)) || ends.is_some_and(|ends| Instant::now() >= ends) {
                break;
            }
            if told {
                self.heed();
            }
            if Instant::now() >= rounds.report && self.tree.is_gone() {
                return Err(GuardError(
                    "kubepods is gone: it is looked for at the next start".to_owned(),
                ));
            }
            self.come_round(&mut rounds);
            self.visit_due();
            self.tell(&mut rounds);
        }
        let mut last = rounds;
        last.report = Instant::now();
        self.tell(&mut last);
        Ok(())
    }

    fn next(&self, rounds: &Rounds, ends: Option<Instant>) -> Instant {
        let mut next = rounds.report.min(rounds.whole).min(rounds.sweep);
        if !self.candidates.is_empty() {
            next = next.min(rounds.look);
        }
        if self.has_news {
            next = next.min(rounds.report - RENEW + SPACING);
        }
        self.due.values().copied().chain(ends).fold(next, Instant::min)
    }

    /// Takes in what the kernel has told.
    fn heed(&mut self) {
        for told in self.tree.take() {
            match told {
                Told::Pod(id) => {
                    self.due.insert(id, Instant::now() + SETTLES);
                }
                Told::Name(name, true) => {
                    self.names.add(name.to_str().unwrap_or_default());
                    self.visit_unnamed();
                }
                Told::Name(_, false) => {}
                Told::State => self.mind_state(),
            }
        }
    }

    /// Those that waited for a name may have one now.
    fn visit_unnamed(&mut self) {
        let now = Instant::now();
        let waiting = |id: &super::tree::PodId| {
            let pod = self.tree.pod(*id)?;
            (self.names.standing(&pod.uid) != names::Standing::Unnamed).then_some(*id)
        };
        let ready: Vec<_> = self.seen.keys().filter_map(waiting).collect();
        for id in ready {
            if self.due.get(&id).is_some_and(|due| *due > now) || self.is_left_unnamed(id) {
                self.due.insert(id, now);
            }
        }
    }

    fn is_left_unnamed(&self, id: super::tree::PodId) -> bool {
        let Some(pod) = self.tree.pod(id) else { return false };
        let mut unnamed = self
            .lefts
            .all()
            .filter(|(_, left)| left.outcome == crate::snapshot::guard::Outcome::Unnamed);
        unnamed.any(|((cgroup, ..), _)| *cgroup == pod.directory.shown)
    }

    fn visit_due(&mut self) {
        let now = Instant::now();
        let due: Vec<_> =
            self.due.iter().filter(|(_, due)| **due <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.due.remove(&id);
            self.visit(id);
        }
    }

    fn visit_all(&mut self) {
        let all: Vec<_> = self.tree.pods().map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.visit(id));
    }

    fn come_round(&mut self, rounds: &mut Rounds) {
        let now = Instant::now();
        if now >= rounds.look && !self.candidates.is_empty() {
            rounds.look = now + self.settings.interval;
            let changed = self.candidates.changed(&self.tree);
            self.due.extend(changed.into_iter().map(|id| (id, now)));
        }
        if now >= rounds.whole {
            rounds.whole = now + WHOLE;
            self.due.extend(self.candidates.all().into_iter().map(|id| (id, now)));
            self.mind_state();
            if self.names.is_full() {
                self.names.list();
            }
        }
        if now >= rounds.sweep {
            rounds.sweep = now + SWEEP;
            self.tree.list_all();
            self.names.list();
            self.forget_the_gone();
            self.due.extend(self.tree.pods().map(|(id, _)| (id, now)));
        }
    }

    /// Whether it is paused, and whether the state directory is ours. All is looked at again where that has changed.
    fn mind_state(&mut self) {
        let was = (self.is_paused, self.state.journal().is_some());
        self.is_paused = self.state.is_paused();
        if self.settings.dry_run {
            return;
        }
        if self.is_paused {
            self.state.close();
            self.state_trouble = None;
        } else {
            let opened = self.state.open(&self.now.boot);
            if let Err(why) = &opened
                && self.state_trouble.as_ref() != Some(why)
            {
                tracing::warn!("nothing is written: {why}");
            }
            self.state_trouble = opened.err();
        }
        let directory = self.state.directory().to_owned();
        self.tree.watch.state(&directory);
        if was != (self.is_paused, self.state.journal().is_some()) {
            self.has_news = true;
            let word =
                if self.is_paused { "the guard is paused" } else { "the guard is not paused" };
            tracing::info!("{word}");
            let now = Instant::now();
            self.due.extend(self.tree.pods().map(|(id, _)| (id, now)));
        }
    }

    /// Tells the exporter, if it is time to.
    fn tell(&mut self, rounds: &mut Rounds) {
        let now = Instant::now();
        let is_time =
            now >= rounds.report || self.has_news && now >= rounds.report - RENEW + SPACING;
        if !is_time {
            return;
        }
        rounds.report = now + RENEW;
        self.has_news = false;
        let Some(directory) = &self.settings.report else { return };
        let told = self.now.renew().map_err(|error| error.to_string()).and_then(|()| {
            exchange::write(directory, &self.report(), LATE, &self.now)
                .map_err(|error| error.to_string())
        });
        if let Err(why) = told {
            tracing::warn!("the exporter can't be told: {why}");
        }
    }
}
