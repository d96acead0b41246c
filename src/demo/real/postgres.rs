//! A real PostgreSQL, with a data directory of its own and no network.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};

use super::database::{Database, start, tied};
use super::pod::Pod;
use crate::demo::pace::Pace;

/// Twice what the pod is granted.
const BUFFERS: &str = "shared_buffers=256MB";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Each row is about 0.7 kB in the buffers.
const ROWS_PER_MEBIBYTE: u64 = 1_500;

/// Where the programs are.
#[derive(Debug)]
pub struct Programs {
    initdb: PathBuf,
    postgres: PathBuf,
    psql: PathBuf,
}

/// A server and its data.
#[derive(Debug)]
pub struct Postgres {
    // Dropped first: it writes to the directory.
    server: Option<Server>,
    programs: Programs,
    directory: tempfile::TempDir,
    user: (Uid, Gid),
}

#[derive(Debug)]
struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Postgres {
    /// The newest that is installed: Debian keeps the server out of PATH.
    pub fn installed() -> Option<Programs> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut directories: Vec<PathBuf> =
            versions.map(|entry| entry.path().join("bin")).collect();
        directories.sort();
        directories.reverse();
        directories.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let find = |name: &str| {
            directories.iter().map(|directory| directory.join(name)).find(|path| path.exists())
        };
        Some(Programs { initdb: find("initdb")?, postgres: find("postgres")?, psql: find("psql")? })
    }

    /// Makes its data directory.
    pub fn prepare(programs: Programs) -> anyhow::Result<Self> {
        // PostgreSQL refuses root.
        let by_name = |name| User::from_name(name).ok().flatten();
        let user = by_name("postgres").or_else(|| by_name("nobody"));
        let user = user.map(|user| (user.uid, user.gid)).context("no user for PostgreSQL")?;
        let directory = tempfile::Builder::new().prefix("hugetlb-demo-").tempdir();
        let directory = directory.context("can't make a directory")?;
        chown(directory.path(), Some(user.0.as_raw()), Some(user.1.as_raw()))
            .context("can't give PostgreSQL its directory")?;
        let postgres = Self { server: None, programs, directory, user };
        let mut initdb = tied(&postgres.as_user());
        initdb.arg(&postgres.programs.initdb);
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--pgdata"]);
        let output = initdb.arg(postgres.data()).output().context("can't start initdb")?;
        ensure!(output.status.success(), "initdb failed: {}", said(&output));
        Ok(postgres)
    }

    fn as_user(&self) -> [String; 5] {
        let (uid, gid) = self.user;
        [
            "--clear-groups".into(),
            "--reuid".into(),
            uid.to_string(),
            "--regid".into(),
            gid.to_string(),
        ]
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn flags(&self) -> Vec<String> {
        let socket = format!("unix_socket_directories={}", self.directory.path().display());
        let settings = ["listen_addresses=", "huge_pages=on", BUFFERS, "fsync=off", &socket];
        let mut flags = vec!["-D".to_owned(), self.data().display().to_string()];
        flags
            .extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting.to_owned()]));
        flags
    }

    fn sql(&self, statement: &str) -> anyhow::Result<Output> {
        let mut psql = tied(&[]);
        psql.arg(&self.programs.psql).arg("-h").arg(self.directory.path());
        psql.args([
            "-U",
            "postgres",
            "-d",
            "postgres",
            "--no-psqlrc",
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
        ]);
        psql.args(["-c", statement]).output().context("can't start psql")
    }

    /// Waits until it takes connections.
    fn wait(&mut self, pace: &Pace) -> anyhow::Result<()> {
        let ready = pace.poll(READY_WITHIN, || {
            let server = self.server.as_mut()?;
            if let Ok(Some(status)) = server.child.try_wait() {
                return Some(Err(anyhow::anyhow!(
                    "PostgreSQL ended with {status}: {}",
                    server.log()
                )));
            }
            let ready = self.sql("select").is_ok_and(|output| output.status.success());
            ready.then_some(Ok(()))
        })?;
        ready.context("PostgreSQL does not take connections")?
    }
}

impl Database for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn pages(&self) -> anyhow::Result<u64> {
        let mut postgres = tied(&self.as_user());
        postgres.arg(&self.programs.postgres).args(self.flags());
        let output = postgres.args(["-C", "shared_memory_size_in_huge_pages"]).output();
        let output = output.context("can't start postgres")?;
        let pages = String::from_utf8_lossy(&output.stdout).trim().parse();
        // PostgreSQL 15 was the first to have this parameter.
        pages.with_context(|| format!("postgres -C does not say what it needs: {}", said(&output)))
    }

    fn start(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<()> {
        let mut postgres = tied(&self.as_user());
        // It waits until it is in its cgroup.
        postgres.args(["sh", "-c", "read -r go && exec \"$@\"", "sh"]);
        let mut child = start(postgres.arg(&self.programs.postgres).args(self.flags()))?;
        let log = follow(child.stderr.take().context("it has no log")?);
        let server = self.server.insert(Server { child, log });
        pod.add(server.child.id())?;
        let mut input = server.child.stdin.take().context("it has no input")?;
        input.write_all(b"go\n").context("can't let PostgreSQL start")?;
        self.wait(pace)
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        let rows = mebibytes * ROWS_PER_MEBIBYTE;
        let output = self.sql(&format!(
            "create table if not exists t (n int, text text);
            insert into t select n, repeat('x', 600) from generate_series(1, {rows}) n"
        ))?;
        Ok(!output.status.success())
    }

    fn recover(&mut self, _: &Pod, pace: &Pace) -> anyhow::Result<Option<String>> {
        // The client may learn of it before the postmaster does.
        self.wait(pace)?;
        let log = self.server.as_ref().map(Server::log).unwrap_or_default();
        let crash = log.lines().find(|line| line.contains("was terminated by signal 7"));
        let crash =
            crash.with_context(|| format!("PostgreSQL failed, and not by SIGBUS: {log}"))?;
        Ok(crash.split("LOG: ").last().map(|crash| crash.trim().to_owned()))
    }
}

impl Server {
    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT: a postmaster ends its children at once, too.
        if self.child.try_wait().is_ok_and(|status| status.is_none())
            && let Ok(pid) = self.child.id().try_into()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        }
        let _ = self.child.wait();
    }
}

/// Keeps what comes out of a pipe.
fn follow(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    log
}

fn said(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim())
}
