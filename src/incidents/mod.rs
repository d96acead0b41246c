//! The flight recorder: what a pod's figures were just before something happened to it.
//!
//! Who is called comes after the crash, and the kernel keeps no peak: usage is low again, and the counters say that,
//! not when. So the last polls of every pod are kept, and put aside whenever a finding of the pod is raised or it is
//! refused pages. Everything is bounded, and time is that of the snapshots: there is no clock.

mod film;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::assessment::{Assessment, Changes, Finding, Identity, PodState, Severity, Subject};
use crate::snapshot::{Limit, Reading, Taken};
use crate::units::{Bytes, PageSize};
use film::{Figures, Film, Polls};

/// How many incidents are kept.
pub const MOST_INCIDENTS: usize = 20;
/// How many of them may be one pod's: one that crashes all night must not push out the others'.
const MOST_OF_A_POD: usize = 4;
/// How many polls are kept of each pod.
pub const FRAMES_BEFORE: usize = 30;
/// How many polls after its last event belong to an incident.
const FRAMES_AFTER: usize = 5;
/// An incident that goes on and on is cut here.
const MOST_FRAMES: usize = 120;
const MOST_EVENTS: usize = 50;
/// What happens to a pod within this time after an event is the same incident.
const SAME_INCIDENT: Duration = Duration::from_secs(60);

/// The newest first.
pub type Incidents = Arc<[Incident]>;

/// Something that happened to a pod, and its figures around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The pod, as it was called when this began.
    pub pod: Identity,
    /// Of which page size.
    pub page_size: PageSize,
    /// What happened, in order; never empty.
    pub events: Vec<Event>,
    /// The pod's figures, poll by poll.
    pub frames: Vec<Frame>,
    /// How many more polls belong to it.
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
    /// The pod's fault limit.
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
    incidents: VecDeque<Incident>,
    published: Incidents,
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
        self.polls.push(taken.wall);
        let mut changed = false;
        for pod in &assessment.pods {
            for size in &pod.sizes {
                let key = (Arc::clone(&pod.identity.uid), size.page_size);
                let figures = Figures::of(size);
                let film = self.films.entry(key.clone()).or_default();
                let refused = film.refused_since(&figures);
                film.push(figures, &self.polls);
                changed |= self.continue_incident(&key, figures.at(taken.wall));
                if refused > 0 {
                    let event = Event { at: taken.wall, kind: EventKind::Refused(refused) };
                    self.happened(&key, &pod.identity, event, now);
                    changed = true;
                }
            }
        }
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

    /// The newest figures belong to what happened a moment ago, too.
    fn continue_incident(&mut self, key: &Key, frame: Frame) -> bool {
        let mut newest_first = self.incidents.iter_mut().rev();
        let Some(incident) = newest_first.find(|incident| incident.is_of(key)) else {
            return false;
        };
        if incident.to_come == 0 || incident.frames.len() >= MOST_FRAMES {
            return false;
        }
        incident.to_come -= 1;
        incident.frames.push(frame);
        true
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
        let is_under_way = |incident: &&mut Incident| {
            incident.is_of(key) && now.saturating_sub(incident.last) <= SAME_INCIDENT
        };
        let seen = self.films.get(key).map(|film| film.frames(&self.polls)).unwrap_or_default();
        if let Some(incident) = self.incidents.iter_mut().rev().find(is_under_way) {
            incident.last = now;
            incident.to_come = FRAMES_AFTER;
            // What led to this, too: it may have been quiet for longer than an incident goes on by itself.
            let shown = incident.frames.last().map(|frame| frame.at);
            incident.frames.extend(seen.into_iter().filter(|frame| Some(frame.at) > shown));
            incident.frames.truncate(MOST_FRAMES);
            if incident.events.len() < MOST_EVENTS {
                incident.events.push(event);
            }
            return;
        }
        self.make_room(key);
        self.incidents.push_back(Incident {
            pod: pod.clone(),
            page_size: key.1,
            events: vec![event],
            frames: seen,
            to_come: FRAMES_AFTER,
            last: now,
        });
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
}

fn pod<'a>(assessment: &'a Assessment, uid: &str) -> Option<&'a PodState> {
    assessment.pods.iter().find(|pod| *pod.identity.uid == *uid)
}

#[cfg(test)]
mod tests;
