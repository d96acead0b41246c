//! A finding: what a rule says, of whom, and how much it matters.

use std::fmt;
use std::sync::Arc;

use super::{memory_hang, memory_short, numa_short, will_crash};
use crate::assessment::Identity;
use crate::units::PageSize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A process will be killed, or was.
    Critical,
    /// Something does not do what its owner believes.
    Warning,
    /// Worth knowing.
    Info,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Whom it is about.
    pub subject: Subject,
    /// The pods that it concerns where it is about the node or a cgroup, by UID.
    pub concerned: Vec<Arc<str>>,
    /// Of which page size, where it is about one.
    pub page_size: Option<PageSize>,
    /// What is wrong, for a tired person.
    pub sentence: String,
    /// What to do, with the exact value where it can be known.
    pub remedy: String,
    /// The figures behind it.
    pub figures: Vec<Figure>,
}

/// The figure's name of what is missing.
pub const SHORTFALL: &str = "shortfall_bytes";
/// The figure's name of the limit that would be enough, where raising a limit is what to do.
pub const REQUIRED_LIMIT: &str = "required_limit_bytes";

/// A figure behind a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name, the unit as its suffix: `shortfall_bytes`.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

impl From<(&'static str, u64)> for Figure {
    fn from((name, value): (&'static str, u64)) -> Self {
        Self { name, value }
    }
}

/// Whom a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The node.
    Node,
    /// A pod, or one of its containers.
    Tenant(Identity),
    /// A cgroup that is neither, by its path.
    Cgroup(String),
}

impl Finding {
    /// For a list: `idle-grant of pod ns/name`.
    pub fn named(&self) -> String {
        let Self { name, subject, .. } = self;
        match subject {
            Subject::Node => (*name).to_owned(),
            Subject::Tenant(who) => format!("{name} of {}", who.described()),
            Subject::Cgroup(path) => format!("{name} of cgroup {path}"),
        }
    }

    /// Whether it says that a process will be killed, not that one was or may be.
    pub fn foretells_a_crash(&self) -> bool {
        self.name == will_crash::RULE.name
    }

    /// Whether it says that a process will hang, or hangs.
    pub fn tells_of_a_hang(&self) -> bool {
        self.foretells_a_hang() || self.name == memory_hang::RULE.name
    }

    /// Whether it says that a process will hang.
    pub fn foretells_a_hang(&self) -> bool {
        self.name == memory_short::RULE.name
    }

    /// The UIDs of the pods it concerns, that included which it is about.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        let own = match &self.subject {
            Subject::Tenant(who) => Some(&who.uid),
            Subject::Node | Subject::Cgroup(_) => None,
        };
        own.into_iter().chain(&self.concerned).map(|uid| &**uid)
    }

    /// Whether it concerns that pod.
    pub fn concerns(&self, uid: &str) -> bool {
        self.pods().any(|pod| pod == uid)
    }

    /// Whether a process of some pod that it concerns will be killed, and of which can't be told.
    pub fn kills_any_concerned(&self) -> bool {
        let kills = [will_crash::RULE.name, numa_short::RULE.name];
        !matches!(self.subject, Subject::Tenant(_)) && kills.contains(&self.name)
    }

    /// The same, and the pods that it concerns.
    pub(super) fn concerning(mut self, pods: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.concerned = pods.into_iter().collect();
        self.concerned.sort_unstable();
        self.concerned.dedup();
        self
    }
}

impl Identity {
    /// The pod's name, `ns/name`, or its UID where that is not known.
    pub fn pod_name(&self) -> String {
        match &*self.pod {
            "" => self.uid.to_string(),
            pod => format!("{}/{pod}", self.namespace),
        }
    }

    /// For a sentence: `container c of pod ns/name`, `pod ns/name`.
    pub fn described(&self) -> String {
        let pod = self.pod_name();
        match &*self.container {
            "" => format!("pod {pod}"),
            container => format!("container {container} of pod {pod}"),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}
