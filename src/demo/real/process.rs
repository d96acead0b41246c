//! A process that maps and touches like PostgreSQL, where none is installed: this program, executed anew.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout};

use anyhow::{Context, bail};
use nix::libc::SIGBUS;

use super::database::{Database, start, tied};
use super::pod::Pod;
use crate::demo::pace::Pace;

const MAPS: u64 = 100;
/// What PostgreSQL touches as it starts.
const TOUCHES_AT_ONCE: u64 = 12;

/// The process, while there is one.
#[derive(Debug, Default)]
pub struct Process {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    answers: BufReader<ChildStdout>,
    touched: u64,
}

impl Database for Process {
    fn name(&self) -> &'static str {
        "The process"
    }

    fn pages(&self) -> anyhow::Result<u64> {
        Ok(MAPS)
    }

    fn start(&mut self, pod: &Pod, _: &Pace) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("can't find this program")?;
        let mut child = start(tied(&[]).arg(program).args(["touch-child", "--mapping=shared"]))?;
        let answers = BufReader::new(child.stdout.take().context("it can't answer")?);
        let running = self.running.insert(Running { child, answers, touched: 0 });
        pod.add(running.child.id())?;
        match running.order(&format!("map {MAPS}"))?.as_deref() {
            Some("mapped") => {}
            other => bail!("it could not map {MAPS} pages: {}", other.unwrap_or("killed")),
        }
        anyhow::ensure!(!running.touch(TOUCHES_AT_ONCE)?, "it was killed as it started");
        Ok(())
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        self.running.as_mut().context("it has not started")?.touch(mebibytes >> 1)
    }

    fn recover(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.start(pod, pace).map(|()| None)
    }
}

impl Running {
    /// Gives it an order and waits for the answer; none if it was killed.
    fn order(&mut self, order: &str) -> anyhow::Result<Option<String>> {
        let orders = self.child.stdin.as_mut().context("it takes no orders")?;
        writeln!(orders, "{order}").context("it takes no orders")?;
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer).context("it does not answer")?;
        Ok((read > 0).then(|| answer.trim().to_owned()))
    }

    /// Touches so many pages more; true if it was killed.
    fn touch(&mut self, more: u64) -> anyhow::Result<bool> {
        self.touched = (self.touched + more).min(MAPS);
        if self.order(&format!("touch {}", self.touched))?.is_some() {
            return Ok(false);
        }
        let status = self.child.wait().context("can't wait for it")?;
        anyhow::ensure!(status.signal() == Some(SIGBUS), "it ended with {status}");
        Ok(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have died of a touch.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
