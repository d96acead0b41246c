//! What is said, when it is said again, and what answers lead to.

mod said;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;
use crate::assessment::{Finding, Identity, Severity, Subject};
use crate::snapshot::Taken;

const SECOND: Duration = Duration::from_secs(1);

fn who(pod: &str) -> Identity {
    Identity {
        namespace: "prod".into(),
        pod: pod.into(),
        container: "postgres".into(),
        uid: "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b".into(),
        instance: None,
    }
}

fn finding(pod: &str) -> Finding {
    Finding {
        name: "will-crash",
        severity: Severity::Critical,
        subject: Subject::Tenant(who(pod)),
        concerned: Vec::new(),
        page_size: None,
        sentence: "It has mapped 200Mi and may touch 128Mi.".to_owned(),
        remedy: "Set hugepages-2Mi to at least 200Mi.".to_owned(),
        figures: Vec::new(),
    }
}

fn deaths(faults: u64) -> Finding {
    let figures = [("faults", faults)].into_iter().map(Into::into).collect();
    let sentence = "Postgres (pid 31083) was killed.".to_owned();
    Finding { name: "faults-refused", sentence, figures, ..finding("db-0") }
}

fn node() -> Arc<str> {
    "node-1".into()
}

fn event(finding: &Finding) -> Option<Event> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    Event::of(finding, Some(&node()), at, false)
}

fn answered(status: u16, body: &serde_json::Value) -> Sent {
    Sent::Answered(Answer { status, retry_after: None, body: Some(body.to_string().into_bytes()) })
}

/// An outbox, and the time.
struct Desk {
    outbox: Outbox,
    now: Duration,
}

impl Desk {
    fn new() -> Self {
        Self { outbox: Outbox::new(false, Counts::default()), now: Duration::ZERO }
    }

    fn take_in(&mut self, findings: &[Finding]) {
        let taken = Taken { wall: SystemTime::UNIX_EPOCH + self.now, since_start: self.now };
        self.outbox.take_in(findings, Some(&node()), taken);
    }

    /// The next request, as soon as it may be made.
    fn next(&mut self) -> Option<(String, Step)> {
        loop {
            match self.outbox.next(self.now) {
                Next::Nothing => return None,
                Next::At(time) => self.now = time,
                Next::Send(event, step) => return Some((event.described(), step)),
            }
        }
    }

    fn sent(&mut self, sent: &Sent) -> Change {
        self.outbox.sent(sent, self.now)
    }

    fn step(&mut self) -> Option<Step> {
        self.next().map(|(_, step)| step)
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outbox.counts().of(outcome)
    }
}

#[test]
fn what_stands_is_said_once_and_again_before_it_expires() {
    let mut desk = Desk::new();
    desk.take_in(&[finding("db-0")]);
    assert_eq!(desk.step(), Some(Step::Create));
    assert_eq!(desk.sent(&answered(201, &json!({}))), Change::None);
    for _ in 0..900 {
        desk.now += SECOND * 2;
        desk.take_in(&[finding("db-0")]);
        if desk.now < Duration::from_secs(30 * 60) {
            assert_eq!(desk.next(), None, "{:?}", desk.now);
        }
    }
    assert_eq!(desk.step(), Some(Step::Repeat(2)));
    desk.sent(&answered(200, &json!({})));
    assert_eq!((desk.count(Outcome::Created), desk.count(Outcome::Repeated)), (1, 1));
}

#[test]
fn each_new_death_is_said_but_not_twice_a_minute() {
    let mut desk = Desk::new();
    let (mut repeated, mut faults) = (Vec::new(), 0);
    for _ in 0..300 {
        faults += 1;
        desk.take_in(&[deaths(faults)]);
        let before = desk.now;
        if let Some(step) = desk.step() {
            repeated.push(step);
            desk.sent(&answered(200, &json!({})));
        }
        desk.now = before + SECOND;
    }
    let expected: Vec<_> = [Step::Create].into_iter().chain((2..=5).map(Step::Repeat)).collect();
    assert_eq!(repeated, expected, "a crash loop of five minutes");
    desk.now += Duration::from_secs(120);
    desk.take_in(&[deaths(faults)]);
    assert_eq!(desk.step(), Some(Step::Repeat(6)), "of those since the last word");
    desk.sent(&answered(200, &json!({})));
    desk.now += Duration::from_secs(120);
    desk.take_in(&[deaths(faults)]);
    assert_eq!(desk.step(), None, "nobody died");
}

#[test]
fn what_goes_and_comes_back_is_repeated() {
    let mut desk = Desk::new();
    desk.take_in(&[finding("db-0")]);
    desk.step();
    desk.sent(&answered(201, &json!({})));
    desk.now = SECOND * 70;
    desk.take_in(&[]);
    desk.now = SECOND * 72;
    desk.take_in(&[finding("db-0")]);
    assert_eq!(desk.step(), Some(Step::Repeat(2)));
    desk.sent(&answered(200, &json!({})));
    desk.now += SECOND * 2;
    desk.take_in(&[]);
    desk.now += SECOND * 2;
    desk.take_in(&[finding("db-0")]);
    assert_eq!(desk.step(), None, "not twice a minute");
}

#[test]
fn an_agent_that_was_restarted_finds_its_event_and_continues_its_series() {
    let mut desk = Desk::new();
    desk.take_in(&[finding("db-0")]);
    assert_eq!(desk.step(), Some(Step::Create));
    desk.sent(&answered(409, &json!({"kind": "Status", "reason": "AlreadyExists"})));
    assert_eq!(desk.step(), Some(Step::Read));
    desk.sent(&answered(200, &json!({"kind": "Event", "series": {"count": 6}})));
    assert_eq!(desk.step(), Some(Step::Repeat(7)));
    desk.sent(&answered(200, &json!({})));
    assert_eq!((desk.step(), desk.count(Outcome::Repeated)), (None, 1));
}

