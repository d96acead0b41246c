//! The kubelet's log directories, for names. They may lie on a slow disk: not for the poller's thread.

use std::path::Path;
use std::sync::Arc;

use super::lister::{End, Lister};
use super::{Names, Roots, Search};
use crate::identity::NameIndex;
use crate::snapshot::{Health, Problems};

/// One of the two directories. Each may lie on a disk of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDirectory {
    /// A directory for each pod.
    Pods,
    /// A link for each container.
    Containers,
}

/// What one directory gave.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// The names in it.
    pub index: NameIndex,
    /// How it went.
    pub search: Search,
}

impl Named {
    /// That it could not be read, and why. The names that were found before stay.
    pub fn fail(&mut self, roots: &Roots, directory: LogDirectory, why: &str) {
        let path = directory.path(roots).display();
        self.search = Search::Done(Health::Down(format!("can't list {path}: {why}")));
    }
}

impl LogDirectory {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pods, Self::Containers];

    /// Where it is.
    pub fn path(self, roots: &Roots) -> &Path {
        match self {
            Self::Pods => &roots.pod_logs,
            Self::Containers => &roots.container_logs,
        }
    }

    /// What it is called where a process is told to list it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Containers => "containers",
        }
    }

    /// Looks for names in it.
    pub fn scan(self, roots: &Roots, lister: Lister) -> Named {
        let mut named = Named::default();
        let index = &mut named.index;
        let end = lister.list(self, self.path(roots), |name, target| match self {
            Self::Pods => index.add_pod_directory(name),
            Self::Containers => index.add_container_link(name, target),
        });
        match end {
            End::Whole => named.search = Search::Done(Health::Up),
            End::Nowhere => named.search = Search::Nowhere,
            End::Closed(why) => {
                let path = self.path(roots).display();
                named.search = Search::Closed(format!("can't list {path}: {why}"));
            }
            End::Short(why) => named.fail(roots, self, &why),
        }
        named
    }
}

/// Looks for names in both directories, one after the other.
#[cfg(feature = "internals")]
pub fn scan(roots: &Roots) -> Names {
    Names::of(roots, &LogDirectory::ALL.map(|directory| directory.scan(roots, Lister::Here)))
}

impl Names {
    /// The names of both directories.
    pub fn of(roots: &Roots, [pods, containers]: &[Named; 2]) -> Self {
        let index = pods.index.clone().and(&containers.index);
        let mut problems = Problems::default();
        let (mut is_any_done, mut is_any_unfinished) = (false, false);
        let mut closed = Vec::new();
        for (directory, named) in LogDirectory::ALL.into_iter().zip([pods, containers]) {
            match &named.search {
                Search::Done(health) => {
                    is_any_done = true;
                    if let Health::Down(problem) = health {
                        problems.add(|| problem.clone());
                    }
                }
                Search::Unfinished => {
                    is_any_unfinished = true;
                    problems.add(|| format!("{} is not read yet", directory.path(roots).display()));
                }
                Search::Closed(why) => closed.push(why.as_str()),
                Search::Nowhere => {}
            }
        }
        for uid in index.disputed() {
            problems.add(|| {
                format!("{} holds contradictory names for pod {uid}", roots.pod_logs.display())
            });
        }
        // The links name pods and containers alike, so the other directory alone may be closed.
        let is_enough =
            matches!(containers.search, Search::Done(_)) && !containers.index.is_empty();
        let health = problems.into_health();
        let search = if health == Health::Up && !closed.is_empty() && !is_enough {
            Search::Closed(closed.join(", "))
        } else if is_any_done {
            Search::Done(health)
        } else if is_any_unfinished {
            Search::Unfinished
        } else {
            Search::Nowhere
        };
        let closed = closed.first().filter(|_| is_enough).map(|why| (*why).to_owned());
        Self { index: Arc::new(index), search, closed }
    }
}
