//! Files as they were read, and whether they are others by now.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Nobody has a certificate of that size.
const MOST_BYTES: u64 = 4 << 20;

/// Files by their paths, each with what tells it from another or a changed one; nothing where it was not there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<PathBuf, Option<Print>>);

/// A change of a file's content, name or mode changes this. Kubernetes swaps a link, which leads to another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Files {
    /// Reads one whole, and keeps in mind which it was.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.insert(path.to_owned(), None);
        // Asked before it is opened: opening a pipe may take for ever.
        if !path.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let file = File::open(path)?;
        self.0.insert(path.to_owned(), Some(Print::of(&file.metadata()?)));
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The same paths as they are now.
    pub(super) fn now(&self) -> Self {
        let print = |path: &PathBuf| path.metadata().ok().map(|metadata| Print::of(&metadata));
        Self(self.0.keys().map(|path| (path.clone(), print(path))).collect())
    }
}

impl Print {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
