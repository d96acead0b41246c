//! What is wrong with a web configuration, in one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// A web configuration that can't be used.
#[derive(Debug)]
pub struct WebConfigError {
    file: PathBuf,
    wrong: Wrong,
}

/// What is wrong with it.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Which key, as a path: `tls_server_config.cert_file`; empty where it is the whole.
    key: String,
    problem: String,
    expected: String,
}

impl Wrong {
    /// A key's value.
    pub(super) fn key(
        key: impl Into<String>,
        problem: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), problem: problem.to_string(), expected: expected.into() }
    }

    /// The whole file.
    pub(super) fn whole(problem: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self::key("", problem, expected)
    }

    /// Says in which file.
    pub(super) fn of(self, file: &Path) -> WebConfigError {
        WebConfigError { file: file.to_owned(), wrong: self }
    }
}

impl fmt::Display for WebConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { key, problem, expected } = &self.wrong;
        let colon = if key.is_empty() { "" } else { ": " };
        let line = format!("{}: {key}{colon}{problem}; expected {expected}", self.file.display());
        // A key may have any name, and a line must stay one.
        line.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}

impl std::error::Error for WebConfigError {}
