//! Who got SIGBUS, by name: what a witness saw.

use std::sync::Arc;
use std::time::SystemTime;

use super::Identity;
use super::pods::identity;
use crate::history::{Cause, Counts, Death, History, Whose};
use crate::units::PageSize;

/// A process that got SIGBUS. That kills it, unless it handles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// Counted up from 1.
    pub number: u64,
    /// Whose it was: a container's, or a pod's of which no more is known.
    pub who: Identity,
    /// When.
    pub at: SystemTime,
    /// Its number as the node counts.
    pub pid: u32,
    /// What its thread called itself; anything.
    pub comm: Arc<str>,
    /// What it touched.
    pub address: u64,
    /// Why; nothing where it was before the agent's start.
    pub cause: Option<Cause>,
    /// Of which size the page was that it was refused.
    pub page_size: Option<PageSize>,
}

/// How many signals one got since the agent's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signalled {
    /// Who.
    pub who: Identity,
    /// How many, by cause.
    pub counts: Counts,
}

/// The processes, the oldest first.
pub(super) fn processes(history: &History) -> Vec<Killed> {
    history.deaths().map(|death| killed(death, history)).collect()
}

fn killed(death: &Death, history: &History) -> Killed {
    let Death { number, at: _, wall, whose, pid, comm, address, cause, page_size } = death;
    Killed {
        number: *number,
        who: who(whose, history),
        at: *wall,
        pid: *pid,
        comm: Arc::clone(comm),
        address: *address,
        cause: *cause,
        page_size: *page_size,
    }
}

/// All containers, instances of one together, in the order of their labels.
pub(super) fn counts(history: &History) -> Vec<Signalled> {
    let mut all: Vec<Signalled> = history
        .signals()
        .map(|(whose, counts)| Signalled { who: who(whose, history), counts: counts.clone() })
        .collect();
    all.sort_by(|one, other| one.who.cmp(&other.who));
    all.dedup_by(|later, earlier| {
        let is_same = later.who == earlier.who;
        if is_same {
            for (cause, count) in &later.counts {
                let sum = earlier.counts.entry(*cause).or_insert(0);
                *sum = sum.saturating_add(*count);
            }
        }
        is_same
    });
    all
}

fn who(whose: &Whose, history: &History) -> Identity {
    identity(&whose.uid, history.called(whose), history)
}

impl Killed {
    /// For a sentence: `postgres (pid 31083 on the node)`.
    pub fn process(&self) -> String {
        format!("{} (pid {} on the node)", self.comm, self.pid)
    }

    /// Why, for a sentence.
    pub fn why(&self) -> String {
        let pages = self.page_size.map_or_else(|| "huge".to_owned(), |size| size.to_string());
        match self.cause {
            Some(Cause::Limit) => format!("a limit refused it a {pages} page"),
            Some(Cause::Pool) => format!("the pool of {pages} pages had none left"),
            Some(Cause::Memory) => "the machine's memory is broken there".to_owned(),
            Some(Cause::Other | Cause::Dropped) => "not for huge pages".to_owned(),
            None => "before this exporter looked".to_owned(),
        }
    }
}

impl Cause {
    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Pool => "pool",
            Self::Memory => "memory",
            Self::Other => "other",
            Self::Dropped => "dropped",
        }
    }
}
