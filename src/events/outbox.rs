//! What waits to be said, what was said, and when what comes next.
//!
//! It goes by the findings that stand, not by their changes: what was missed while a view was skipped or a pod had no name
//! yet is said with the next view.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::answer::Meaning;
use super::pace::Pace;
use super::{Counts, Event, Outcome, Sent, Step};
use crate::assessment::{Finding, Severity};
use crate::snapshot::Taken;

/// So many Events wait at most; of more the oldest are dropped.
const MOST_WAITING: usize = 100;

/// So many are remembered as said; of more those that are longest over are forgotten.
const MOST_TOLD: usize = 1_000;

/// What stands is said again after this time: Kubernetes keeps an Event for an hour after it was last touched.
const STANDING: Duration = Duration::from_secs(30 * 60);

/// The same Event is not repeated sooner, whatever happens.
const AGAIN: Duration = Duration::from_secs(60);

/// What is over is remembered so long, to be repeated and not made anew.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The first wait after a failure, and the longest; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The longest that a server is left alone because it asks for that.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// More requests than these for one Event mean that somebody makes and removes it all the time.
const MOST_STEPS: u32 = 6;

type Key = (String, String);

/// Everything that is to be said.
#[derive(Debug)]
pub struct Outbox {
    with_processes: bool,
    told: HashMap<Key, Told>,
    waiting: VecDeque<Waiting>,
    /// What is being sent.
    sending: Option<Waiting>,
    pace: Pace,
    /// Nothing is sent before, since something failed.
    not_before: Duration,
    /// Failures in a row.
    failures: u32,
    counts: Counts,
}

/// What is known of an Event that was said, or is about to be.
#[derive(Debug)]
struct Told {
    /// When it was last put among what waits.
    at: Duration,
    /// When the finding was last there.
    seen: Duration,
    /// Whether it was missing from a view since it was said.
    was_gone: bool,
    faults: u64,
    /// How often the Event says that it was observed; nothing where that is not known.
    count: Option<u64>,
    /// Whether it waits or is being sent.
    waits: bool,
}

#[derive(Debug)]
struct Waiting {
    event: Arc<Event>,
    step: Step,
    /// How many requests have led to another.
    steps: u32,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Nothing waits.
    Nothing,
    /// Something does, and may be sent from then on.
    At(Duration),
    /// Send this now, and say what came of it.
    Send(Arc<Event>, Step),
}

/// What an answer has changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is worth a line.
    None,
    /// From now on nothing gets through, and why.
    Failing(String),
    /// It does again.
    Well,
    /// This one is not taken, and why.
    NotTaken(String),
}

impl Outbox {
    /// With nothing to say yet.
    pub fn new(with_processes: bool, counts: Counts) -> Self {
        Self {
            with_processes,
            told: HashMap::new(),
            waiting: VecDeque::new(),
            sending: None,
            pace: Pace::default(),
            not_before: Duration::ZERO,
            failures: 0,
            counts,
        }
    }

    /// What became of everything so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes the findings that stand.
    pub fn take_in(&mut self, findings: &[Finding], node: Option<&Arc<str>>, taken: Taken) {
        let now = taken.since_start;
        for finding in findings {
            if let Some(event) = Event::of(finding, node, taken.wall, self.with_processes) {
                self.consider(event, now);
            }
        }
        for told in self.told.values_mut() {
            told.was_gone |= told.seen != now;
        }
        self.told.retain(|_, told| told.waits || now.saturating_sub(told.seen) < REMEMBERED);
    }

    fn consider(&mut self, event: Event, now: Duration) {
        let (namespace, name) = event.key();
        let key = (namespace.to_owned(), name.to_owned());
        let Some(told) = self.told.get_mut(&key) else {
            self.forget_one();
            let faults = event.faults;
            let told =
                Told { at: now, seen: now, was_gone: false, faults, count: None, waits: true };
            self.told.insert(key, told);
            self.put(event, Step::Create);
            return;
        };
        told.seen = now;
        let since = now.saturating_sub(told.at);
        let is_news = told.was_gone || event.faults > told.faults;
        let is_worth_it = event.severity() < Severity::Info;
        let is_due = is_news && since >= AGAIN || is_worth_it && since >= STANDING;
        if is_due && !told.waits {
            (told.at, told.faults, told.waits, told.was_gone) = (now, event.faults, true, false);
            let step = told.count.map_or(Step::Create, |count| Step::Repeat(count + 1));
            self.put(event, step);
        }
    }

    /// Puts it behind the others, and drops the oldest where that is one too many.
    fn put(&mut self, event: Event, step: Step) {
        self.waiting.push_back(Waiting { event: Arc::new(event), step, steps: 0 });
        if self.waiting.len() <= MOST_WAITING {
            return;
        }
        let oldest = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.event.at());
        if let Some(dropped) = oldest.map(|(place, _)| place).and_then(|it| self.waiting.remove(it))
        {
            self.counts.add(Outcome::Dropped);
            self.is_over(&dropped.event, None);
        }
    }

    /// Makes room for one more to remember.
    fn forget_one(&mut self) {
        if self.told.len() < MOST_TOLD {
            return;
        }
        let over = self.told.iter().filter(|(_, told)| !told.waits);
        let longest = over.min_by_key(|(_, told)| told.seen).map(|(key, _)| key.clone());
        if let Some(key) = longest {
            self.told.remove(&key);
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Next {
        let may = self.pace.next().max(self.not_before);
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        if now < may {
            return Next::At(may);
        }
        let Some(first) = self.waiting.pop_front() else { return Next::Nothing };
        self.pace.made(now);
        let next = Next::Send(Arc::clone(&first.event), first.step);
        self.sending = Some(first);
        next
    }

    /// What came of what was sent.
    pub fn sent(&mut self, sent: &Sent, now: Duration) -> Change {
        let Some(mut sending) = self.sending.take() else { return Change::None };
        let was_failing = self.failures > 0;
        let change = match sent.meaning(sending.step) {
            Meaning::Later(outcome, why, wait) => {
                self.counts.add(outcome);
                self.not_before = now + self.back_off(wait);
                // Another one may fare better.
                self.waiting.push_back(sending);
                return if was_failing { Change::None } else { Change::Failing(why) };
            }
            Meaning::Then(step) if sending.steps < MOST_STEPS => {
                (sending.step, sending.steps) = (step, sending.steps + 1);
                self.waiting.push_front(sending);
                Change::None
            }
            Meaning::Then(_) => {
                self.not_taken(&sending.event, "it is made and removed all the time")
            }
            Meaning::Never(why) => self.not_taken(&sending.event, &why),
            Meaning::Done(outcome, count) => {
                self.counts.add(outcome);
                self.is_over(&sending.event, count);
                Change::None
            }
        };
        self.failures = 0;
        if was_failing && change == Change::None { Change::Well } else { change }
    }

    fn not_taken(&mut self, event: &Event, why: &str) -> Change {
        self.counts.add(Outcome::Invalid);
        self.is_over(event, None);
        Change::NotTaken(format!("{}: {why}", event.described()))
    }

    fn is_over(&mut self, event: &Event, count: Option<u64>) {
        let (namespace, name) = event.key();
        if let Some(told) = self.told.get_mut(&(namespace.to_owned(), name.to_owned())) {
            (told.waits, told.count) = (false, count);
        }
    }

    /// How long to wait after one more failure.
    fn back_off(&mut self, wanted: Duration) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST_WAIT).max(wanted.min(MOST_PATIENCE))
    }
}
