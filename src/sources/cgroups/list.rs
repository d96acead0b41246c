//! What is in a cgroup's directory: its hugetlb files, and the directories below.
//!
//! The listing tells which files exist, so an older kernel's missing ones are never asked for.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;
use std::sync::Arc;

use crate::snapshot::CgroupVersion;
use crate::sources::parse::{FileKind, file_name};
use crate::units::PageSize;

/// What is in a directory.
#[derive(Debug)]
pub(in crate::sources) struct Listing {
    /// Its hugetlb files, smallest page size first.
    pub(in crate::sources) files: Vec<SizeNames>,
    /// The directories, by name.
    pub(in crate::sources) children: Vec<Child>,
}

/// The files of one page size, in the order in which they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sources) struct SizeNames {
    pub(in crate::sources) page_size: PageSize,
    pub(in crate::sources) names: Vec<(FileKind, String)>,
}

/// A subdirectory as the listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sources) struct Child {
    pub(in crate::sources) name: Arc<OsStr>,
    pub(in crate::sources) inode: u64,
}

impl SizeNames {
    /// The name of a file that exists.
    pub(in crate::sources) fn of(&self, kind: FileKind) -> Option<&str> {
        self.names.iter().find(|(named, _)| *named == kind).map(|(_, name)| name.as_str())
    }
}

/// Lists a directory; of the files, those that its version of the hierarchy has.
pub(in crate::sources) fn list(directory: &Path, version: CgroupVersion) -> io::Result<Listing> {
    let (mut files, mut children) = (Vec::<SizeNames>::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(text) = name.to_str().filter(|text| text.starts_with("hugetlb.")) {
            let Some((page_size, kind)) = file_name(text).filter(|(_, kind)| kind.is_of(version))
            else {
                continue;
            };
            let named = (kind, text.to_owned());
            match files.iter_mut().find(|size| size.page_size == page_size) {
                Some(size) => size.names.push(named),
                None => files.push(SizeNames { page_size, names: vec![named] }),
            }
        } else if entry.file_type()?.is_dir() {
            children.push(Child { name: name.into(), inode: entry.ino() });
        }
    }
    files.sort_by_key(|size| size.page_size);
    files.iter_mut().for_each(|size| size.names.sort_by_key(|(kind, _)| *kind));
    children.sort();
    Ok(Listing { files, children })
}

/// A name as text that a terminal can show: bytes that are no UTF-8 as `%FF`, control characters as `%1B`.
pub(in crate::sources) fn printable(name: &[u8]) -> String {
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
    fn names_that_are_no_text_are_shown() {
        assert_eq!(printable(b"a\xff\xc3\xa9"), "a%FF\u{e9}");
        assert_eq!(printable(b"\x1b[2J\n\xc2\x9b"), "%1B[2J%0A%C2%9B", "no name clears a terminal");
    }

    #[test]
    fn files_are_listed_by_size_in_the_order_of_their_reading() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in [
            "hugetlb.1GB.current",
            "hugetlb.2MB.events",
            "hugetlb.2MB.rsvd.current",
            "hugetlb.2MB.current",
            "hugetlb.2MB.failcnt",
            "memory.current",
        ] {
            fs::write(directory.path().join(name), "0\n").expect("written");
        }
        fs::create_dir(directory.path().join("b")).expect("made");
        fs::create_dir(directory.path().join("a")).expect("made");
        let listing = list(directory.path(), CgroupVersion::V2).expect("listed");
        let sizes: Vec<_> =
            listing.files.iter().map(|size| (size.page_size.to_string(), &size.names)).collect();
        let [(small, names), (large, _)] = &*sizes else { panic!("{sizes:?}") };
        assert_eq!((small.as_str(), large.as_str()), ("2Mi", "1Gi"));
        let kinds: Vec<FileKind> = names.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [FileKind::Usage, FileKind::Reserved, FileKind::Events], "no v1 file");
        let children: Vec<_> = listing.children.iter().map(|child| &*child.name).collect();
        assert_eq!(children, ["a", "b"]);
    }
}
