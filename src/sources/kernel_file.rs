//! Reading one small file of the kernel's. Every read opens its file anew: a file that was put in another's place is
//! seen, and nothing is pinned in the kernel (an open cgroup file that was read holds 4.8 kB, charged to us).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::parse::Format;
use crate::snapshot::{Problems, Reading};

/// No file that we read is longer: numa_stat of a machine with 1,024 nodes has about 30 kB.
const LONGEST: usize = 128 * 1024;

/// Enough for all but a numa_stat of many nodes, meminfo and vmstat.
const USUAL: usize = 4096;

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Reads files into one buffer that is used again and again.
#[derive(Debug)]
pub(super) struct KernelFiles {
    buffer: Vec<u8>,
    /// The path of the file that is read, likewise.
    path: PathBuf,
}

/// A directory that is open while files below it are read, so that their paths begin there. What kept it from being opened
/// is met again at each of them.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    descriptor: Result<OwnedFd, Errno>,
}

/// A file that was listed in a directory: the open one above it, the directory's path from there, and the file's name.
pub(super) type Listed<'a> = (&'a Directory, &'a Path, &'a str);

/// The cgroup went away while it was read, as cgroups do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Default for KernelFiles {
    fn default() -> Self {
        Self { buffer: vec![0; USUAL], path: PathBuf::new() }
    }
}

impl Directory {
    /// The directory at a path.
    pub(super) fn open(path: &Path) -> Self {
        let descriptor = openat(AT_FDCWD, path, DIRECTORY, Mode::empty());
        Self { path: path.to_owned(), descriptor }
    }

    fn file(&self, path: &Path) -> io::Result<File> {
        let directory = self.descriptor.as_ref().map_err(|error| *error)?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        Ok(openat(directory, path, flags, Mode::empty())?.into())
    }
}

impl KernelFiles {
    /// Reads and parses a file that may be missing.
    pub(super) fn read<T>(
        &mut self,
        path: &Path,
        format: Format<T>,
        problems: &mut Problems,
    ) -> Reading<T> {
        let length = File::open(path).and_then(|file| whole(&file, &mut self.buffer));
        match length.and_then(|length| text(&self.buffer, length)) {
            Ok(text) => parse_or_complain(text, || path.to_owned(), format, problems),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
            Err(error) => {
                problems.add(|| format!("can't read {}: {error}", path.display()));
                Reading::Failed
            }
        }
    }

    /// Reads and parses a file of a cgroup that was listed in its directory. Missing now, it means that the cgroup is
    /// gone: ENOENT at the open, ENODEV at the read.
    pub(super) fn listed<T>(
        &mut self,
        (directory, below, name): Listed<'_>,
        format: Format<T>,
        problems: &mut Problems,
    ) -> Result<Reading<T>, Gone> {
        self.path.clear();
        self.path.extend([below, Path::new(name)]);
        let length = directory.file(&self.path).and_then(|file| once(&file, &mut self.buffer));
        let path = || directory.path.join(below).join(name);
        match length.and_then(|length| text(&self.buffer, length)) {
            Ok(text) => Ok(parse_or_complain(text, path, format, problems)),
            Err(error) if is_gone(&error) => Err(Gone),
            Err(error) => {
                problems.add(|| format!("can't read {}: {error}", path().display()));
                Ok(Reading::Failed)
            }
        }
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

/// Whether an error says that a cgroup was removed.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}

fn parse_or_complain<T>(
    text: &str,
    path: impl FnOnce() -> PathBuf,
    (parse, expected): Format<T>,
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
            Health::Missing(what) | Health::Down(what) => what,
        }
    }

    #[test]
    fn missing_unreadable_and_garbled_files_stay_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let mut files = KernelFiles::default();
        let mut read = |problems: &mut Problems| files.read(&path, parse::NUMBER, problems);

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
        let directory = tempfile::tempdir().expect("a directory");
        let read = files.listed(
            (&Directory::open(directory.path()), Path::new(""), "x"),
            parse::NUMBER,
            &mut Problems::default(),
        );
        assert_eq!(read, Err(Gone));
        assert!(is_gone(&io::Error::from_raw_os_error(Errno::ENODEV as i32)));
        assert!(!is_gone(&io::Error::from_raw_os_error(Errno::EACCES as i32)));
    }
}
