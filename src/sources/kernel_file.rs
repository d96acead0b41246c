//! Reading one small file of the kernel's, once or again and again.
//!
//! An open costs several times a pread through a descriptor that was kept, but each kept file of a cgroup that was
//! read pins some 5 kB of the kernel's memory, charged to us: so they are kept within a budget, and what is beyond it is
//! opened each time.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

use crate::snapshot::{Problems, Reading};

/// No file that we read is longer: numa_stat of a machine with 1,024 nodes has about 30 kB.
const LONGEST: usize = 128 * 1024;

/// Enough for all but a numa_stat of many nodes, meminfo and vmstat.
const USUAL: usize = 4096;

/// Reads files into one buffer that is used again and again.
#[derive(Debug)]
pub(super) struct KernelFiles {
    buffer: Vec<u8>,
    descriptors: Descriptors,
    /// The node's own files by path, a few dozen; none where nothing is to be kept.
    of_node: Option<HashMap<PathBuf, File>>,
}

/// How many files of cgroups may be kept open. Each that is holds a token, so the count can't drift.
#[derive(Debug, Default)]
struct Descriptors {
    most: usize,
    token: Arc<()>,
}

/// A file of a cgroup that is kept open.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    _token: Arc<()>,
}

/// The cgroup went away while it was read, as cgroups do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Default for KernelFiles {
    /// Nothing is kept: for a look or two.
    fn default() -> Self {
        Self { buffer: vec![0; USUAL], descriptors: Descriptors::default(), of_node: None }
    }
}

impl KernelFiles {
    /// Keeps the node's files open, and at most so many of cgroups.
    pub(super) fn keeping(most: usize) -> Self {
        let descriptors = Descriptors { most, ..Descriptors::default() };
        Self { descriptors, of_node: Some(HashMap::new()), ..Self::default() }
    }

