//! Programs of newer Debian suites, unpacked in directories of their own beside this system's: the runtimes and the
//! PostgreSQL of today's nodes. `.ci/debian` unpacks them.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use hugetlb_exporter::host::postgres::Installation;

/// Names the directory that has a suite's root under the suite's name.
const VARIABLE: &str = "HUGETLB_LAB_SUITES";

/// A Debian suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// What this system is.
    Own,
    /// Debian 13.
    Trixie,
    /// What comes after it.
    Sid,
}

/// Those that are not this system's.
pub const NEWER: [Suite; 2] = [Suite::Trixie, Suite::Sid];

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "own",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        })
    }
}

impl Suite {
    /// Where it is unpacked; nothing for this system's own.
    fn root(self) -> Option<PathBuf> {
        if self == Self::Own {
            return None;
        }
        let directory = std::env::var_os(VARIABLE).map(PathBuf::from).unwrap_or_default();
        Some(directory.join(self.to_string()))
    }

    /// Its PostgreSQL's programs, as its own processes see them.
    fn postgres(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Trixie => "/usr/lib/postgresql/17/bin",
            Self::Sid => "/usr/lib/postgresql/18/bin",
        }
    }

    /// What keeps its programs from being had here.
    pub fn missing(self) -> Option<String> {
        let root = self.root()?;
        let postgres = format!("{}/postgres", self.postgres());
        let programs = [postgres.as_str(), "/usr/sbin/runc", "/usr/bin/crun", "/usr/bin/setpriv"];
        let absent = programs.iter().find(|program| !root.join(&program[1..]).exists())?;
        Some(match std::env::var_os(VARIABLE) {
            Some(_) => format!("{}{absent}, which .ci/debian unpacks", root.display()),
            None => format!("{VARIABLE}=DIR with DIR/{self}, which .ci/debian makes"),
        })
    }

    /// Words before a command of its: it sees the suite's /usr in place of this system's, and all else as it is.
    pub fn around(self) -> Vec<String> {
        let Some(root) = self.root() else { return Vec::new() };
        let words = ["unshare", "--mount", "--", "sh", "-c"].map(str::to_owned);
        let mount = r#"mount --bind "$0/usr" /usr && exec "$@""#.to_owned();
        words.into_iter().chain([mount, root.display().to_string()]).collect()
    }

    /// Its PostgreSQL.
    pub fn installation(self) -> Installation {
        match self {
            Self::Own => Installation::default(),
            _ => Installation::after(self.around(), self.postgres().into()),
        }
    }

    /// One of its programs' command.
    fn command(self, program: &str) -> Command {
        let mut words = self.around();
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// What one of its programs calls itself, with its version.
    pub fn version(self, program: &str) -> String {
        let output = self.command(program).arg("--version").output();
        let output = String::from_utf8(output.expect("it runs").stdout).expect("text");
        output.lines().next().unwrap_or_default().to_owned()
    }
}

/// A suite's program, such as a container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    pub suite: Suite,
    pub name: &'static str,
}

/// This system's own.
impl From<&'static str> for Program {
    fn from(name: &'static str) -> Self {
        Self { suite: Suite::Own, name }
    }
}

impl Program {
    /// Its command.
    pub fn command(self) -> Command {
        self.suite.command(self.name)
    }
}
