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
        let searches = [&pods.search, &containers.search];
        let is_any_done = searches.iter().any(|search| matches!(search, Search::Done(_)));
        let mut problems = Problems::default();
        for (directory, search) in LogDirectory::ALL.into_iter().zip(searches) {
            match search {
                Search::Done(Health::Down(problem)) => problems.add(|| problem.clone()),
                Search::Unfinished => {
                    problems.add(|| format!("{} is not read yet", directory.path(roots).display()));
                }
                Search::Done(Health::Up) | Search::Nowhere => {}
            }
        }
        for uid in index.disputed() {
            problems.add(|| {
                format!("{} holds contradictory names for pod {uid}", roots.pod_logs.display())
            });
        }
        let search = if is_any_done {
            Search::Done(problems.into_health())
        } else if searches.iter().any(|search| matches!(search, Search::Unfinished)) {
            Search::Unfinished
        } else {
            Search::Nowhere
        };
        Self { index: Arc::new(index), search }
    }
}
