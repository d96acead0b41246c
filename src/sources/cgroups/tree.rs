//! Which cgroups there are, and which hugetlb files each has.
//!
//! The listing tells which files exist, so an older kernel's missing ones are never asked for.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::snapshot::Problems;
use crate::sources::kernel_file::is_gone;
use crate::sources::parse::{FileKind, file_name};
use crate::units::PageSize;

/// More cgroups than a node can bear; a tree without end must not cost us our memory.
const MOST_CGROUPS: usize = 100_000;

/// A cgroup's directory that has hugetlb files.
#[derive(Debug)]
pub(super) struct Directory {
    /// Below the hierarchy's root, as text.
    pub(super) path: String,
    /// Where to read it.
    pub(super) location: PathBuf,
    pub(super) inode: u64,
    /// Its parent's place in the list, if that has hugetlb files too.
    pub(super) parent: Option<usize>,
    /// Its hugetlb files, by page size.
    pub(super) files: Vec<(PageSize, FileKind, String)>,
}

/// A directory to visit.
struct Visit {
    path: String,
    location: PathBuf,
    inode: u64,
    parent: Option<usize>,
}

/// All directories with hugetlb files, parents before their children, siblings by name.
pub(super) fn walk(root: &Path, problems: &mut Problems) -> Vec<Directory> {
    let mut found = Vec::new();
    // In a container the root of what is mounted may be the container's own cgroup.
    let inode = fs::metadata(root).map(|root| root.ino()).unwrap_or_default();
    let root = Visit { path: "/".to_owned(), location: root.to_owned(), inode, parent: None };
    let mut pending = vec![root];
    while let Some(visit) = pending.pop() {
        if found.len() >= MOST_CGROUPS {
            problems.add(|| format!("more than {MOST_CGROUPS} cgroups: the rest is not shown"));
            break;
        }
        match list(&visit.location) {
            Ok((files, children)) => {
                // v2 gives a controller's files only to cgroups whose parent has them, the root excepted.
                let is_root = visit.parent.is_none() && visit.path == "/";
                if files.is_empty() && !is_root {
                    continue;
                }
                let parent = if files.is_empty() { None } else { Some(found.len()) };
                pending.extend(children.into_iter().rev().map(|child| child.visit(&visit, parent)));
                if !files.is_empty() {
                    found.push(Directory {
                        path: visit.path,
                        location: visit.location,
                        inode: visit.inode,
                        parent: visit.parent,
                        files,
                    });
                }
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                problems.add(|| format!("can't list {}: {error}", visit.location.display()));
            }
        }
    }
    found
}

/// A subdirectory as the listing shows it.
struct Child {
    name: Vec<u8>,
    inode: u64,
}

impl Child {
    fn visit(self, parent: &Visit, index: Option<usize>) -> Visit {
        let separator = if parent.path == "/" { "" } else { "/" };
        Visit {
            path: format!("{}{separator}{}", parent.path, printable(&self.name)),
            location: parent.location.join(std::ffi::OsString::from_vec(self.name)),
            inode: self.inode,
            parent: index,
        }
    }
}

type Listing = (Vec<(PageSize, FileKind, String)>, Vec<Child>);

fn list(directory: &Path) -> std::io::Result<Listing> {
    let (mut files, mut children) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with("hugetlb.")) {
            files.extend(
                file_name(name).map(|(page_size, kind)| (page_size, kind, name.to_owned())),
            );
        } else if entry.file_type()?.is_dir() {
            children.push(Child { name: name.as_bytes().to_vec(), inode: entry.ino() });
        }
    }
    files.sort_by_key(|(page_size, _, _)| *page_size);
    children.sort_by(|left, right| left.name.cmp(&right.name));
    Ok((files, children))
}

/// A name as text that a terminal can show: bytes that are no UTF-8 as `%FF`, control characters as `%1B`.
fn printable(name: &[u8]) -> String {
    let escape = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
    name.utf8_chunks().fold(String::new(), |mut text, chunk| {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.push_str(&escape(character.encode_utf8(&mut [0; 4]).as_bytes()));
            } else {
                text.push(character);
            }
        }
        text.push_str(&escape(chunk.invalid()));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_branches_without_files_are_left_out() {
        let root = tempfile::tempdir().expect("a directory");
        for path in ["b/c", "a", "none/deeper"] {
            fs::create_dir_all(root.path().join(path)).expect("made");
        }
        for path in ["a", "b", "b/c", "none/deeper"] {
            fs::write(root.path().join(path).join("hugetlb.2MB.current"), "0\n").expect("written");
        }
        let found = walk(root.path(), &mut Problems::default());
        let shown: Vec<_> =
            found.iter().map(|directory| (directory.path.as_str(), directory.parent)).collect();
        assert_eq!(shown, [("/a", None), ("/b", None), ("/b/c", Some(1))]);
        assert!(found.iter().all(|directory| directory.inode != 0));
    }

    #[test]
    fn names_that_are_no_text_are_shown_and_found() {
        assert_eq!(printable(b"a\xff\xc3\xa9"), "a%FF\u{e9}");
        assert_eq!(printable(b"\x1b[2J\n\xc2\x9b"), "%1B[2J%0A%C2%9B", "no name clears a terminal");
        let root = tempfile::tempdir().expect("a directory");
        let strange = root.path().join(std::ffi::OsString::from_vec(b"x\xff".to_vec()));
        fs::create_dir(&strange).expect("made");
        fs::write(strange.join("hugetlb.2MB.current"), "0\n").expect("written");
        let found = walk(root.path(), &mut Problems::default());
        assert_eq!(
            found.first().map(|directory| (directory.path.as_str(), &directory.location)),
            Some(("/x%FF", &strange))
        );
    }
}
