//! What is recorded, and what is not.

use std::time::Duration;

use super::*;
use crate::assessment::{Findings, Thresholds, assess};
use crate::history::{History, Retention};
use crate::snapshot::example::{hugetlb, node, page_size};
use crate::snapshot::{Failures, Snapshot};

const PG: u64 = 2 << 20;
const APART: Duration = Duration::from_secs(2);

/// An agent's memory, poll by poll.
struct Agent {
    history: History,
    findings: Findings,
    recorder: Recorder,
    /// The same, told where all is as at the last poll.
    again: Recorder,
    said: String,
    polls: u32,
    /// Of every pod, in pages.
    limit: u64,
}

impl Agent {
    fn new() -> Self {
        let history = History::new(Retention::default());
        Self {
            history,
            findings: Findings::default(),
            recorder: Recorder::default(),
            again: Recorder::default(),
            said: String::new(),
            polls: 0,
            limit: 64,
        }
    }

    /// When a poll was.
    fn wall(&self, poll: u32) -> SystemTime {
        node(APART * poll).taken.wall
    }

    /// A poll that finds these pods: their UIDs, pages reserved and used, and refusals.
    fn poll(&mut self, pods: &[(&str, u64, u64, u64)]) -> Incidents {
        let since_start = APART * self.polls;
        self.polls += 1;
        let sum = |of: fn(&(&str, u64, u64, u64)) -> u64| pods.iter().map(of).sum::<u64>() * PG;
        let kubepods = crate::snapshot::Hugetlb {
            reserved: Reading::Present(Bytes(sum(|pod| pod.1))),
            ..hugetlb(sum(|pod| pod.2), 0)
        };
        let mut snapshot = node(since_start).with("/kubepods", kubepods);
        for pod in pods {
            snapshot = with_pod(snapshot, *pod, self.limit);
        }
        self.history.update(&snapshot);
        let mut assessment = assess(&snapshot, &self.history, &Thresholds::default());
        let changes = self.findings.confirm(&mut assessment.findings);
        let taken = snapshot.taken;
        let said = format!("{assessment:?}");
        let is_the_same =
            said == self.said && format!("{changes:?}") == format!("{:?}", Changes::default());
        self.said = said;
        let again = match is_the_same {
            true => self.again.record_again(taken, &assessment),
            false => self.again.record(taken, &assessment, &changes),
        };
        let kept = self.recorder.record(taken, &assessment, &changes);
        assert_eq!(again, kept);
        kept
    }
}

fn with_pod(
    snapshot: Snapshot,
    (uid, reserved, used, refused): (&str, u64, u64, u64),
    limit: u64,
) -> Snapshot {
    let figures = crate::snapshot::Hugetlb {
        limit: Reading::Present(Limit::At(Bytes(limit * PG))),
        reserved: Reading::Present(Bytes(reserved * PG)),
        failures: Failures::V2 {
            hierarchical: Reading::Present(refused),
            local: Reading::Present(0),
        },
        ..hugetlb(used * PG, 0)
    };
    snapshot.with(&format!("/kubepods/pod{uid}"), figures)
}

fn names(incident: &Incident) -> Vec<String> {
    let name = |event: &Event| match &event.kind {
        EventKind::Raised { finding, .. } => (*finding).to_owned(),
        EventKind::Refused(count) => format!("refused {count}"),
        EventKind::Killed(killed) => format!("killed {}", killed.process()),
    };
    incident.events.iter().map(name).collect()
}

