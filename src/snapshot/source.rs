//! How each source of facts did in a poll.

use std::fmt;

/// A place that facts come from; its name is the `source` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `/sys/kernel/mm/hugepages`.
    Pools,
    /// `/sys/devices/system/node`.
    Numa,
    /// `/proc/meminfo`.
    Meminfo,
    /// `/proc/vmstat`.
    Vmstat,
    /// The hugetlb hierarchy.
    Cgroups,
    /// What the kernel tells of the hierarchy by itself; without, it is looked through at every poll.
    Inotify,
    /// `/var/log/pods` and `/var/log/containers`.
    PodLogs,
    /// The kubelet's `/pods`.
    Kubelet,
    /// `/proc/PID/smaps` of the containers' processes.
    Mappings,
    /// The files of `--web.config.file`, read anew as they change.
    WebConfig,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pools => "pools",
            Self::Numa => "numa",
            Self::Meminfo => "meminfo",
            Self::Vmstat => "vmstat",
            Self::Cgroups => "cgroups",
            Self::Inotify => "inotify",
            Self::PodLogs => "pod-logs",
            Self::Kubelet => "kubelet",
            Self::Mappings => "mappings",
            Self::WebConfig => "web-config",
        })
    }
}

/// How a source did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHealth {
    /// Which.
    pub source: Source,
    /// How.
    pub health: Health,
    /// Whether everything was looked at, and what this source reads is not there: then that is known.
    pub is_missing: bool,
}

/// Whether a source gave all it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All was read.
    Up,
    /// Something was not, what and why in one line. The rest of the source was read all the same.
    Down(String),
}

/// What went wrong with a source in one poll: the first problem in full, the others counted, so that a
/// thousand unreadable files cost one line.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    first: Option<String>,
    others: usize,
    missing: bool,
}

impl Problems {
    /// Adds one, naming what, where, and what was expected.
    pub fn add(&mut self, problem: impl FnOnce() -> String) {
        match self.first {
            // Paths and contents are anyone's; what is shown on a terminal must not command it.
            None => {
                self.first = Some(
                    problem()
                        .chars()
                        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                        .collect(),
                );
            }
            Some(_) => self.others += 1,
        }
    }

    /// Adds that what was looked for everywhere is not there.
    pub fn add_missing(&mut self, problem: impl FnOnce() -> String) {
        self.missing = true;
        self.add(problem);
    }

    /// The source's health.
    pub fn into_health(self) -> Health {
        match (self.first, self.others) {
            (None, _) => Health::Up,
            (Some(only), 0) => Health::Down(only),
            (Some(first), others) => Health::Down(format!("{first} (and {others} more)")),
        }
    }
}

impl SourceHealth {
    /// A source's health, from what went wrong with it.
    pub fn new(source: Source, problems: Problems) -> Self {
        let is_missing = problems.missing;
        Self { source, health: problems.into_health(), is_missing }
    }

    /// Whether all was read.
    pub fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    /// Why not everything could be looked at, if so. That there is nothing to look at is an answer.
    pub fn failure(&self) -> Option<&str> {
        match &self.health {
            Health::Down(why) if !self.is_missing => Some(why),
            Health::Up | Health::Down(_) => None,
        }
    }
}
