//! Whoever can be judged.

use std::path::PathBuf;

use super::blame::{Blame, Death};
use super::matrix::Outcome;
use super::verdict::{self, Verdict, Who};
use crate::harness::exposition::Exposition;

/// Someone whose limit may kill, or whom the pool may.
#[derive(Debug, Clone)]
pub struct Owner {
    pub who: Who,
    /// Without a limit nothing is said of it unless the pool can't back what it mapped.
    pub limited: bool,
    pub directory: PathBuf,
}

impl Owner {
    /// What an agent says of it.
    pub fn verdict(&self, scrape: &Exposition) -> Verdict {
        match verdict::of(scrape, &self.who) {
            Verdict::Missing if !self.limited => Verdict::Safe,
            verdict => verdict,
        }
    }

    /// What became of it, if these are the dead.
    pub fn outcome(&self, dead: &[Death]) -> Outcome {
        let by_its_limit = |death: &Death| match &death.blame {
            Blame::Limit(level) => *level == self.directory,
            Blame::Pool => death.container == self.directory,
        };
        let below = |death: &Death| {
            death.blame == Blame::Pool && death.container.starts_with(&self.directory)
        };
        if dead.iter().any(by_its_limit) {
            Outcome::Killed
        } else if dead.iter().any(below) {
            Outcome::Either
        } else {
            Outcome::Survived
        }
    }
}
