//! What the guard has written, on the node: each write is recorded before it is made.
//!
//! A file of lines in the state directory, which outlives the pod (a hostPath in /run) and not a reboot. The last line
//! about a limit counts; a line that says `ended` means that nothing there is the guard's. Killed at any moment, it leaves
//! a whole line or a torn last one, which is cut off; a record of a write that was not made any more is told by the
//! limit itself, which has its old value.
//!
//! ```text
//! {"journal":1,"boot":"6fd0…"}
//! {"cgroup":"/kubepods/pod…","inode":812,"size":"2Mi","which":"reservation","why":"refuse","old":"max","new":0}
//! ```

mod line;

use std::collections::BTreeMap;
#[cfg(test)]
use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::facts::{Change, Which};
use crate::units::PageSize;
use line::{Head, Line};

const FILE: &str = "journal";
/// Lines of this many cgroups, and of their limits' history. Beyond, nothing is recorded, and so nothing written.
const LARGEST: u64 = 4 * 1024 * 1024;
/// So many lines that count no more are kept.
const SLACK: usize = 1_024;

/// Which limit of which cgroup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The cgroup's path, as people are shown it.
    pub cgroup: String,
    /// The inode number of its directory: another of that name is not it.
    pub inode: u64,
    /// Which pages.
    pub size: PageSize,
    /// Which of the two.
    pub which: Which,
}

/// The records, in memory and on the node.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    boot: String,
    file: File,
    /// How long it is up to its last whole line.
    length: u64,
    lines: usize,
    records: BTreeMap<Key, Change>,
    /// Lines that were not understood when it was opened.
    pub strange: usize,
}

impl Journal {
    /// Opens the one in a state directory, or begins it. What was recorded before this boot counts no more.
    pub fn open(directory: &Path, boot: &str) -> io::Result<Self> {
        let text = read(&directory.join(FILE))?;
        let (records, strange) = parse(&text, boot);
        let mut journal = Self {
            directory: directory.to_owned(),
            boot: boot.to_owned(),
            // In its place comes the one that is written now.
            file: File::open("/dev/null")?,
            length: 0,
            lines: 0,
            records,
            strange,
        };
        journal.rewrite()?;
        Ok(journal)
    }

    /// What is recorded of a limit.
    pub fn get(&self, key: &Key) -> Option<Change> {
        self.records.get(key).copied()
    }

    /// All that is recorded.
    pub fn records(&self) -> impl Iterator<Item = (&Key, &Change)> {
        self.records.iter()
    }

    /// Records a write that is about to be made.
    pub fn record(&mut self, key: &Key, change: Change) -> io::Result<()> {
        self.append(&Line::of(key, Some(change)))?;
        self.records.insert(key.clone(), change);
        self.tidy();
        Ok(())
    }

    /// Records that nothing there is the guard's any more. If that can't be written, the record on the node is of a value
    /// that is no longer there, which the next start sees.
    pub fn end(&mut self, key: &Key) {
        if self.records.remove(key).is_some() {
            let _ = self.append(&Line::of(key, None));
            self.tidy();
        }
    }

    /// Forgets what is recorded of cgroups that are gone.
    pub fn keep(&mut self, mut is_there: impl FnMut(&Key) -> bool) {
        self.records.retain(|key, _| is_there(key));
        self.tidy();
    }

    /// A whole line or none: what a full disk took a part of is cut off again.
    fn append(&mut self, line: &Line) -> io::Result<()> {
        let text = line.text()?;
        if self.length + text.len() as u64 > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let end = self.file.seek(SeekFrom::Start(self.length))?;
        let written = self.file.write_all(&text);
        match written {
            Ok(()) => {
                self.length = end + text.len() as u64;
                self.lines += 1;
                Ok(())
            }
            Err(error) => {
                // If even that fails, the next line is written over it, and the next start cuts it off.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    /// Leaves out the lines that count no more, where they are many. On a full disk they stay.
    fn tidy(&mut self) {
        if self.lines > 2 * self.records.len() + SLACK {
            let _ = self.rewrite();
        }
    }

    /// Puts a new file with what counts in the place of the old.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut text = Head::of(&self.boot).text()?;
        for (key, change) in &self.records {
            text.extend(Line::of(key, Some(*change)).text()?);
        }
        crate::exchange::replace(&self.directory, FILE, &text)?;
        let path = self.directory.join(FILE);
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
        self.file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        self.length = text.len() as u64;
        self.lines = self.records.len() + 1;
        Ok(())
    }
}

/// The text of it, none where there is none. A link, a pipe or anything else in its place is an error.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// What counts of a text, and how many lines were not understood.
fn parse(text: &[u8], boot: &str) -> (BTreeMap<Key, Change>, usize) {
    let mut records = BTreeMap::new();
    let mut strange = 0;
    // A torn last line has no end.
    let whole = text.iter().rposition(|byte| *byte == b'\n').and_then(|end| text.get(..end));
    let mut lines = whole.unwrap_or_default().split(|byte| *byte == b'\n');
    let is_of_this_boot = lines.next().and_then(Head::parse).is_some_and(|head| head.is_of(boot));
    if !is_of_this_boot {
        return (records, 0);
    }
    for line in lines {
        match Line::parse(line) {
            None => strange += 1,
            Some((key, Some(change))) => {
                records.insert(key, change);
            }
            Some((key, None)) => {
                records.remove(&key);
            }
        }
    }
    (records, strange)
}

#[cfg(test)]
mod tests;
