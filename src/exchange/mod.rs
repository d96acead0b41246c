//! The file by which one container of the pod tells the exporter's what it does: small, in a directory that both have
//! mounted (an emptyDir), and never believed unread.
//!
//! The writer puts a whole file in the old one's place (rename), so a reader sees one or the other. The reader takes
//! nothing for granted: it opens no link and no pipe, reads no more than [`LARGEST`], and wants its own schema, its own
//! version and this boot. When the file was written is told in the kernel's time since boot, which both containers share
//! and nobody sets; so one that its writer no longer renews is known to be late.
//!
//! ```text
//! {"schema":"hugetlb-guard","version":1,"boot":"6fd0…","written_ms":83000,"due_ms":113000,"content":{…}}
//! ```

mod error;
mod moment;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use error::{ExchangeError, Problem};
pub use moment::Moment;

/// No file is larger, in bytes.
pub const LARGEST: u64 = 256 * 1024;

/// What is exchanged.
pub trait Content: Serialize + DeserializeOwned {
    /// What the file says it holds.
    const SCHEMA: &'static str;
    /// Counted up whenever an older reader would misunderstand it.
    const VERSION: u32;
    /// The file's name in the directory.
    const FILE: &'static str;

    /// What is wrong with it though it has the right form: a name with control characters, too many entries.
    fn check(&self) -> Result<(), String>;
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<T> {
    /// What the writer said.
    pub content: T,
    /// How long ago.
    pub age: Duration,
    /// Whether it should have been renewed by now: its writer has stopped or hangs.
    pub is_late: bool,
}

#[derive(Serialize)]
struct Sent<'a, T> {
    schema: &'static str,
    version: u32,
    boot: &'a str,
    written_ms: u64,
    due_ms: u64,
    content: &'a T,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    schema: String,
    version: u32,
    boot: String,
    written_ms: u64,
    due_ms: u64,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Puts it into the directory, to be renewed before `within` is over. What is too large, or not what it should be,
/// is not written; the old file then stays.
pub fn write<T: Content>(
    directory: &Path,
    content: &T,
    within: Duration,
    now: &Moment,
) -> Result<(), ExchangeError> {
    let path = directory.join(T::FILE);
    let of = |problem| ExchangeError { path: path.clone(), problem };
    content.check().map_err(|why| of(Problem::Content(why)))?;
    let sent = Sent {
        schema: T::SCHEMA,
        version: T::VERSION,
        boot: &now.boot,
        written_ms: milliseconds(now.since_boot),
        due_ms: milliseconds(now.since_boot.saturating_add(within)),
        content,
    };
    let text = serde_json::to_vec(&sent).map_err(|error| of(Problem::Form(error.to_string())))?;
    if text.len() as u64 > LARGEST {
        return Err(of(Problem::TooLarge));
    }
    replace(directory, T::FILE, &text).map_err(|error| of(Problem::Write(error)))
}

/// Puts a whole file in the place of the one of that name. Only its owner can write it, everyone can read it.
pub fn replace(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let path = directory.join(format!(".{name}.new"));
    // What a writer that was killed has left, whatever it is.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
    let written = file.write_all(text).and_then(|()| fs::rename(&path, directory.join(name)));
    if written.is_err() {
        // On a full disk it would be in the way of others.
        let _ = fs::remove_file(&path);
    }
    written
}

/// Reads what is in the directory.
pub fn read<T: Content>(directory: &Path, now: &Moment) -> Result<Received<T>, ExchangeError> {
    let path = directory.join(T::FILE);
    receive(&path, now).map_err(|problem| ExchangeError { path, problem })
}

fn receive<T: Content>(path: &Path, now: &Moment) -> Result<Received<T>, Problem> {
    let text = text(path)?;
    let form = |error: serde_json::Error| Problem::Form(error.to_string());
    let envelope: Envelope<'_> = serde_json::from_slice(&text).map_err(form)?;
    if envelope.schema != T::SCHEMA {
        return Err(Problem::Schema { found: envelope.schema, expected: T::SCHEMA });
    }
    if envelope.version != T::VERSION {
        return Err(Problem::Version { found: envelope.version, expected: T::VERSION });
    }
    let (written, due) =
        (Duration::from_millis(envelope.written_ms), Duration::from_millis(envelope.due_ms));
    if envelope.boot != now.boot {
        return Err(Problem::OtherBoot);
    }
    let Some(age) = now.since_boot.checked_sub(written) else { return Err(Problem::Future) };
    let content: T = serde_json::from_str(envelope.content.get()).map_err(form)?;
    content.check().map_err(Problem::Content)?;
    Ok(Received { content, age, is_late: now.since_boot > due })
}

/// The text of a regular file that is not too large. Neither a link nor a pipe is opened in its place.
fn text(path: &Path) -> Result<Vec<u8>, Problem> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file: File = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => Problem::Missing,
        // A link.
        Some(Errno::ELOOP) => Problem::NotAFile,
        _ => Problem::Read(error),
    })?;
    if !file.metadata().map_err(Problem::Read)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut text = Vec::new();
    // It may grow while it is read.
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(Problem::Read)?;
    if text.len() as u64 > LARGEST { Err(Problem::TooLarge) } else { Ok(text) }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Where a content lies in a directory.
pub fn path_of<T: Content>(directory: &Path) -> PathBuf {
    directory.join(T::FILE)
}

#[cfg(test)]
mod tests;
