//! Debian's PostgreSQL, as a container would run it: as nobody's root, in its cgroup before it maps anything.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};

use crate::cgroup::Cgroup;
use crate::harness::{Lines, wait_for};

/// What the lab runs of it.
pub const PROGRAMS: [&str; 6] = ["initdb", "postgres", "psql", "pgbench", "pg_dump", "pg_restore"];

/// Where a program of PostgreSQL's is: Debian keeps most of them out of PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut directories: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    directories.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    directories
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&paths))
        .find_map(|directory| Some(directory.join(name)).filter(|program| program.exists()))
}

/// Which System V segments a server sees: PostgreSQL knows by one that an older server's process lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipc {
    /// The lab's.
    Shared,
    OfItsOwn,
}

/// A program that will end with us, told to wait until it is in its cgroup.
struct Held(Child);

impl Held {
    /// A program run as PostgreSQL's user. Each of those that run it becomes the next, so that who is in the
    /// cgroup is who maps.
    fn start(ipc: Ipc, program: &Path, arguments: &[String]) -> Self {
        let (uid, gid) = user();
        let mut command = match ipc {
            Ipc::Shared => Command::new("setpriv"),
            Ipc::OfItsOwn => {
                let mut command = Command::new("unshare");
                command.args(["--ipc", "--", "setpriv"]);
                command
            }
        };
        command.args(["--clear-groups", "--reuid", &uid.to_string(), "--regid", &gid.to_string()]);
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "read -r go && exec \"$@\"", "sh"]);
        command.arg(program).args(arguments).env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("PostgreSQL starts"))
    }

    /// Lets it go on, in that cgroup if one is named.
    fn release(mut self, cgroup: Option<&Cgroup>) -> Child {
        if let Some(cgroup) = cgroup {
            cgroup.add(self.0.id());
        }
        self.0.stdin.take().expect("its input").write_all(b"go\n").expect("told");
        self.0
    }
}

/// PostgreSQL refuses root.
fn user() -> (Uid, Gid) {
    let by_name = |name| User::from_name(name).ok().flatten();
    let user = by_name("postgres").or_else(|| by_name("nobody")).expect("a user for PostgreSQL");
    (user.uid, user.gid)
}

/// A data directory; dropping it removes it.
pub struct Cluster {
    directory: tempfile::TempDir,
}

impl Cluster {
    /// A new one, made outside all cgroups of the lab's.
    pub fn new() -> Self {
        let (cluster, output) = Self::initdb(None);
        assert!(output.status.success(), "initdb: {}", text(&output));
        cluster
    }

    /// What initdb says and leaves, run in that cgroup.
    pub fn initdb(cgroup: Option<&Cgroup>) -> (Self, Output) {
        let directory = tempfile::tempdir().expect("a directory");
        let (uid, gid) = user();
        chown(directory.path(), Some(uid.as_raw()), Some(gid.as_raw())).expect("its directory");
        let cluster = Self { directory };
        let arguments = [
            "--no-sync".to_owned(),
            "--auth=trust".to_owned(),
            "--username=postgres".to_owned(),
            format!("--pgdata={}", cluster.data().display()),
        ];
        let initdb = Held::start(Ipc::Shared, &program("initdb").expect("initdb"), &arguments);
        let output = initdb.release(cgroup).wait_with_output().expect("its end");
        (cluster, output)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The flags of every server: no network, nothing on disk that we need not wait for.
    fn flags(&self, settings: &[&str]) -> Vec<String> {
        let socket = format!("unix_socket_directories={}", self.directory.path().display());
        let ours =
            ["listen_addresses=", "fsync=off", "full_page_writes=off", "max_wal_size=4GB", &socket];
        let mut flags = vec!["-D".to_owned(), self.data().display().to_string()];
        for setting in ours.iter().chain(settings) {
            flags.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        flags
    }

    /// The huge pages that a server with these settings would map, by its own word.
    pub fn pages(&self, settings: &[&str]) -> u64 {
        let mut flags = self.flags(settings);
        flags.extend(["-C", "shared_memory_size_in_huge_pages"].map(str::to_owned));
        let postgres = Held::start(Ipc::Shared, &program("postgres").expect("postgres"), &flags);
        let output = postgres.release(None).wait_with_output().expect("its end");
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{}", text(&output)))
    }
}

/// A server; dropping it ends it at once.
pub struct Server<'a> {
    cluster: &'a Cluster,
    child: Child,
    log: Lines,
}

impl<'a> Server<'a> {
    /// Starts one in a cgroup and waits until it takes connections.
    pub fn start(cluster: &'a Cluster, cgroup: &Cgroup, settings: &[&str]) -> Self {
        let mut server = Self::launch(cluster, cgroup, settings, Ipc::Shared);
        server.wait_until_ready();
        server
    }

    /// Starts one and does not wait.
    pub fn launch(cluster: &'a Cluster, cgroup: &Cgroup, settings: &[&str], ipc: Ipc) -> Self {
        let postgres = program("postgres").expect("postgres");
        let mut child = Held::start(ipc, &postgres, &cluster.flags(settings)).release(Some(cgroup));
        let log = Lines::of(child.stderr.take().expect("its log"));
        Self { cluster, child, log }
    }

    /// Waits until it takes connections.
    pub fn wait_until_ready(&mut self) {
        wait_for("PostgreSQL to be ready", || {
            if let Some(status) = self.child.try_wait().expect("its status") {
                panic!("PostgreSQL ended with {status}: {:?}", self.log.so_far());
            }
            self.has_logged("ready to accept connections").then_some(())
        });
    }

    /// Waits until it has ended by itself.
    pub fn wait_until_ended(&mut self) -> ExitStatus {
        wait_for("PostgreSQL to end", || self.child.try_wait().expect("its status"))
    }

    /// Kills the postmaster alone.
    pub fn kill_postmaster(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.child.wait().expect("its end").signal(), Some(9));
    }

    /// Whether a line of its log has this text.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.so_far().iter().any(|line| line.contains(text))
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.log.so_far().join("\n")
    }

    /// A client program that connects to it, not yet started.
    pub fn client(&self, name: &str) -> Command {
        let mut command = crate::harness::agent::tied(program(name).expect("a client"));
        command.args([OsStr::new("-h"), self.cluster.directory.path().as_os_str()]);
        command.args(["-U", "postgres"]).env("PGDATABASE", "postgres").env("LC_ALL", "C");
        command
    }

    /// Runs a statement.
    pub fn sql(&self, statement: &str) -> Output {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement]);
        psql.output().expect("psql runs")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).expect("it is there");
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // Told to end at once, a postmaster ends its children too. One that has ended can't be told.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::SIGQUIT);
            let _ = self.child.wait();
        }
    }
}

/// All that a program said.
pub fn text(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    format!("{}: {}", output.status, String::from_utf8_lossy(&said))
}
