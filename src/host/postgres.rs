//! An installed PostgreSQL, with data directories of its own and no network, as a container would run it: not as root, and
//! in its cgroup before it maps anything.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};
use tempfile::TempDir;

use super::lines::Lines;

/// Where a program of PostgreSQL's newest version is: Debian keeps most of them out of PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut directories: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    directories.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = directories.into_iter().rev().chain(std::env::split_paths(&paths));
    directories.find_map(|directory| Some(directory.join(name)).filter(|program| program.exists()))
}

/// Which PostgreSQL.
#[derive(Debug, Clone, Default)]
pub struct Installation {
    elsewhere: Option<Elsewhere>,
}

#[derive(Debug, Clone)]
struct Elsewhere {
    around: Vec<String>,
    programs: PathBuf,
}

impl Installation {
    /// One whose programs are in that directory after these words (`unshare --mount … --`), of which each becomes the next.
    pub fn after(around: Vec<String>, programs: PathBuf) -> Self {
        Self { elsewhere: Some(Elsewhere { around, programs }) }
    }

    fn around(&self) -> &[String] {
        self.elsewhere.as_ref().map_or(&[], |elsewhere| &elsewhere.around)
    }

    /// Where a program of it is, after those words.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        match &self.elsewhere {
            Some(elsewhere) => Ok(elsewhere.programs.join(name)),
            None => program(name).with_context(|| format!("no {name} is installed")),
        }
    }
}

/// Puts a process into its cgroup, before it becomes the program.
pub type Enter<'a> = &'a dyn Fn(u32) -> anyhow::Result<()>;

/// Starts a program as PostgreSQL's user, after these words (`unshare --ipc --`); each command becomes the next.
fn start(
    installation: &Installation,
    around: &[&str],
    program: &str,
    arguments: &[String],
    enter: Enter<'_>,
) -> anyhow::Result<Child> {
    let (uid, gid) = user()?;
    let program = installation.program(program)?;
    let around = around.iter().copied();
    let words = installation.around().iter().map(String::as_str).chain(around);
    let mut command = super::after(words, "setpriv");
    command.args(["--clear-groups", "--reuid", &uid.to_string(), "--regid", &gid.to_string()]);
    command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "read -r go && exec \"$@\"", "sh"]);
    command.arg(&program).args(arguments).env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    super::apart(&mut command);
    let mut child =
        command.spawn().with_context(|| format!("can't start {}", program.display()))?;
    let entered = enter(child.id()).and_then(|()| {
        let mut input = child.stdin.take().context("it has no input")?;
        input.write_all(b"go\n").context("can't let it go on")
    });
    if let Err(error) = entered {
        // It has not become the program yet.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

/// Whom it runs as: it refuses root.
pub fn user() -> anyhow::Result<(Uid, Gid)> {
    let by_name = |name| User::from_name(name).ok().flatten();
    let user = by_name("postgres").or_else(|| by_name("nobody"));
    user.map(|user| (user.uid, user.gid)).context("no user for PostgreSQL")
}

/// A data directory; dropping it removes it.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    installation: Installation,
}

impl Cluster {
    /// A new one of this machine's PostgreSQL, made in no cgroup in particular.
    pub fn new() -> anyhow::Result<Self> {
        Self::of(Installation::default())
    }

    /// The same of another PostgreSQL.
    pub fn of(installation: Installation) -> anyhow::Result<Self> {
        let (cluster, output) = Self::initdb(installation, &|_| Ok(()))?;
        ensure!(output.status.success(), "initdb failed: {}", said(&output));
        Ok(cluster)
    }

