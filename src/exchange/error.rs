//! Why a file was not written, or not believed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::LARGEST;

/// What is wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ExchangeError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with it.
#[derive(Debug)]
pub enum Problem {
    /// There is no such file: its writer has not started yet.
    Missing,
    /// It is a link, a pipe, a directory: nothing that a writer of ours puts there.
    NotAFile,
    /// It is larger than any is.
    TooLarge,
    /// It can't be read.
    Read(io::Error),
    /// It can't be written.
    Write(io::Error),
    /// It is not JSON of that form.
    Form(String),
    /// It is something else.
    Schema {
        /// What it says it is.
        found: String,
        /// What was wanted.
        expected: &'static str,
    },
    /// It comes from another version of the program.
    Version {
        /// What it says.
        found: u32,
        /// What is understood.
        expected: u32,
    },
    /// It was written before the machine was booted.
    OtherBoot,
    /// It says that it was written later than now.
    Future,
    /// It has the right form and can't be true.
    Content(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no such file yet"),
            Self::NotAFile => write!(f, "not a regular file"),
            Self::TooLarge => write!(f, "larger than {LARGEST} bytes"),
            Self::Read(error) => write!(f, "can't be read: {error}"),
            Self::Write(error) => write!(f, "can't be written: {error}"),
            Self::Form(why) => write!(f, "not of the form expected: {why}"),
            Self::Schema { found, expected } => {
                write!(f, "says it is {}, expected {expected:?}", shortened(found))
            }
            Self::Version { found, expected } => {
                write!(
                    f,
                    "of version {found}, expected {expected}: the containers differ in version"
                )
            }
            Self::OtherBoot => write!(f, "left from before the machine was booted"),
            Self::Future => write!(f, "says it was written later than now"),
            Self::Content(why) => write!(f, "not to be believed: {why}"),
        }
    }
}

/// A text of anyone's in a line of ours.
fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
