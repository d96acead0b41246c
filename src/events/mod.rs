//! Findings as Kubernetes Events: what is said of whom, when it is said again, and what an answer of the API server means.
//!
//! No request is made here and there is no clock: the agent asks what is to be sent next, sends it, and hands back what was
//! answered.

mod answer;
mod event;
mod note;
mod outbox;
mod pace;

pub use answer::{Answer, Sent};
pub use event::{Event, Step};
pub use outbox::{Change, Next, Outbox};

/// What became of Events since the start, and of the requests that did not get through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Outcome::ALL.len()]);

/// What became of an Event, or of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new Event.
    Created,
    /// The Event was there, and its series is longer by one.
    Repeated,
    /// The pod's namespace is gone, or about to be: there is nobody to tell.
    Gone,
    /// The API server did not accept the Event itself.
    Invalid,
    /// More were waiting than are kept; this was the oldest.
    Dropped,
    /// A request was refused: the token is no good, or the account may not do that.
    Refused,
    /// A request was put off by the API server (429).
    Throttled,
    /// A request failed: no connection, no certificate, no answer in time, or an error of the server's.
    Failed,
}

impl Outcome {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Repeated,
        Self::Gone,
        Self::Invalid,
        Self::Dropped,
        Self::Refused,
        Self::Throttled,
        Self::Failed,
    ];

    /// The value of the metric's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Repeated => "repeated",
            Self::Gone => "gone",
            Self::Invalid => "invalid",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }
}

impl Counts {
    /// How often that happened.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).copied().unwrap_or_default()
    }

    fn add(&mut self, outcome: Outcome) {
        if let Some(count) = self.0.get_mut(outcome as usize) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests;
