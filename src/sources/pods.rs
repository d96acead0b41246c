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
        let exists = list(self.path(roots), &mut problems, |name, path| match self {
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
        let search = if exists { Search::Done(problems.into_health()) } else { Search::Nowhere };
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
        let searches = [&pods.search, &containers.search];
        let is_any_done = searches.iter().any(|search| matches!(search, Search::Done(_)));
        let mut problems = Problems::default();
        for (directory, search) in LogDirectory::ALL.into_iter().zip(searches) {
            match search {
                Search::Done(Health::Down(problem)) => problems.add(|| problem.clone()),
                Search::Unfinished => {
                    problems.add(|| format!("{} is not read yet", directory.path(roots).display()));
                }
                Search::Done(Health::Up | Health::Missing(_)) | Search::Nowhere => {}
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

/// Calls `each` for every entry with a name that is text. False where there is no such directory.
fn list(directory: &Path, problems: &mut Problems, mut each: impl FnMut(&str, &Path)) -> bool {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            problems.add(|| format!("can't list {}: {error}", directory.display()));
            return true;
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
                problems.add(|| format!("can't list {}: {error}", directory.display()));
                break;
            }
        }
    }
    true
}
