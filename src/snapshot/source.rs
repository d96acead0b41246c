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
    /// The file in which the guard says what it does.
    Guard,
    /// The file that the witness of SIGBUS writes.
    Witness,
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
            Self::Guard => "guard",
            Self::Witness => "witness",
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
}

/// Whether a source gave all it has. That there is nothing to read is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All was read.
    Up,
    /// Everything was looked at, and this node has no such thing; what, in one line.
    Missing(String),
    /// Something was not, what and why in one line. The rest of the source was read all the same.
    Down(String),
}

/// What went wrong with a source in one poll: the first problem in full, the others counted, so that a
/// thousand unreadable files cost one line.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    first: Option<String>,
    others: usize,
    missing: Option<String>,
}

impl Problems {
    /// Adds one, naming what, where, and what was expected.
    pub fn add(&mut self, problem: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some(printable(&problem())),
            Some(_) => self.others += 1,
        }
    }

    /// Says that what was looked for everywhere is not there.
    pub fn add_missing(&mut self, what: impl FnOnce() -> String) {
        self.missing = Some(printable(&what()));
    }

    /// The source's health.
    pub fn into_health(self) -> Health {
        match (self.first, self.others) {
            (None, _) => self.missing.map_or(Health::Up, Health::Missing),
            (Some(only), 0) => Health::Down(only),
            (Some(first), others) => Health::Down(format!("{first} (and {others} more)")),
        }
    }
}

impl SourceHealth {
    /// A source's health, from what went wrong with it.
    pub fn new(source: Source, problems: Problems) -> Self {
        Self { source, health: problems.into_health() }
    }

    /// Whether all was read that there is.
    pub fn is_up(&self) -> bool {
        self.failure().is_none()
    }

    /// Whether this node has no such thing, and that is known.
    pub fn is_missing(&self) -> bool {
        matches!(self.health, Health::Missing(_))
    }

    /// Why not everything could be looked at, if so.
    pub fn failure(&self) -> Option<&str> {
        match &self.health {
            Health::Down(why) => Some(why),
            Health::Up | Health::Missing(_) => None,
        }
    }
}

/// Paths and contents are anyone's; what is shown on a terminal must not command it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_answer_and_what_could_not_be_read_is_none() {
        let mut problems = Problems::default();
        problems.add_missing(|| "no such thing".to_owned());
        let none = SourceHealth::new(Source::Pools, problems.clone());
        assert!(none.is_up() && none.is_missing() && none.failure().is_none());
        problems.add(|| "a file\nthat can't be read".to_owned());
        let failed = SourceHealth::new(Source::Pools, problems);
        assert!(!failed.is_up() && !failed.is_missing());
        assert_eq!(failed.failure(), Some("a file\u{fffd}that can't be read"));
    }
}
