//! The kubelet's log directories, for names. They may lie on a slow disk: not for the poller's thread.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Names, Roots, Search};
use crate::identity::NameIndex;
use crate::snapshot::Problems;

/// More entries than any kubelet leaves; whoever may write there must not cost us our memory.
const MOST_ENTRIES: usize = 50_000;

/// Looks for names in both directories. Links are read, never followed.
pub fn scan(roots: &Roots) -> Names {
    let mut index = NameIndex::default();
    let mut problems = Problems::default();
    let pods = list(&roots.pod_logs, &mut problems, |name, _| index.add_pod_directory(name));
    let containers = list(&roots.container_logs, &mut problems, |name, path| {
        // A link that is gone again, or no link at all, names nobody.
        if let Some(target) = fs::read_link(path).ok().as_ref().and_then(|target| target.to_str()) {
            index.add_container_link(name, target);
        }
    });
    for uid in index.disputed() {
        problems.add(|| {
            format!("{} holds contradictory names for pod {uid}", roots.pod_logs.display())
        });
    }
    let search =
        if pods || containers { Search::Done(problems.into_health()) } else { Search::Nowhere };
    Names { index: Arc::new(index), search }
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
