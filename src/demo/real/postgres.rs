//! A real PostgreSQL.

use std::time::Duration;

use anyhow::{Context, bail};

use super::database::Database;
use super::pod::Pod;
use crate::demo::pace::Pace;
use crate::host::postgres::{Cluster, Server, program};

/// More than twice what the pod is granted.
const SETTINGS: [&str; 2] = ["huge_pages=on", "shared_buffers=256MB"];
const READY_WITHIN: Duration = Duration::from_secs(30);
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
/// Each row is about 0.7 kB in the buffers.
const ROWS_PER_MEBIBYTE: u64 = 1_500;

/// A server and its data.
#[derive(Debug)]
pub struct Postgres {
    // Dropped first: it writes to the directory.
    server: Option<Server>,
    cluster: Cluster,
}

impl Postgres {
    /// Makes its data directory; nothing where PostgreSQL is not installed.
    pub fn prepare() -> anyhow::Result<Option<Self>> {
        let is_installed =
            ["initdb", "postgres", "psql"].iter().all(|name| program(name).is_some());
        if !is_installed {
            return Ok(None);
        }
        Ok(Some(Self { server: None, cluster: Cluster::new()? }))
    }

    /// Waits until it takes connections.
    fn wait(&mut self, pace: &Pace) -> anyhow::Result<()> {
        let server = self.server.as_mut().context("it has not started")?;
        let ready = pace.poll(READY_WITHIN, || {
            if let Ok(Some(status)) = server.ended() {
                return Some(Err(status));
            }
            let ready = server.sql("select").is_ok_and(|output| output.status.success());
            ready.then_some(Ok(()))
        })?;
        match ready.context("PostgreSQL does not take connections")? {
            Ok(()) => Ok(()),
            Err(status) => bail!("PostgreSQL ended with {status}: {}", log(server)),
        }
    }
}

impl Database for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn pages(&self) -> anyhow::Result<u64> {
        self.cluster.pages(&SETTINGS)
    }

    fn start(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<()> {
        let server = Server::launch(&self.cluster, &SETTINGS, &[], &|pid| pod.add(pid))?;
        self.server = Some(server);
        self.wait(pace)
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        let rows = mebibytes * ROWS_PER_MEBIBYTE;
        let server = self.server.as_ref().context("it has not started")?;
        let output = server.sql(&format!(
            "create table if not exists t (n int, text text);
            insert into t select n, repeat('x', 600) from generate_series(1, {rows}) n"
        ))?;
        Ok(!output.status.success())
    }

    fn recover(&mut self, _: &Pod, pace: &Pace) -> anyhow::Result<Option<String>> {
        // The client may learn of it before the postmaster does.
        self.wait(pace)?;
        let server = self.server.as_ref().context("it has not started")?;
        let crash = server.log().with("was terminated by signal 7");
        let crash = crash
            .with_context(|| format!("PostgreSQL failed, and not by SIGBUS: {}", log(server)))?;
        Ok(crash.split("LOG: ").last().map(|crash| crash.trim().to_owned()))
    }

    fn start_refused(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<Option<String>> {
        let mut server = Server::launch(&self.cluster, &SETTINGS, &[], &|pid| pod.add(pid))?;
        let ended = pace.poll(READY_WITHIN, || server.ended().transpose())?;
        ended.context("PostgreSQL does not end, though it can't have its memory")??;
        let refusal = pace.poll(LOGGED_WITHIN, || server.log().with("could not map"))?;
        let refusal = refusal.with_context(|| {
            format!("PostgreSQL failed, and not by its mapping: {}", log(&server))
        })?;
        Ok(refusal.split("FATAL: ").last().map(|refusal| refusal.trim().to_owned()))
    }

    fn end(&mut self) {
        self.server = None;
    }
}

fn log(server: &Server) -> String {
    server.log().so_far().join("\n")
}
