//! Reading one small file of the kernel's.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;

use crate::snapshot::{Problems, Reading};

/// No file that we read is longer: numa_stat of a machine with 1,024 nodes has about 30 kB.
const LONGEST: u64 = 128 * 1024;

/// Reads files into one buffer that is used again and again.
#[derive(Debug, Default)]
pub(super) struct KernelFiles {
    buffer: Vec<u8>,
}

/// The cgroup went away while it was read, as cgroups do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl KernelFiles {
    /// Reads and parses a file that may be missing; `expected` says what it should hold.
    pub(super) fn read<T>(
        &mut self,
        path: &Path,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Reading<T> {
        match self.read_text(path) {
            Ok(text) => parse_or_complain(text, path, expected, parse, problems),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
            Err(error) => {
                problems.add(|| format!("can't read {}: {error}", path.display()));
                Reading::Failed
            }
        }
    }

    /// Reads and parses a file of a cgroup that has been seen in its directory. Missing now, it means
    /// that the cgroup is gone: ENOENT before the file is open, ENODEV after.
    pub(super) fn read_listed<T>(
        &mut self,
        path: &Path,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Result<Reading<T>, Gone> {
        match self.read_text(path) {
            Ok(text) => Ok(parse_or_complain(text, path, expected, parse, problems)),
            Err(error) if is_gone(&error) => Err(Gone),
            Err(error) => {
                problems.add(|| format!("can't read {}: {error}", path.display()));
                Ok(Reading::Failed)
            }
        }
    }

    /// The file's text.
    fn read_text(&mut self, path: &Path) -> io::Result<&str> {
        self.buffer.clear();
        File::open(path)?.take(LONGEST).read_to_end(&mut self.buffer)?;
        let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "its bytes are no text");
        std::str::from_utf8(&self.buffer).map_err(no_text)
    }
}

/// Whether an error says that a cgroup was removed.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}

fn parse_or_complain<T>(
    text: &str,
    path: &Path,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    problems: &mut Problems,
) -> Reading<T> {
    match parse(text) {
        Some(value) => Reading::Present(value),
        None => {
            let found: String = text.chars().take(60).collect();
            problems.add(|| {
                format!("can't understand {}: expected {expected}, found {found:?}", path.display())
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
            Path::new("/nonexistent/x"),
            "a number",
            parse::number,
            &mut Problems::default(),
        );
        assert_eq!(read, Err(Gone));
        assert!(is_gone(&io::Error::from_raw_os_error(Errno::ENODEV as i32)));
        assert!(!is_gone(&io::Error::from_raw_os_error(Errno::EACCES as i32)));
    }
}
