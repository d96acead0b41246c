//! Debian's PostgreSQL in the lab's cgroups.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Output};

use hugetlb_exporter::host::postgres::{self, Installation};
pub use hugetlb_exporter::host::postgres::{program, said};
use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;
use crate::harness::wait_for;
use crate::suite::Suite;

/// What the lab runs of it.
pub const PROGRAMS: [&str; 6] = ["initdb", "postgres", "psql", "pgbench", "pg_dump", "pg_restore"];

/// Which System V segments a server sees: PostgreSQL knows by one that an older server's process lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipc {
    /// The lab's.
    Shared,
    OfItsOwn,
}

/// A data directory; dropping it removes it.
pub struct Cluster(postgres::Cluster);

impl Cluster {
    /// A new one, made outside all cgroups of the lab's.
    pub fn new() -> Self {
        Self::of(Suite::Own)
    }

    /// The same of that suite's PostgreSQL.
    pub fn of(suite: Suite) -> Self {
        Self(postgres::Cluster::of(suite.installation()).expect("a data directory"))
    }

    /// What initdb says and leaves, run in that cgroup.
    pub fn initdb(cgroup: &Cgroup) -> (Self, Output) {
        let enter = |pid| {
            cgroup.add(pid);
            Ok(())
        };
        let (cluster, output) =
            postgres::Cluster::initdb(Installation::default(), &enter).expect("initdb runs");
        (Self(cluster), output)
    }

    /// The same as the program's.
    pub fn inner(&self) -> &postgres::Cluster {
        &self.0
    }

    /// The huge pages that a server with these settings would map, by its own word.
    pub fn pages(&self, settings: &[&str]) -> u64 {
        self.0.pages(settings).expect("pages")
    }
}

/// A server; dropping it ends it at once.
pub struct Server<'a> {
    server: postgres::Server,
    _cluster: &'a Cluster,
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
        let around: &[&str] = match ipc {
            Ipc::Shared => &[],
            Ipc::OfItsOwn => &["unshare", "--ipc", "--"],
        };
        Self::launch_after(cluster, cgroup, settings, around)
    }

    /// Starts one that counts its processes from 1, as in a container, and waits until it takes connections.
    pub fn start_contained(cluster: &'a Cluster, cgroup: &Cgroup, settings: &[&str]) -> Self {
        let around = ["unshare", "--pid", "--fork", "--kill-child", "--"];
        let mut server = Self::launch_after(cluster, cgroup, settings, &around);
        server.wait_until_ready();
        server
    }

    /// Starts one after these words, and does not wait.
    fn launch_after(
        cluster: &'a Cluster,
        cgroup: &Cgroup,
        settings: &[&str],
        around: &[&str],
    ) -> Self {
        let enter = |pid| {
            cgroup.add(pid);
            if around.contains(&"--fork") {
                let children = || {
                    let path = format!("/proc/{pid}/task/{pid}/children");
                    let children = std::fs::read_to_string(path).unwrap_or_default();
                    children.split_whitespace().find_map(|child| child.parse().ok())
                };
                cgroup.add(wait_for("its child", children));
            }
            Ok(())
        };
        let server = postgres::Server::launch(&cluster.0, settings, around, &enter);
        Self { server: server.expect("PostgreSQL starts"), _cluster: cluster }
    }

    /// One that this command starts and waits for, and does not wait.
    pub fn run_by(cluster: &'a Cluster, command: Command) -> Self {
        let server = postgres::Server::run_by(&cluster.0, command);
        Self { server: server.expect("PostgreSQL starts"), _cluster: cluster }
    }

    /// Waits until it takes connections.
    pub fn wait_until_ready(&mut self) {
        wait_for("PostgreSQL to be ready", || {
            if let Some(status) = self.server.ended().expect("its status") {
                panic!("PostgreSQL ended with {status}: {}", self.log());
            }
            self.has_logged("ready to accept connections").then_some(())
        });
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.server.ended().expect("its status")
    }

    /// Waits until it has ended by itself.
    pub fn wait_until_ended(&mut self) -> ExitStatus {
        wait_for("PostgreSQL to end", || self.server.ended().expect("its status"))
    }

    /// Kills the postmaster alone.
    pub fn kill_postmaster(&mut self) {
        self.server.signal(Signal::SIGKILL).expect("it is there");
        assert_eq!(self.wait_until_ended().signal(), Some(9));
    }

    /// Whether a line of its log has this text.
    pub fn has_logged(&self, text: &str) -> bool {
        self.server.log().with(text).is_some()
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.server.log().so_far().join("\n")
    }

    /// A client program that connects to it, not yet started.
    pub fn client(&self, name: &str) -> Command {
        self.server.client(name).expect("a client")
    }

    /// Runs a statement.
    pub fn sql(&self, statement: &str) -> Output {
        self.server.sql(statement).expect("psql runs")
    }
}
