//! What the API server's answers mean.

use std::time::Duration;

use serde_json::Value;

use super::Outcome;
use super::event::{Step, count};

/// The longest reason that is passed on of what it says.
const MOST_REASON: usize = 300;

/// What came of a request.
#[derive(Debug)]
pub enum Sent {
    /// There is an answer.
    Answered(Answer),
    /// There is none; why, in one line.
    Not(String),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Its body; nothing where it broke off or is too large.
    pub body: Option<Vec<u8>>,
}

/// What to do then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// All is said. The count of the Event where there is one.
    Done(Outcome, Option<u64>),
    /// There is another request to make first.
    Then(Step),
    /// Not now: how it failed, why, and how long it is to be left alone at least.
    Later(Outcome, String, Duration),
    /// Never: the server does not take this Event, why.
    Never(String),
}

impl Sent {
    /// What it means for a request of that step.
    pub(super) fn meaning(&self, step: Step) -> Meaning {
        match self {
            Self::Not(why) => Meaning::Later(Outcome::Failed, why.clone(), Duration::ZERO),
            Self::Answered(answer) => answer.meaning(step),
        }
    }
}

impl Answer {
    fn meaning(&self, step: Step) -> Meaning {
        let later = |outcome, hint: &str| {
            let wait = self.retry_after.unwrap_or_default();
            Meaning::Later(outcome, format!("{}; {hint}", self.described()), wait)
        };
        match (self.status, step) {
            (200..=299, Step::Create) => Meaning::Done(Outcome::Created, Some(1)),
            (200..=299, Step::Repeat(count)) => Meaning::Done(Outcome::Repeated, Some(count)),
            (200..=299, Step::Read) => match self.body.as_deref().and_then(count) {
                Some(count) => Meaning::Then(Step::Repeat(count.saturating_add(1).max(2))),
                None => later(Outcome::Failed, "expected the Event that was patched"),
            },
            // It is there already, or has changed meanwhile.
            (409, _) => Meaning::Then(Step::Read),
            // It has expired: Kubernetes keeps Events for an hour.
            (404 | 410, Step::Read | Step::Repeat(_)) => Meaning::Then(Step::Create),
            (404 | 410, Step::Create) => Meaning::Done(Outcome::Gone, None),
            (403, _) if self.is_terminating() => Meaning::Done(Outcome::Gone, None),
            (401, _) => later(Outcome::Refused, "expected the API server to accept the token"),
            (403, _) => later(
                Outcome::Refused,
                "the service account needs create and patch on events of events.k8s.io",
            ),
            (429, _) => later(Outcome::Throttled, "expected to be let in"),
            (408, _) => later(Outcome::Failed, "expected an answer in time"),
            (400..=499, _) => Meaning::Never(self.described()),
            (300..=399, _) => later(
                Outcome::Failed,
                "expected 201 Created or 200 OK; redirects are not followed (--kubernetes.api-server)",
            ),
            _ => later(Outcome::Failed, "expected 201 Created or 200 OK"),
        }
    }

    /// Whether the namespace is being deleted, where nothing new may be made.
    fn is_terminating(&self) -> bool {
        let causes = self.said().and_then(|status| {
            let causes = status.get("details")?.get("causes")?.as_array()?;
            Some(causes.iter().any(|cause| {
                cause
                    .get("reason")
                    .or_else(|| cause.get("type"))
                    .is_some_and(|reason| reason == "NamespaceTerminating")
            }))
        });
        causes == Some(true)
    }

    /// The status, and what is said of it.
    fn described(&self) -> String {
        let said = self.said();
        let message = said.as_ref().and_then(|said| said.get("message")).and_then(Value::as_str);
        let message: String = message.unwrap_or_default().chars().take(MOST_REASON).collect();
        let message: String =
            message.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if message.is_empty() {
            format!("{}", self.status)
        } else {
            format!("{} ({message})", self.status)
        }
    }

    /// Kubernetes' `Status`, if it is one.
    fn said(&self) -> Option<Value> {
        let said: Value = serde_json::from_slice(self.body.as_deref()?).ok()?;
        said.get("kind").is_some_and(|kind| kind == "Status").then_some(said)
    }
}
