//! What is to be written, decided from facts alone.
//!
//! A pod is decided on as a whole, one page size at a time. The answer is a list of plans: writes that belong together,
//! in their order; where one fails the rest of its plan is not made. What was decided, once it is written, is decided
//! no more: on the figures that result the rules are silent (a property test holds them to it).

mod refuse;
mod rescue;
mod restore;

use crate::snapshot::Limit;
use crate::snapshot::guard::{Action, Outcome, Policy, Reason};

use super::facts::{Place, PodFacts, Surroundings, Which};

pub use rescue::is_needed as is_rescue_needed;
pub use restore::set_back;

/// What is decided of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// What is to be written, each plan apart from the others.
    pub plans: Vec<Vec<Write>>,
    /// What would be written but for a reason.
    pub left: Vec<Left>,
    /// Records of limits that are somebody else's by now.
    pub forgotten: Vec<(Place, Which)>,
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// To which cgroup.
    pub place: Place,
    /// To which of its limits.
    pub which: Which,
    /// What for.
    pub why: Action,
    /// What stands there.
    pub from: Limit,
    /// What is to stand there.
    pub to: Limit,
    /// Whether somebody else has set it since, so that this is the one retry.
    pub repeats: bool,
    /// Whether the guard has nothing there any more, once it is written.
    pub ends: bool,
}

/// What is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Which cgroup.
    pub place: Place,
    /// What would have been done.
    pub why: Action,
    /// What would have been written.
    pub value: Limit,
    /// What stands there.
    pub old: Limit,
    /// How it counts.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<Reason>,
}

/// Whether a pod may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It may.
    Granted,
    /// It is left alone, and this is how that counts.
    Denied(Outcome, Option<Reason>),
}

/// What is to be written to a pod. The surroundings are asked for only where a rescue is needed; without them none is made.
pub fn decide(
    facts: &PodFacts,
    surroundings: Option<&Surroundings>,
    policy: &Policy,
    leave: Leave,
) -> Decision {
    let mut decision = Decision::default();
    if policy.rescue {
        rescue::decide(facts, surroundings, policy.rescue_bound, &mut decision);
    }
    restore::decide(facts, &mut decision);
    refuse::decide(facts, policy.refuse, &mut decision);
    match leave {
        Leave::Granted => decision,
        Leave::Denied(outcome, reason) => decision.denied(outcome, reason),
    }
}

impl Decision {
    /// Whether a cgroup is to be written to already: one thing at a time.
    fn writes_to(&self, place: Place) -> bool {
        self.plans.iter().flatten().any(|write| write.place == place)
    }

    /// The same with nothing written.
    fn denied(self, outcome: Outcome, reason: Option<Reason>) -> Self {
        let left = |write: Write| Left {
            place: write.place,
            why: write.why,
            value: write.to,
            old: write.from,
            outcome,
            reason,
        };
        let mut all: Vec<Left> = self.plans.into_iter().flatten().map(left).collect();
        // What is withheld anyway keeps its own reason.
        all.extend(self.left);
        Self { plans: Vec::new(), left: all, forgotten: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