    /// What initdb says and leaves, whether it succeeds or not.
    pub fn initdb(installation: Installation, enter: Enter<'_>) -> anyhow::Result<(Self, Output)> {
        let directory = tempfile::Builder::new().prefix("hugetlb-demo-").tempdir();
        let directory = directory.context("can't make a data directory")?;
        let (uid, gid) = user()?;
        chown(directory.path(), Some(uid.as_raw()), Some(gid.as_raw()))
            .context("can't give PostgreSQL its data directory")?;
        let cluster = Self { directory, installation };
        let mut arguments =
            ["--no-sync", "--auth=trust", "--username=postgres"].map(str::to_owned).to_vec();
        arguments.push(format!("--pgdata={}", cluster.data().display()));
        let initdb = start(&cluster.installation, &[], "initdb", &arguments, enter)?;
        Ok((cluster, initdb.wait_with_output().context("can't wait for initdb")?))
    }

    /// Where its data and its servers' sockets are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The flags of every server: no network, nothing on disk that need not be waited for.
    pub fn flags(&self, settings: &[&str]) -> Vec<String> {
        let socket = format!("unix_socket_directories={}", self.directory.path().display());
        let ours =
            ["listen_addresses=", "fsync=off", "full_page_writes=off", "max_wal_size=4GB", &socket];
        let mut flags = vec!["-D".to_owned(), self.data().display().to_string()];
        for setting in ours.iter().chain(settings) {
            flags.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        flags
    }

    /// The huge pages that a server with these settings maps, as `postgres -C` says (PostgreSQL 15 and newer).
    pub fn pages(&self, settings: &[&str]) -> anyhow::Result<u64> {
        let mut flags = self.flags(settings);
        flags.extend(["-C", "shared_memory_size_in_huge_pages"].map(str::to_owned));
        let postgres = start(&self.installation, &[], "postgres", &flags, &|_| Ok(()))?;
        let output = postgres.wait_with_output().context("can't wait for postgres")?;
        let pages = String::from_utf8_lossy(&output.stdout).trim().parse();
        pages.with_context(|| format!("postgres -C does not say what it needs: {}", said(&output)))
    }
}

/// A server; dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    child: Child,
    socket: PathBuf,
    log: Lines,
    installation: Installation,
}

impl Server {
    /// Starts one on that data directory, and does not wait until it takes connections.
    pub fn launch(
        cluster: &Cluster,
        settings: &[&str],
        around: &[&str],
        enter: Enter<'_>,
    ) -> anyhow::Result<Self> {
        let installation = &cluster.installation;
        let child = start(installation, around, "postgres", &cluster.flags(settings), enter)?;
        Self::of(cluster, child)
    }

    /// One that this command starts and waits for, passing signals on (a container runtime), with
    /// [`Cluster::flags`].
    pub fn run_by(cluster: &Cluster, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        super::apart(&mut command);
        let child = command.spawn().context("can't start a server")?;
        Self::of(cluster, child)
    }

    fn of(cluster: &Cluster, mut child: Child) -> anyhow::Result<Self> {
        let log = Lines::of(child.stderr.take().context("it has no log")?);
        let installation = cluster.installation.clone();
        Ok(Self { child, socket: cluster.directory.path().to_owned(), log, installation })
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("can't ask for its status")
    }

    /// What it has logged.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// A client program that connects to it, not yet started.
    pub fn client(&self, name: &str) -> anyhow::Result<Command> {
        let words = self.installation.around().iter().map(String::as_str);
        let mut command = super::after(words, "setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(self.installation.program(name)?);
        super::apart(&mut command);
        command.arg("-h").arg(&self.socket).args(["-U", "postgres"]);
        command.env("PGDATABASE", "postgres").env("LC_ALL", "C");
        Ok(command)
    }

    /// Runs a statement.
    pub fn sql(&self, statement: &str) -> anyhow::Result<Output> {
        let mut psql = self.client("psql")?;
        psql.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement]);
        psql.output().context("can't start psql")
    }

    /// Sends the postmaster a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), signal).context("can't signal it")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At SIGQUIT a postmaster ends its children at once, too.
        if self.ended().is_ok_and(|status| status.is_none()) {
            let _ = self.signal(Signal::SIGQUIT);
        }
        let _ = self.child.wait();
    }
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim())
}
