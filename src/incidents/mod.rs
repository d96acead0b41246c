//! The flight recorder: what a pod's figures were just before something happened to it.
//!
//! Who is called comes after the crash, and the kernel keeps no peak: usage is low again, and the counters say that,
//! not when. So the last polls of every pod are kept, and put aside whenever a finding of the pod is raised or it is
//! refused pages; and what follows is added for as long as something critical is found of it, so that the newest
//! figures and those just before the refusal are always there. Where that is much, what is long over is thinned out.
//! Everything is bounded, and time is that of the snapshots: there is no clock.

mod film;
mod thin;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::assessment::{
    Assessment, Changes, Finding, Identity, Killed, PodState, Severity, Subject,
};
use crate::snapshot::{Limit, Reading, Taken};
use crate::units::{Bytes, PageSize};
use film::{Figures, Film, Polls};

/// How many incidents are kept.
pub const MOST_INCIDENTS: usize = 20;
/// How many of them may be one pod's: one that crashes all night must not push out the others'.
const MOST_OF_A_POD: usize = 4;
/// How many polls are kept of each pod.
pub const FRAMES_BEFORE: usize = 30;
/// How many polls belong to an incident after its last event, and after nothing critical is found any more.
const FRAMES_AFTER: usize = 5;
/// How many frames an incident has at most.
pub const MOST_FRAMES: usize = 120;
/// How many events: the first ones, since they tell how it began, and the newest.
const MOST_EVENTS: usize = 50;
const FIRST_EVENTS: usize = 10;
/// What happens to a pod within this time after an event is the same incident.
const SAME_INCIDENT: Duration = Duration::from_secs(60);

/// The newest first.
pub type Incidents = Arc<[Arc<Incident>]>;

/// Something that happened to a pod, and its figures around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The pod, as it was called when this began.
    pub pod: Identity,
    /// Of which page size.
    pub page_size: PageSize,
    /// What happened, in order; never empty.
    pub events: Vec<Event>,
    /// The pod's figures, poll by poll: the newest and those before the last refusal, and as many others as there is
    /// room for.
    pub frames: Vec<Frame>,
    /// How many more polls belong to it, if nothing critical is found.
    to_come: usize,
    /// When its last event was, by the clock that never jumps.
    last: Duration,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was seen.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A finding of the pod or of one of its containers was raised.
    Raised {
        /// The rule's name.
        finding: &'static str,
        /// How much it matters.
        severity: Severity,
        /// What was said.
        sentence: String,
    },
    /// The pod's counter of refusals grew by so many.
    Refused(u64),
    /// A process got SIGBUS for want of a huge page.
    Killed(Killed),
}

/// A pod's figures of one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// When they were read.
    pub at: SystemTime,
    /// Touched.
    pub usage: Reading<Bytes>,
    /// Mapped, touched or not.
    pub reserved: Reading<Bytes>,
    /// The pod's fault limit, or that of the only container that holds pages.
    pub limit: Reading<Limit>,
    /// Refused charges, of the pod and its containers.
    pub failures: Reading<u64>,
}

/// A pod's UID and a page size.
type Key = (Arc<str>, PageSize);

/// Records.
#[derive(Debug, Default)]
pub struct Recorder {
    polls: Polls,
    films: HashMap<Key, Film>,
    /// The newest last.
    incidents: VecDeque<Arc<Incident>>,
    published: Incidents,
    /// The number of the last process that was killed and is told of.
    last_killed: u64,
}

impl Recorder {
    /// Takes a poll: its figures, and what it raised. Returns all incidents that are kept.
    pub fn record(
        &mut self,
        taken: Taken,
        assessment: &Assessment,
        changes: &Changes,
    ) -> Incidents {
        let now = taken.since_start;
        let critical = critical(assessment);
        self.polls.push(taken.wall);
        let mut changed = false;
        for pod in &assessment.pods {
            let containers = assessment.containers_of(&pod.identity.uid);
            for size in &pod.sizes {
                let key = (Arc::clone(&pod.identity.uid), size.page_size);
                let figures = Figures::of(size, containers);
                let film = self.films.entry(key.clone()).or_default();
                let refused = film.refused_since(&figures);
                film.push(figures, &self.polls);
                changed |=
                    self.continue_incident(&key, figures.at(taken.wall), critical.contains(&key));
                for killed in self.killed(assessment, &key) {
                    let event = Event { at: killed.at, kind: EventKind::Killed(killed.clone()) };
                    self.happened(&key, &pod.identity, event, now);
                    changed = true;
                }
                if refused > 0 {
                    let event = Event { at: taken.wall, kind: EventKind::Refused(refused) };
                    self.happened(&key, &pod.identity, event, now);
                    changed = true;
                }
            }
        }
        self.last_killed = assessment.killed.last().map_or(self.last_killed, |it| it.number);
        // Who is not shown any more has no figures, and will have none.
        self.films.retain(|_, film| film.goes_on(&self.polls));
        for finding in changes.raised.iter().chain(&changes.changed) {
            changed |= self.raised(finding, assessment, taken);
        }
        if changed {
            self.published = self.incidents.iter().rev().cloned().collect();
        }
        Arc::clone(&self.published)
    }

    /// Takes a poll of which all is as it was at the last one.
    pub fn record_again(&mut self, taken: Taken, assessment: &Assessment) -> Incidents {
        if self.incidents.iter().any(|incident| incident.to_come > 0) {
            return self.record(taken, assessment, &Changes::default());
        }
        self.polls.push(taken.wall);
        self.films.values_mut().for_each(|film| film.go_on(&self.polls));
        Arc::clone(&self.published)
    }

