//! Listing a log directory, here or in a process of its own.
//!
//! A thread that asks a file system whose server is stuck (FUSE) or whose disk is gone can't be killed, and the kernel
//! lets no process end before all of its threads have. So it is this program, executed anew, that asks; the thread that waits for
//! it waits at a pipe, and may leave.
//!
//! ```text
//! name \0 target \0     an entry, and where it points if it is a link that counts
//! \0 end \0             the last: nothing, `-` where there is no such directory, `!` and why where permissions keep us out,
//!                       or what else went wrong
//! ```

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::pods::LogDirectory;

/// More entries than any kubelet leaves; anyone who may write there must not cost us our memory.
const MOST_ENTRIES: usize = 50_000;

const NOWHERE: &str = "-";
const CLOSED: char = '!';

/// Who asks the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lister {
    /// The caller: where it is no matter if that never returns.
    Here,
    /// A process of its own; the caller where the system gives none.
    Child,
}

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// There is no such directory.
    Nowhere,
    /// Its permissions, or those of a directory above it, keep us out.
    Closed(String),
    /// Not everything was listed.
    Short(String),
}

impl Lister {
    /// The first argument of such a process; which directory, and where it is, follow.
    pub const NAME: &str = "list-names";

    /// Calls `each` with the name of every entry, and with the target of every link if links count.
    pub(super) fn list(
        self,
        directory: LogDirectory,
        path: &Path,
        mut each: impl FnMut(&str, &str),
    ) -> End {
        let started = match self {
            Self::Here => None,
            Self::Child => {
                let mut command = Command::new("/proc/self/exe");
                command.args([Self::NAME, directory.word()]).arg(path).env_clear();
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
                command.spawn().ok()
            }
        };
        let Some(mut child) = started else {
            return list(directory, path, |name, target| {
                each(name, target);
                Ok(())
            });
        };
        let end = child.stdout.take().map(|said| hear(&mut BufReader::new(said), each));
        // It has said all, and ends. An error means that it is reaped already.
        let _ = child.wait();
        match end {
            Some(Ok(end)) => end,
            Some(Err(error)) => End::Short(error.to_string()),
            None => End::Short("the process that lists has no output".to_owned()),
        }
    }
}

/// What the process does: it lists a directory on stdout.
pub fn run_lister(arguments: &[OsString]) -> io::Result<()> {
    let wrong =
        || io::Error::new(io::ErrorKind::InvalidInput, "expected a directory's kind and path");
    let [word, path] = arguments else { return Err(wrong()) };
    let mut all = LogDirectory::ALL.into_iter();
    let directory = all.find(|it| word == it.word()).ok_or_else(wrong)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let end = list(directory, Path::new(path), |name, target| write!(out, "{name}\0{target}\0"));
    let end = match end {
        End::Whole => String::new(),
        End::Nowhere => NOWHERE.to_owned(),
        End::Closed(why) => format!("{CLOSED}{why}"),
        End::Short(why) => why,
    };
    write!(out, "\0{end}\0")?;
    out.flush()
}

/// Takes in what such a process says.
fn hear(said: &mut impl BufRead, mut each: impl FnMut(&str, &str)) -> io::Result<End> {
    let (mut name, mut target) = (Vec::new(), Vec::new());
    loop {
        for field in [&mut name, &mut target] {
            field.clear();
            said.read_until(0, field)?;
            if field.pop() != Some(0) {
                return Err(io::Error::other("the process that lists broke off"));
            }
        }
        let target = String::from_utf8_lossy(&target);
        match (String::from_utf8_lossy(&name).as_ref(), target.as_ref()) {
            ("", "") => return Ok(End::Whole),
            ("", NOWHERE) => return Ok(End::Nowhere),
            ("", why) => {
                let closed = why.strip_prefix(CLOSED).map(|why| End::Closed(why.to_owned()));
                return Ok(closed.unwrap_or_else(|| End::Short(why.to_owned())));
            }
            (name, target) => each(name, target),
        }
    }
}

/// Calls `each` for every entry that may count, until it fails. Links are read, never followed.
fn list(
    directory: LogDirectory,
    path: &Path,
    mut each: impl FnMut(&str, &str) -> io::Result<()>,
) -> End {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return End::Nowhere,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return End::Closed(error.to_string());
        }
        Err(error) => return End::Short(error.to_string()),
    };
    for (number, entry) in entries.enumerate() {
        if number >= MOST_ENTRIES {
            return End::Short(format!("it has more than {MOST_ENTRIES} entries"));
        }
        let taken = entry.and_then(|entry| match (entry.file_name().to_str(), directory) {
            (Some(name), LogDirectory::Pods) => each(name, ""),
            // A link that is gone again, or no link at all, names nobody.
            (Some(name), LogDirectory::Containers) => match fs::read_link(entry.path()) {
                Ok(target) => target.to_str().map_or(Ok(()), |target| each(name, target)),
                Err(_) => Ok(()),
            },
            // Nor does a name that is no text.
            (None, _) => Ok(()),
        });
        if let Err(error) = taken {
            return End::Short(error.to_string());
        }
    }
    End::Whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &[u8]) -> (Vec<(String, String)>, io::Result<End>) {
        let mut entries = Vec::new();
        let each = |name: &str, target: &str| entries.push((name.to_owned(), target.to_owned()));
        let end = hear(&mut &*said, each);
        (entries, end)
    }

    #[test]
    fn what_the_process_says_is_taken_in_up_to_its_end() {
        let (entries, end) = heard(b"a_b_c\0\0l.log\0/t\0\0\0");
        let entry = |name: &str, target: &str| (name.to_owned(), target.to_owned());
        assert_eq!(entries, [entry("a_b_c", ""), entry("l.log", "/t")]);
        assert_eq!(end.expect("an end"), End::Whole);
        assert_eq!(heard(b"\0-\0").1.expect("an end"), End::Nowhere);
        let closed = heard(b"\0!permission denied\0").1.expect("an end");
        assert_eq!(closed, End::Closed("permission denied".to_owned()));
        let (entries, end) = heard(b"a\0\0\0no permission\0");
        assert_eq!(
            (entries.len(), end.expect("an end")),
            (1, End::Short("no permission".to_owned()))
        );
    }

    #[test]
    fn a_process_that_breaks_off_has_not_said_all() {
        for said in [&b""[..], b"a", b"a\0", b"a\0\0", b"a\0b", b"\0", b"\0no"] {
            assert!(heard(said).1.is_err(), "{said:?}");
        }
    }

    #[test]
    fn a_directory_is_listed_until_nobody_takes_any_more() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("file"), "").expect("written");
        std::os::unix::fs::symlink("/target", directory.path().join("link")).expect("a link");
        let entries = |kind| {
            let mut entries = Vec::new();
            let end = Lister::Here.list(kind, directory.path(), |name, target| {
                entries.push(format!("{name}>{target}"));
            });
            entries.sort_unstable();
            (entries.join(" "), end)
        };
        assert_eq!(entries(LogDirectory::Pods), ("file> link>".to_owned(), End::Whole));
        assert_eq!(entries(LogDirectory::Containers), ("link>/target".to_owned(), End::Whole));
        let broken = |_: &str, _: &str| Err(io::ErrorKind::BrokenPipe.into());
        let end = list(LogDirectory::Pods, directory.path(), broken);
        assert_eq!(end, End::Short("broken pipe".to_owned()));
        let nowhere = list(LogDirectory::Pods, Path::new("/nonexistent"), |_, _| Ok(()));
        assert_eq!(nowhere, End::Nowhere);
    }
}