    /// Reads and parses a file that may be missing; `expected` says what it should hold.
    pub(super) fn read<T>(
        &mut self,
        path: &Path,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Reading<T> {
        let length = File::open(path).and_then(|file| whole(&file, &mut self.buffer));
        let text = length.and_then(|length| text(&self.buffer, length));
        reading(text, path, expected, parse, problems)
    }

    /// The same for a file of the node itself, which stays where it is and is read at every poll.
    pub(super) fn read_of_node<T>(
        &mut self,
        path: &Path,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Reading<T> {
        let Some(files) = &mut self.of_node else {
            return self.read(path, expected, parse, problems);
        };
        let kept = files.get(path).and_then(|file| whole(file, &mut self.buffer).ok());
        let length = kept.map_or_else(
            || {
                let file = File::open(path)?;
                let length = whole(&file, &mut self.buffer)?;
                files.insert(path.to_owned(), file);
                Ok(length)
            },
            Ok,
        );
        let text = length.and_then(|length| text(&self.buffer, length));
        reading(text, path, expected, parse, problems)
    }

    /// Reads and parses a file of a cgroup that has been seen in its directory: through `kept` where that is open, else
    /// opened, and kept there if it is to be and the budget allows. Missing now, it means that the cgroup is gone:
    /// ENOENT before the file is open, ENODEV after.
    pub(super) fn read_listed<T>(
        &mut self,
        (kept, keep): (&mut Option<Kept>, bool),
        path: impl Fn() -> PathBuf,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Result<Reading<T>, Gone> {
        let length = match kept {
            Some(kept) => once(&kept.file, &mut self.buffer),
            None => File::open(path()).and_then(|file| {
                let length = once(&file, &mut self.buffer)?;
                if keep {
                    *kept = self.descriptors.keep(file);
                }
                Ok(length)
            }),
        };
        match length.and_then(|length| text(&self.buffer, length)) {
            Ok(text) => Ok(parse_or_complain(text, path, expected, parse, problems)),
            Err(error) if is_gone(&error) => Err(Gone),
            Err(error) => {
                problems.add(|| format!("can't read {}: {error}", path().display()));
                Ok(Reading::Failed)
            }
        }
    }
}

impl Descriptors {
    fn keep(&self, file: File) -> Option<Kept> {
        // One of the tokens is our own.
        let is_left = Arc::strong_count(&self.token) <= self.most;
        is_left.then(|| Kept { file, _token: Arc::clone(&self.token) })
    }
}

/// The length of a file that the kernel makes in one piece: whoever reads less than there was room for has all of it.
fn once(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        let length = file.read_at(buffer, 0)?;
        if length < buffer.len() || length >= LONGEST {
            return Ok(length);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// The length of a file that may come in pieces (vmstat does).
fn whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let rest = buffer.get_mut(length..).unwrap_or_default();
        match file.read_at(rest, length as u64)? {
            0 => return Ok(length),
            more => length += more,
        }
        if length == buffer.len() {
            if length >= LONGEST {
                return Ok(length);
            }
            buffer.resize(buffer.len() * 2, 0);
        }
    }
}

fn text(buffer: &[u8], length: usize) -> io::Result<&str> {
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "its bytes are no text");
    std::str::from_utf8(buffer.get(..length).unwrap_or_default()).map_err(no_text)
}

fn reading<T>(
    text: io::Result<&str>,
    path: &Path,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    problems: &mut Problems,
) -> Reading<T> {
    match text {
        Ok(text) => parse_or_complain(text, || path.to_owned(), expected, parse, problems),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
        Err(error) => {
            problems.add(|| format!("can't read {}: {error}", path.display()));
            Reading::Failed
        }
    }
}

/// Whether an error says that a cgroup was removed.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}

fn parse_or_complain<T>(
    text: &str,
    path: impl FnOnce() -> PathBuf,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    problems: &mut Problems,
) -> Reading<T> {
    match parse(text) {
        Some(value) => Reading::Present(value),
        None => {
            let found: String = text.chars().take(60).collect();
            problems.add(|| {
                format!(
                    "can't understand {}: expected {expected}, found {found:?}",
                    path().display()
                )
            });
            Reading::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Health;
    use crate::sources::parse;

    fn health(problems: Problems) -> String {
        match problems.into_health() {
            Health::Up => "up".to_owned(),
            Health::Down(why) => why,
        }
    }

    #[test]
    fn missing_unreadable_and_garbled_files_stay_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let mut files = KernelFiles::default();
        let mut read =
            |problems: &mut Problems| files.read(&path, "a number", parse::number, problems);

        let mut problems = Problems::default();
        assert_eq!(read(&mut problems), Reading::Absent);
        std::fs::write(&path, "7\n").expect("written");
        assert_eq!(read(&mut problems), Reading::Present(7));
        assert_eq!(health(problems), "up");

        let mut problems = Problems::default();
        std::fs::write(&path, b"\xff7\n").expect("written");
        assert_eq!(read(&mut problems), Reading::Failed);
        let text = health(problems);
        assert!(text.contains("no text") && text.contains(&path.display().to_string()), "{text}");

        let mut problems = Problems::default();
        std::fs::write(&path, "seven\n").expect("written");
        assert_eq!(read(&mut problems), Reading::Failed);
        let text = health(problems);
        assert!(text.ends_with(r#"expected a number, found "seven\n""#), "{text}");

        let mut problems = Problems::default();
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("made");
        assert_eq!(read(&mut problems), Reading::Failed);
        assert!(health(problems).starts_with("can't read"));
    }

    #[test]
    fn a_listed_file_that_is_missing_means_that_the_cgroup_is_gone() {
        let mut files = KernelFiles::default();
        let read = files.read_listed(
            (&mut None, false),
            || "/nonexistent/x".into(),
            "a number",
            parse::number,
            &mut Problems::default(),
        );
        assert_eq!(read, Err(Gone));
        assert!(is_gone(&io::Error::from_raw_os_error(Errno::ENODEV as i32)));
        assert!(!is_gone(&io::Error::from_raw_os_error(Errno::EACCES as i32)));
    }
}
