//! What the guard says of itself: its policy, what it wrote to which cgroup, and what it left alone and why.
//!
//! It writes this to a file that the exporter reads (`exchange`). Both are of one version, so the form may change
//! with any release ([`Report::VERSION`]).

pub(crate) mod spelling;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Limit;
use crate::exchange::Content;
use crate::units::PageSize;

/// All that the guard tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether it writes, or says what it would write.
    pub mode: Mode,
    /// What it was told to do.
    pub policy: Policy,
    /// Whether somebody has paused it (a file on the node): it then writes nothing.
    pub paused: bool,
    /// When it started, in seconds since the machine was booted.
    pub started: u64,
    /// What is wrong with its own files, in one line: it then writes less than it should.
    pub trouble: Option<String>,
    /// The cgroups that it has written to or would have; at most [`Report::MOST_ENTRIES`], those rescued first.
    pub entries: Vec<Entry>,
    /// How many more there are.
    pub left_out: u64,
    /// Writes since it started, by what came of them. What was not asked for is not there.
    pub writes: Vec<Writes>,
}

/// Whether it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It writes.
    Enforce,
    /// It says what it would write.
    DryRun,
}

/// What the guard was told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `--guard.refuse`
    pub refuse: Refuse,
    /// `--guard.rescue`
    pub rescue: bool,
    /// `--guard.rescue-bound`: whether a raised limit comes with a reservation limit, so that it can't be outgrown.
    pub rescue_bound: bool,
    /// `--guard.exclude-namespace`: pods in these are left alone.
    pub excluded_namespaces: BTreeSet<String>,
}

/// Whose mappings it has refused where they are too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refuse {
    /// Nobody's.
    Off,
    /// Those of pods that were granted nothing, and hold nothing.
    Ungranted,
    /// Those of every pod.
    All,
}

/// One limit that the guard has an opinion of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The cgroup's path below the hierarchy's root, `/kubepods/burstable/pod<uid>/<id>`.
    pub cgroup: String,
    /// The UID of the pod it belongs to.
    pub pod_uid: String,
    /// The container's id, where it is a container's.
    pub container_id: Option<String>,
    /// What it did, or would have done.
    pub action: Action,
    /// Of which pages.
    #[serde(with = "spelling::page_size")]
    pub page_size: PageSize,
    /// The limit that it wrote, or would have written.
    #[serde(with = "spelling::limit")]
    pub value: Limit,
    /// The limit that was there before.
    #[serde(with = "spelling::limit")]
    pub old: Limit,
    /// What came of it.
    pub result: Outcome,
    /// Why it was not written, where the guard itself decided that.
    pub reason: Option<Reason>,
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A reservation limit, so that a mapping that is too large fails at once.
    Refuse,
    /// A fault limit raised to what is reserved already.
    Rescue,
    /// A reservation limit at what is reserved, so that the raised fault limit is not outgrown.
    Bound,
    /// The limit that was there before, set again.
    Restore,
}

/// What came of a write; its name is the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was written, and read back.
    Written,
    /// It would have been (dry run).
    WouldWrite,
    /// The kernel refused it, since more is used or reserved (EBUSY).
    Busy,
    /// The cgroup was gone (ENOENT, ENODEV).
    Gone,
    /// Somebody else has set that limit since; it is left alone.
    Contested,
    /// Namespaces are excluded, and the pod's name is not known.
    Unnamed,
    /// It could not be recorded in the state directory, so it was not made.
    Unrecorded,
    /// It was not asked for, with the reason.
    Skipped,
    /// The kernel refused it for any other reason.
    Failed,
}

/// Why something that might have been written was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The pod is in a namespace that is excluded, or is the exporter's own.
    Excluded,
    /// Somebody has paused the guard.
    Paused,
    /// Huge pages count as memory here, and `memory.max` of the cgroup or one above can't take the rest: a raised limit
    /// would turn SIGBUS into an endless hang.
    MemoryMax,
    /// The pool has fewer free pages than are outstanding: a raised limit would not help.
    PoolShort,
    /// Pages are reserved in one cgroup and touched in another: who will touch the rest can't be told.
    Uncertain,
    /// A limit above the pod binds; those are not the guard's to write.
    AbovePod,
    /// It was rescued a moment ago; once in 10 s is enough.
    TooSoon,
    /// A figure that the decision rests on could not be read.
    Unreadable,
    /// A process lives by the raised limit: more is reserved than the old one allows.
    InUse,
}

/// How many writes came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// What for.
    pub action: Action,
    /// What came of them.
    pub result: Outcome,
    /// Why not, where they were skipped.
    pub reason: Option<Reason>,
    /// How many, since the guard started.
    pub count: u64,
}

impl Report {
    /// So many fit into the file whatever their paths are.
    pub const MOST_ENTRIES: usize = 300;
    /// More kinds of writes than there are actions, results and reasons put together can't be.
    const MOST_WRITES: usize = 400;
    /// A path of a cgroup that is shown; the kernel allows 4,096 bytes, kubelets and runtimes need 250.
    const LONGEST: usize = 400;
    /// A line of what is wrong.
    const LONGEST_LINE: usize = 2_000;
    /// More namespaces than anyone excludes.
    const MOST_NAMESPACES: usize = 1_000;

    /// How many writes came to that, whatever the reason.
    pub fn count(&self, action: Action, result: Outcome) -> u64 {
        let of = self.writes.iter().filter(|it| it.action == action && it.result == result);
        of.fold(0, |sum, it| sum.saturating_add(it.count))
    }
}

impl Content for Report {
    const SCHEMA: &'static str = "hugetlb-guard";
    const VERSION: u32 = 1;
    const FILE: &'static str = "guard.json";

    fn check(&self) -> Result<(), String> {
        let few = |what: &str, number: usize, most: usize| {
            if number <= most {
                Ok(())
            } else {
                Err(format!("{number} {what}, at most {most} are expected"))
            }
        };
        few("entries", self.entries.len(), Self::MOST_ENTRIES)?;
        few("counts of writes", self.writes.len(), Self::MOST_WRITES)?;
        few("namespaces", self.policy.excluded_namespaces.len(), Self::MOST_NAMESPACES)?;
        plain("trouble", self.trouble.as_deref().unwrap_or_default(), Self::LONGEST_LINE)?;
        for namespace in &self.policy.excluded_namespaces {
            plain("a namespace", namespace, 63)?;
        }
        self.entries.iter().try_for_each(Entry::check)
    }
}

impl Entry {
    fn check(&self) -> Result<(), String> {
        plain("a cgroup", &self.cgroup, Report::LONGEST)?;
        if !self.cgroup.starts_with('/') || self.cgroup.split('/').any(|part| part == "..") {
            return Err("a cgroup's path does not begin at the root".to_owned());
        }
        plain("a pod's UID", &self.pod_uid, 253)?;
        plain("a container's id", self.container_id.as_deref().unwrap_or_default(), 64)
    }
}

/// A text of one line that is not too long.
fn plain(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.len() > longest {
        return Err(format!("{what} has {} bytes, at most {longest} are expected", text.len()));
    }
    if text.chars().any(char::is_control) {
        Err(format!("{what} has control characters"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
