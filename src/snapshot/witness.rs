//! What the witness saw: processes that got SIGBUS by their own access to memory.
//!
//! It is a process of its own, with privileges that the exporter has not; what it tells comes by a file
//! ([`exchange`](crate::exchange)).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::exchange::Content;

/// So many signals are in the file, the newest.
pub const MOST_TOLD: usize = 128;
/// Of so many cgroups it is told how many were dropped.
pub const MOST_CGROUPS: usize = 1024;
const MOST_LEVELS: usize = 16;
const LONGEST_COMM: usize = 64;
const LONGEST_REASON: usize = 1000;

/// What the witness has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessReport {
    /// Whether it sees anything.
    pub sight: Sight,
    /// Until when everything is in here, in nanoseconds since the machine was booted.
    pub until_ns: u64,
    /// How many signals it was told of since it began; those in `signals` are the last of them.
    pub count: u64,
    /// The newest signals, the oldest first.
    pub signals: Vec<Signal>,
    /// Signals that the kernel saw and did not tell of, by cgroup.
    pub dropped: Vec<Dropped>,
    /// The same, of all cgroups.
    pub dropped_in_all: u64,
    /// Of those, the ones whose cgroup the kernel could not note.
    pub lost: u64,
}

/// Whether the witness sees anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sight {
    /// Since then, in nanoseconds since the machine was booted.
    Since(u64),
    /// It can't, and why.
    Blind(String),
}

/// A SIGBUS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Counted up from 1 since the witness began, in the order in which they came.
    pub number: u64,
    /// When, in nanoseconds since the machine was booted.
    pub at_ns: u64,
    /// The process's number as the node counts.
    pub pid: u32,
    /// What the thread calls itself.
    pub comm: String,
    /// Its cgroup: the inode number of its directory on v2.
    pub cgroup: u64,
    /// Those above that one, from the outermost, as far as the kernel tells.
    pub above: Vec<u64>,
    /// What it touched.
    pub address: u64,
    /// `si_code`: 2 (BUS_ADRERR) where there was nothing behind the address.
    pub code: i32,
}

/// Signals of one cgroup that the kernel did not tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The cgroup.
    pub cgroup: u64,
    /// How many.
    pub count: u64,
}

/// What the witness told, and how its clock relates to ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What it told last.
    pub report: WitnessReport,
    /// When we started, since the machine was booted.
    pub started: Duration,
    /// When the machine was booted, by the clock on the wall.
    pub booted: SystemTime,
}

impl Witness {
    /// A moment since our start; nothing for one before it.
    pub fn since_start(&self, at_ns: u64) -> Option<Duration> {
        Duration::from_nanos(at_ns).checked_sub(self.started)
    }

    /// By the clock on the wall.
    pub fn wall(&self, at_ns: u64) -> SystemTime {
        self.booted + Duration::from_nanos(at_ns)
    }

    /// Whether it tells of the same signals, whatever the time.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.report.sight.clone(), it.report.count, it.report.dropped_in_all);
        said(self) == said(other)
    }
}

impl WitnessReport {
    /// When the witness began, where it sees anything.
    pub fn since(&self) -> Option<Duration> {
        match self.sight {
            Sight::Since(since) => Some(Duration::from_nanos(since)),
            Sight::Blind(_) => None,
        }
    }
}

impl Content for WitnessReport {
    const SCHEMA: &'static str = "hugetlb-witness";
    const VERSION: u32 = 1;
    const FILE: &'static str = "witness.json";

    fn check(&self) -> Result<(), String> {
        let long = |what: &str, found: usize, most: usize| {
            (found > most).then(|| format!("{found} {what}, expected {most} at most"))
        };
        let is_plain = |text: &str| !text.chars().any(char::is_control);
        let too_long = long("signals", self.signals.len(), MOST_TOLD)
            .or_else(|| long("cgroups", self.dropped.len(), MOST_CGROUPS))
            .or_else(|| {
                self.signals.iter().find_map(|it| long("levels", it.above.len(), MOST_LEVELS))
            });
        if let Some(why) = too_long {
            return Err(why);
        }
        if !self.signals.iter().all(|it| it.comm.len() <= LONGEST_COMM && is_plain(&it.comm)) {
            return Err("a process's name is too long or has control characters".to_owned());
        }
        let numbers: BTreeSet<_> = self.signals.iter().map(|it| it.number).collect();
        let are_counted = numbers.last().is_none_or(|last| *last <= self.count);
        if numbers.len() < self.signals.len() || !are_counted {
            return Err("signals are not numbered as they were counted".to_owned());
        }
        if !self.signals.is_sorted_by_key(|it| it.at_ns) {
            return Err("signals are not in their order".to_owned());
        }
        let cgroups: BTreeSet<_> = self.dropped.iter().map(|it| it.cgroup).collect();
        if cgroups.len() < self.dropped.len() {
            return Err("a cgroup is named twice".to_owned());
        }
        match &self.sight {
            Sight::Blind(why) if why.len() > LONGEST_REASON || !is_plain(why) => {
                Err("the reason is too long or has control characters".to_owned())
            }
            _ => Ok(()),
        }
    }
}