#[test]
fn the_story_is_kept_with_what_came_before_and_after() {
    let mut agent = Agent::new();
    for _ in 0..40 {
        assert!(agent.poll(&[("u", 50, 10, 0)]).is_empty(), "nothing happens");
    }
    agent.poll(&[("u", 140, 12, 0)]);
    let kept = agent.poll(&[("u", 140, 20, 0)]);
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].page_size, names(&kept[0])), (page_size(), vec!["will-crash".to_owned()]));
    assert_eq!(kept[0].frames.len(), FRAMES_BEFORE);
    agent.poll(&[("u", 140, 64, 0)]);
    agent.poll(&[("u", 140, 12, 1)]);
    for _ in 0..40 {
        agent.poll(&[("u", 140, 12, 1)]);
    }
    let kept = agent.poll(&[("u", 140, 12, 1)]);
    assert_eq!(kept.len(), 1, "within a minute it is the same: {kept:?}");
    assert_eq!(names(&kept[0])[..2], ["will-crash".to_owned(), "refused 1".to_owned()]);
    let peak = used(&kept[0]).iter().position(|used| *used == 64);
    let after = kept[0].frames.len() - peak.expect("the peak that the kernel does not keep");
    assert_eq!(after, 43, "it may happen again, so all that follows belongs to it");
}

#[test]
fn what_led_to_a_later_event_of_the_same_incident_is_kept() {
    let mut agent = Agent::new();
    let mut kept = Incidents::default();
    for used in (12..40).step_by(2) {
        kept = agent.poll(&[("u", 140, used, 0)]);
    }
    let quiet = kept[0].frames.len();
    let kept = agent.poll(&[("u", 140, 12, 1)]);
    let usage: Vec<_> = kept[0].frames.iter().map(|frame| frame.usage).collect();
    let expected: Vec<_> = (12..40).step_by(2).chain([12]).collect();
    let expected: Vec<_> =
        expected.iter().map(|pages| Reading::Present(Bytes(pages * PG))).collect();
    assert_eq!(usage, expected, "{quiet} frames before, and no gap");
}

fn used(incident: &Incident) -> Vec<u64> {
    let pages = |frame: &Frame| frame.usage.present().map(|bytes| bytes.0 / PG);
    incident.frames.iter().filter_map(pages).collect()
}

#[test]
fn as_long_as_a_crash_is_to_come_the_newest_figures_are_there() {
    let mut agent = Agent::new();
    agent.poll(&[("u", 140, 5, 0)]);
    for poll in 0..2_000 {
        let kept = agent.poll(&[("u", 140, 6 + poll / 50, 0)]);
        let newest = agent.polls - 1;
        let last = kept[0].frames.last().expect("frames");
        assert_eq!(last.at, agent.wall(newest), "it froze after {poll} polls");
        assert!(kept[0].frames.len() <= MOST_FRAMES);
    }
    let kept = agent.poll(&[("u", 140, 12, 1)]);
    assert_eq!((kept.len(), names(&kept[0]).len()), (1, 2), "an hour later it is the same story");
    let frames = &kept[0].frames;
    let before: Vec<_> = frames.iter().rev().take(FRAMES_BEFORE).map(|frame| frame.at).collect();
    let every_poll = (0..=agent.polls - 1).rev().take(FRAMES_BEFORE);
    let every_poll: Vec<_> = every_poll.map(|poll| agent.wall(poll)).collect();
    assert_eq!(before, every_poll, "the polls before the refusal, each of them");
    assert_eq!((frames[0].at, used(&kept[0])[0]), (agent.wall(0), 5), "and how it began");
    // What was thinned out is missed nowhere: each step of one page is there.
    let steps: std::collections::BTreeSet<u64> = used(&kept[0]).into_iter().collect();
    assert_eq!(steps, (5..=45).collect());
}

#[test]
fn around_the_refusal_every_poll_stays_however_long_it_goes_on() {
    let mut agent = Agent::new();
    for used in 0..60 {
        agent.poll(&[("u", 140, used, 0)]);
    }
    let refused = agent.polls;
    let mut kept = agent.poll(&[("u", 140, 1, 1)]);
    for poll in 0..400 {
        kept = agent.poll(&[("u", 140, 2 + poll % 7, 1)]);
    }
    let at: Vec<_> = kept[0].frames.iter().map(|frame| frame.at).collect();
    let around = refused - 30..=refused + 5;
    for poll in around.chain(agent.polls - 30..agent.polls) {
        assert!(
            at.contains(&agent.wall(poll)),
            "poll {poll} of {}, refused in {refused}",
            agent.polls
        );
    }
    assert!(used(&kept[0]).contains(&59), "the peak");
    assert!(kept[0].frames.len() <= MOST_FRAMES && at.is_sorted());
}

