//! A process that maps and touches like PostgreSQL, where none is installed: this program, executed anew.

use anyhow::{Context, bail, ensure};

use super::database::Database;
use super::pod::Pod;
use crate::demo::pace::Pace;
use crate::host::tied;
use crate::host::toucher::Toucher;

/// What PostgreSQL maps with shared_buffers=256MB, in pages.
const MAPS: u64 = 140;
/// What it touches as it starts.
const TOUCHES_AT_ONCE: u64 = 12;

/// The process, while there is one, and the pages that it has touched.
#[derive(Debug, Default)]
pub struct Process {
    running: Option<Toucher>,
    touched: u64,
}

impl Process {
    /// Starts in the pod's container and maps; returns what came of that.
    fn map(&mut self, pod: &Pod) -> anyhow::Result<Option<String>> {
        let program = std::env::current_exe().context("can't find this program")?;
        let mut command = tied(program);
        let running = Toucher::start(command.args(["touch-child", "--mapping=shared"]))?;
        let running = self.running.insert(running);
        pod.add(running.pid())?;
        running.order(&format!("map {MAPS}"))
    }

    /// Touches so many pages more; true if it was killed.
    fn touch(&mut self, more: u64) -> anyhow::Result<bool> {
        self.touched = (self.touched + more).min(MAPS);
        let running = self.running.as_mut().context("it has not started")?;
        Ok(!running.survives_touching(self.touched)?)
    }
}

impl Database for Process {
    fn name(&self) -> &'static str {
        "The process"
    }

    fn pages(&self) -> anyhow::Result<u64> {
        Ok(MAPS)
    }

    fn start(&mut self, pod: &Pod, _: &Pace) -> anyhow::Result<()> {
        match self.map(pod)?.as_deref() {
            Some("mapped") => {}
            other => bail!("it could not map {MAPS} pages: {}", other.unwrap_or("killed")),
        }
        self.touched = 0;
        ensure!(!self.touch(TOUCHES_AT_ONCE)?, "it was killed as it started");
        Ok(())
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        self.touch(mebibytes >> 1)
    }

    fn recover(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.start(pod, pace).map(|()| None)
    }

    fn start_refused(&mut self, pod: &Pod, _: &Pace) -> anyhow::Result<Option<String>> {
        let answer = self.map(pod)?;
        self.running = None;
        ensure!(answer.as_deref() != Some("mapped"), "it has mapped {MAPS} pages");
        Ok(answer)
    }

    fn end(&mut self) {
        self.running = None;
    }
}
