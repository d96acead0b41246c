//! The kubelet's log directories, for names. They may lie on a slow disk: not for the poller's thread.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Names, Roots, Search};
use crate::identity::NameIndex;
use crate::snapshot::{Health, Problems};

/// More entries than any kubelet leaves; whoever may write there must not cost us our memory.
const MOST_ENTRIES: usize = 50_000;

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

    /// Looks for names in it. Links are read, never followed.
    pub fn scan(self, roots: &Roots) -> Named {
        let mut index = NameIndex::default();
        let mut problems = Problems::default();
        let listed = list(self.path(roots), &mut problems, |name, path| match self {
            Self::Pods => index.add_pod_directory(name),
            Self::Containers => {
                // A link that is gone again, or no link at all, names nobody.
                if let Some(target) =
                    fs::read_link(path).ok().as_ref().and_then(|target| target.to_str())
                {
                    index.add_container_link(name, target);
                }
            }
        });
        let search = match listed {
            Listed::Yes => Search::Done(problems.into_health()),
            Listed::Missing => Search::Nowhere,
            Listed::Closed(why) => Search::Closed(why),
        };
        Named { index, search }
    }
}

/// Looks for names in both directories, one after the other.
#[cfg(feature = "internals")]
pub fn scan(roots: &Roots) -> Names {
    Names::of(roots, &LogDirectory::ALL.map(|directory| directory.scan(roots)))
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

/// How the listing of a directory went.
enum Listed {
    /// As far as it could be.
    Yes,
    /// There is no such directory.
    Missing,
    /// Its permissions, or those of a directory above it, keep us out.
    Closed(String),
}

/// Calls `each` for every entry with a name that is text.
fn list(directory: &Path, problems: &mut Problems, mut each: impl FnMut(&str, &Path)) -> Listed {
    let failure = |error: io::Error| format!("can't list {}: {error}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Listed::Missing,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Listed::Closed(failure(error));
        }
        Err(error) => {
            problems.add(|| failure(error));
            return Listed::Yes;
        }
    };
    for (number, entry) in entries.enumerate() {
        match entry {
            _ if number >= MOST_ENTRIES => {
                problems.add(|| {
                    format!("{} has more than {MOST_ENTRIES} entries", directory.display())
                });
                break;
            }
            Ok(entry) => {
                if let Some(name) = entry.file_name().to_str() {
                    each(name, &entry.path());
                }
            }
            Err(error) => {
                problems.add(|| failure(error));
                break;
            }
        }
    }
    Listed::Yes
}