#[test]
fn an_event_that_has_expired_is_made_anew() {
    let mut desk = Desk::new();
    desk.take_in(&[deaths(1)]);
    desk.step();
    desk.sent(&answered(201, &json!({})));
    desk.now += SECOND * 100;
    desk.take_in(&[deaths(2)]);
    assert_eq!(desk.step(), Some(Step::Repeat(2)));
    desk.sent(&answered(404, &json!({})));
    assert_eq!(desk.step(), Some(Step::Create));
    desk.sent(&answered(201, &json!({})));
    assert_eq!((desk.step(), desk.count(Outcome::Created)), (None, 2));
}

#[test]
fn one_that_is_made_and_removed_all_the_time_is_given_up() {
    let mut desk = Desk::new();
    desk.take_in(&[finding("db-0")]);
    let mut requests = 0;
    while let Some(step) = desk.step() {
        requests += 1;
        desk.sent(&answered(if step == Step::Create { 409 } else { 404 }, &json!({})));
        assert!(requests < 20);
    }
    assert_eq!(desk.count(Outcome::Invalid), 1);
}

#[test]
fn what_the_server_will_never_take_is_not_sent_again() {
    let terminating =
        json!({"kind": "Status", "details": {"causes": [{"reason": "NamespaceTerminating"}]}});
    let invalid = json!({"kind": "Status", "message": "note: too long\u{1b}[2J"});
    for (status, body, outcome) in [
        (404, json!({}), Outcome::Gone),
        (410, json!({}), Outcome::Gone),
        (403, terminating, Outcome::Gone),
        (422, invalid, Outcome::Invalid),
        (400, json!("nonsense"), Outcome::Invalid),
    ] {
        let mut desk = Desk::new();
        desk.take_in(&[finding("db-0")]);
        desk.step();
        let change = desk.sent(&answered(status, &body));
        assert_eq!((desk.step(), desk.count(outcome)), (None, 1), "{status}");
        match change {
            Change::NotTaken(why) => {
                assert!(why.contains("WillCrash of pod prod/db-0: 4"), "{why}");
            }
            change => assert_eq!((change, outcome), (Change::None, Outcome::Gone)),
        }
    }
}

#[test]
fn what_fails_is_sent_again_ever_more_slowly_and_said_once() {
    let forbidden = json!({"kind": "Status", "message": "events is forbidden"});
    for (sent, outcome, part) in [
        (answered(401, &json!({})), Outcome::Refused, "accept the token"),
        (answered(403, &forbidden), Outcome::Refused, "(events is forbidden); the service account"),
        (answered(429, &json!({})), Outcome::Throttled, "429"),
        (answered(500, &json!({})), Outcome::Failed, "500"),
        (answered(302, &json!({})), Outcome::Failed, "redirects are not followed"),
        (Sent::Not("can't connect".to_owned()), Outcome::Failed, "can't connect"),
    ] {
        let mut desk = Desk::new();
        desk.take_in(&[finding("db-0")]);
        let mut times = Vec::new();
        for _ in 0..12 {
            assert_eq!(desk.step(), Some(Step::Create));
            times.push(desk.now.as_secs());
            match desk.sent(&sent) {
                Change::Failing(why) => {
                    assert!(times.len() == 1 && why.contains(part), "{times:?}: {why}");
                }
                change => assert!(times.len() > 1 && change == Change::None, "{change:?}"),
            }
        }
        let waits: Vec<_> = times.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], "{part}");
        assert_eq!(desk.count(outcome), 12);
        assert_eq!(desk.step(), Some(Step::Create));
        assert_eq!(desk.sent(&answered(201, &json!({}))), Change::Well);
    }
}

#[test]
fn a_server_that_asks_for_it_is_left_alone_but_not_for_ever() {
    for (wanted, waited) in [(30, 30), (0, 1), (1_000_000, 600)] {
        let mut desk = Desk::new();
        desk.take_in(&[finding("db-0")]);
        desk.step();
        let retry_after = Some(Duration::from_secs(wanted));
        desk.sent(&Sent::Answered(Answer { status: 429, retry_after, body: None }));
        assert_eq!(desk.step(), Some(Step::Create));
        assert_eq!(desk.now.as_secs(), waited);
    }
}

#[test]
fn of_more_than_a_hundred_that_wait_the_oldest_are_dropped() {
    let mut desk = Desk::new();
    for pod in 0..130 {
        desk.now += SECOND;
        let standing: Vec<_> = (0..=pod).map(|pod| finding(&format!("db-{pod}"))).collect();
        desk.take_in(&standing);
    }
    assert_eq!(desk.count(Outcome::Dropped), 30);
    let mut told = Vec::new();
    while let Some((described, _)) = desk.next() {
        told.push(described);
        desk.sent(&answered(201, &json!({})));
    }
    assert_eq!(told.len(), 100);
    assert_eq!(told.first().map(String::as_str), Some("WillCrash of pod prod/db-30"));
}

#[test]
fn a_pod_that_gets_its_name_late_is_told_then() {
    let mut desk = Desk::new();
    let unnamed = Identity { namespace: "".into(), ..who("") };
    desk.take_in(&[Finding { subject: Subject::Tenant(unnamed), ..finding("") }]);
    assert_eq!(desk.step(), None);
    desk.take_in(&[finding("db-0")]);
    assert_eq!(desk.step(), Some(Step::Create));
}