#[test]
fn a_second_crash_is_a_story_of_its_own_and_a_fix_is_not() {
    let mut agent = Agent::new();
    let mut many = |polls: u64, held: u64, refused: u64, limit: u64| {
        agent.limit = limit;
        let mut kept = Incidents::default();
        for _ in 0..polls {
            kept = agent.poll(&[("u", held, 10, refused)]);
        }
        let goes_on =
            kept[0].frames.last().map(|frame| frame.at) == Some(agent.wall(agent.polls - 1));
        (kept.iter().map(|incident| names(incident)).collect::<Vec<_>>(), goes_on)
    };
    many(3, 140, 0, 64);
    assert!(many(40, 140, 1, 64).1);
    let (told, goes_on) = many(40, 140, 2, 64);
    let first = ["will-crash", "refused 1", "faults-refused"];
    assert_eq!(told, [vec!["refused 1"], first.to_vec()], "80 s later");
    assert!(goes_on);
    let (told, goes_on) = many(40, 140, 2, 150);
    assert!(!goes_on, "what is fixed is over");
    assert_eq!(told[0], ["refused 1", "faults-refused"], "and that it is fixed");
}

#[test]
fn of_many_events_the_first_and_the_newest_are_kept() {
    let mut agent = Agent::new();
    let mut kept = Incidents::default();
    for refused in 0..200 {
        kept = agent.poll(&[("u", 10, 10, refused * refused)]);
    }
    let names = names(&kept[0]);
    assert_eq!((names.len(), &*names[0]), (MOST_EVENTS, "refused 1"));
    assert_eq!(names.last().map(|name| &**name), Some("refused 397"));
}

#[test]
fn what_was_refused_before_we_looked_is_no_incident() {
    let mut agent = Agent::new();
    assert!(agent.poll(&[("u", 10, 10, 7)]).is_empty());
    assert!(agent.poll(&[("u", 10, 10, 7)]).is_empty());
    assert_eq!(names(&agent.poll(&[("u", 10, 10, 9)])[0]), ["refused 2"]);
}

#[test]
fn one_pod_that_crashes_all_night_does_not_push_out_the_others() {
    let mut agent = Agent::new();
    agent.poll(&[("quiet", 10, 10, 0), ("loud", 10, 10, 0)]);
    agent.poll(&[("quiet", 10, 10, 1), ("loud", 10, 10, 0)]);
    let mut kept = Incidents::default();
    for refused in 0..100 {
        kept = agent.poll(&[("quiet", 10, 10, 1), ("loud", 10, 10, refused)]);
        for _ in 0..40 {
            kept = agent.poll(&[("quiet", 10, 10, 1), ("loud", 10, 10, refused)]);
        }
    }
    let of = |uid: &str| kept.iter().filter(|incident| *incident.pod.uid == *uid).count();
    assert_eq!((of("quiet"), of("loud")), (1, MOST_OF_A_POD));
    assert!(kept[0].events[0].at > kept[1].events[0].at, "the newest comes first");
}

#[test]
fn however_many_and_however_long_it_is_bounded() {
    let mut agent = Agent::new();
    let uids: Vec<String> = (0..60).map(|number| format!("u{number}")).collect();
    let mut kept = Incidents::default();
    for poll in 0..200 {
        let pods: Vec<_> = uids.iter().map(|uid| (uid.as_str(), 10, 10, poll)).collect();
        kept = agent.poll(&pods);
    }
    assert_eq!(kept.len(), MOST_INCIDENTS);
    for incident in &*kept {
        assert!(incident.frames.len() <= MOST_FRAMES && incident.events.len() <= MOST_EVENTS);
    }
    // Who was refused something is shown for a quarter of an hour after its end.
    for _ in 0..460 {
        agent.poll(&[]);
    }
    assert!(agent.recorder.films.is_empty(), "who is gone is forgotten");
}
