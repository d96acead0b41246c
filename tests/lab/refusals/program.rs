//! The programs that ask for huge pages: small ones of ours, one for each way, and real ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::row::End;
use crate::harness::project;
use crate::postgres;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    Cow,
    TwoChildren,
    AtOnce,
    Slowly,
    Fallback,
    Read,
    Populate,
    Php,
    Mimalloc,
    Java,
    Postgres,
    Initdb,
}

/// All but the JDK's, which is not installed for the lab.
pub const USUAL: [Program; 11] = [
    Program::Cow,
    Program::TwoChildren,
    Program::AtOnce,
    Program::Slowly,
    Program::Fallback,
    Program::Read,
    Program::Populate,
    Program::Php,
    Program::Mimalloc,
    Program::Postgres,
    Program::Initdb,
];

/// Where Debian has it.
pub fn mimalloc() -> PathBuf {
    format!("/usr/lib/{}-linux-gnu/libmimalloc.so.2", std::env::consts::ARCH).into()
}

/// Of a server of 5 pages.
pub const SERVER: [&str; 3] = ["shared_buffers=5MB", "max_connections=10", "max_wal_senders=0"];

impl Program {
    /// The pages that it needs.
    pub fn pages(self) -> u64 {
        match self {
            Self::Cow => 4,
            Self::TwoChildren => 6,
            Self::AtOnce | Self::Slowly | Self::Fallback | Self::Read | Self::Populate => 3,
            // Its shared memory has 4, its code one or two.
            Self::Php => 6,
            Self::Java => 8,
            Self::Mimalloc => 16,
            Self::Postgres => 8,
            Self::Initdb => 80,
        }
    }

    /// Some of them.
    pub fn too_few(self) -> u64 {
        match self {
            Self::Cow | Self::TwoChildren | Self::Java | Self::Postgres => 3,
            Self::Initdb => 10,
            _ => 2,
        }
    }

    /// Whether it touches, unasked, all that it maps: what is short then dies for certain.
    pub fn touches_all(self) -> bool {
        !matches!(self, Self::Php | Self::Mimalloc | Self::Postgres | Self::Initdb)
    }

    /// Whether it takes a core for a while.
    pub fn is_heavy(self) -> bool {
        matches!(self, Self::Java | Self::Initdb)
    }

    /// The command, but PostgreSQL's server, which has a data directory of its own. It says `done` if it goes on.
    pub fn command(self, end: End, files: &Files) -> Command {
        let seconds = if end == End::Lives { 600 } else { 0 };
        let ours = |way: &str, pages: u64| {
            let mut command = Command::new("/usr/bin/python3");
            let script = project().join("tests/lab/refusals/huge.py");
            command.args(["-I", "-S"]).arg(script).args([way, &pages.to_string()]);
            command.arg(if end == End::Lives { "lives" } else { "ends" });
            command
        };
        match self {
            Self::Cow => ours("cow", self.pages() / 2),
            Self::TwoChildren => ours("two-children", self.pages() / 3),
            Self::AtOnce => ours("at-once", self.pages()),
            Self::Slowly => ours("slowly", self.pages()),
            Self::Fallback => ours("fallback", self.pages()),
            Self::Read => ours("read", self.pages()),
            Self::Populate => ours("populate", self.pages()),
            Self::Php => php(seconds),
            Self::Mimalloc => with_mimalloc(seconds),
            Self::Java => java(seconds, files),
            Self::Initdb => initdb(seconds, files),
            Self::Postgres => unreachable!("it has a data directory"),
        }
    }
}

/// opcache in shared memory and the code remapped, as its documentation tells to.
fn php(seconds: u64) -> Command {
    let mut command = Command::new("/usr/bin/php");
    for setting in [
        "opcache.enable_cli=1",
        "opcache.memory_consumption=8",
        "opcache.interned_strings_buffer=1",
        "opcache.huge_code_pages=1",
    ] {
        command.args(["-d", setting]);
    }
    command.args(["-r", &format!("echo \"done\\n\"; sleep({seconds});")]);
    command
}

/// Any program does that it is preloaded into.
fn with_mimalloc(seconds: u64) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.env("LD_PRELOAD", mimalloc()).env("MIMALLOC_LARGE_OS_PAGES", "1");
    let script = format!(
        "import time; held = [0] * 300000; print('done', flush=True); time.sleep({seconds})"
    );
    command.args(["-I", "-S", "-c", &script]);
    command
}

fn java(seconds: u64, files: &Files) -> Command {
    let mut command = Command::new("java");
    command.args(["-XX:+UseLargePages", "-XX:+AlwaysPreTouch", "-XX:+UseParallelGC"]);
    command.args(["-Xms16m", "-Xmx16m", "-XX:ReservedCodeCacheSize=8m", "-XX:ErrorFile=/dev/null"]);
    command.arg("-cp").arg(&files.classes).args(["Heap", "8", &(seconds * 1000).to_string()]);
    command
}

fn initdb(seconds: u64, files: &Files) -> Command {
    let data = tempfile::Builder::new().prefix("data-").tempdir_in(&files.data).expect("made");
    std::os::unix::fs::chown(data.path(), Some(files.user), Some(files.user)).expect("given");
    let mut command = Command::new("setpriv");
    let (user, group) = (format!("--reuid={}", files.user), format!("--regid={}", files.user));
    command.args([&user, &group, "--clear-groups", "--pdeathsig=KILL", "--", "sh", "-c"]);
    command.args([&format!("\"$0\" \"$@\"; code=$?; echo done; sleep {seconds}; exit $code")]);
    command.arg(postgres::program("initdb").expect("installed"));
    command.args(["--no-sync", "--auth=trust", "--username=postgres", "--pgdata"]);
    command.arg(data.keep()).env("LC_ALL", "C");
    command
}

/// What programs need that are more than a command.
pub struct Files {
    classes: PathBuf,
    data: PathBuf,
    user: u32,
    _directory: tempfile::TempDir,
}

impl Files {
    pub fn new(with_java: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [classes, data] = ["classes", "data"].map(|name| directory.path().join(name));
        for made in [&classes, &data] {
            std::fs::create_dir(made).expect("made");
        }
        if with_java {
            let mut javac = Command::new("javac");
            javac.arg("-d").arg(&classes).arg(project().join("tests/lab/refusals/Heap.java"));
            assert!(javac.status().expect("javac").success());
        }
        open_to_all(directory.path());
        let user = nix::unistd::User::from_name("postgres").ok().flatten();
        let user = user.expect("Debian's user for PostgreSQL").uid.as_raw();
        Self { classes, data, user, _directory: directory }
    }
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open = || std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, open()).expect("open to all");
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cow => "fork and write",
            Self::TwoChildren => "fork and write, two children",
            Self::AtOnce => "NORESERVE at once",
            Self::Slowly => "NORESERVE slowly",
            Self::Fallback => "mapping with fallback",
            Self::Read => "read(2) into the pages",
            Self::Populate => "MADV_POPULATE_WRITE",
            Self::Php => "PHP opcache",
            Self::Mimalloc => "mimalloc",
            Self::Java => "OpenJDK",
            Self::Postgres => "PostgreSQL (on, or try where it lives on)",
            Self::Initdb => "initdb",
        })
    }
}