    /// The newest figures belong to what happened a moment ago, or goes on.
    fn continue_incident(&mut self, key: &Key, frame: Frame, is_critical: bool) -> bool {
        let mut newest_first = self.incidents.iter_mut().rev();
        let newest = newest_first.find(|incident| incident.is_of(key));
        let Some(incident) = newest.filter(|incident| incident.to_come > 0) else { return false };
        let incident = Arc::make_mut(incident);
        incident.to_come = if is_critical { FRAMES_AFTER } else { incident.to_come - 1 };
        incident.add_frames([frame]);
        true
    }

    /// Who was killed of that pod, for pages of that size, since that was last asked.
    fn killed<'a>(&self, assessment: &'a Assessment, key: &Key) -> Vec<&'a Killed> {
        let new = assessment.killed.iter().filter(|it| it.number > self.last_killed);
        new.filter(|it| it.who.uid == key.0 && it.page_size == Some(key.1)).collect()
    }

    fn raised(&mut self, finding: &Finding, assessment: &Assessment, taken: Taken) -> bool {
        let (Subject::Tenant(who), Some(page_size)) = (&finding.subject, finding.page_size) else {
            return false;
        };
        let key = (Arc::clone(&who.uid), page_size);
        // A container's finding is its pod's incident; a pod that is not shown has no figures to keep.
        let Some(pod) = pod(assessment, &who.uid) else { return false };
        let kind = EventKind::Raised {
            finding: finding.name,
            severity: finding.severity,
            sentence: finding.sentence.clone(),
        };
        let event = Event { at: taken.wall, kind };
        self.happened(&key, &pod.identity, event, taken.since_start);
        true
    }

    /// Adds an event to the incident that is under way, or begins one.
    fn happened(&mut self, key: &Key, pod: &Identity, event: Event, now: Duration) {
        let seen = self.films.get(key).map(|film| film.frames(&self.polls)).unwrap_or_default();
        let mut newest_first = self.incidents.iter_mut().rev();
        let newest = newest_first.find(|incident| incident.is_of(key));
        if let Some(incident) = newest.filter(|incident| incident.is_continued_by(&event, now)) {
            Arc::make_mut(incident).add_event(event, now, seen);
            return;
        }
        self.make_room(key);
        self.incidents.push_back(Arc::new(Incident {
            pod: pod.clone(),
            page_size: key.1,
            events: vec![event],
            frames: seen,
            to_come: FRAMES_AFTER,
            last: now,
        }));
    }

    /// For one more of that pod.
    fn make_room(&mut self, key: &Key) {
        let mut of_the_pod = (0..).zip(&self.incidents).filter(|(_, it)| it.is_of(key));
        let oldest = of_the_pod.next().map(|(place, _)| place);
        let is_full = of_the_pod.count() + 1 >= MOST_OF_A_POD;
        if let Some(oldest) = oldest.filter(|_| is_full) {
            self.incidents.remove(oldest);
        }
        if self.incidents.len() >= MOST_INCIDENTS {
            self.incidents.pop_front();
        }
    }
}

impl Incident {
    fn is_of(&self, (uid, page_size): &Key) -> bool {
        self.pod.uid == *uid && self.page_size == *page_size
    }

    /// Whether an event belongs to it: one that follows soon; and as long as it goes on any other, but not a second
    /// refusal, which is a story of its own.
    fn is_continued_by(&self, event: &Event, now: Duration) -> bool {
        let is_second = event.is_refusal() && self.events.iter().any(Event::is_refusal);
        now.saturating_sub(self.last) <= SAME_INCIDENT || (self.to_come > 0 && !is_second)
    }

    fn add_event(&mut self, event: Event, now: Duration, seen: Vec<Frame>) {
        self.last = now;
        self.to_come = FRAMES_AFTER;
        if self.events.len() >= MOST_EVENTS {
            self.events.remove(FIRST_EVENTS);
        }
        self.events.push(event);
        // What led to this, too: it may have been quiet for longer than an incident goes on by itself.
        let shown = self.frames.last().map(|frame| frame.at);
        self.add_frames(seen.into_iter().filter(|frame| Some(frame.at) > shown));
    }

    fn add_frames(&mut self, frames: impl IntoIterator<Item = Frame>) {
        self.frames.extend(frames);
        let refused = self.events.iter().rev().find(|event| event.is_refusal());
        let refused = refused.map(|event| event.at);
        for _ in MOST_FRAMES..self.frames.len() {
            thin::out(&mut self.frames, refused);
        }
    }
}

impl Event {
    /// Whether it is a refusal, not a finding.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, EventKind::Refused(_))
    }
}

/// The pods and page sizes of which something critical is found.
fn critical(assessment: &Assessment) -> HashSet<Key> {
    let critical =
        assessment.findings.iter().filter(|finding| finding.severity == Severity::Critical);
    critical
        .filter_map(|finding| match (&finding.subject, finding.page_size) {
            (Subject::Tenant(who), Some(page_size)) => Some((Arc::clone(&who.uid), page_size)),
            _ => None,
        })
        .collect()
}

fn pod<'a>(assessment: &'a Assessment, uid: &str) -> Option<&'a PodState> {
    assessment.pods.iter().find(|pod| *pod.identity.uid == *uid)
}

#[cfg(test)]
mod tests;
