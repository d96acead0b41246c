//! The process that maps and touches (`touch-child`), driven by a thread that waits for its answers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;

/// A running one; dropping it kills it, and its pages go back to the pool.
#[derive(Debug)]
pub struct Toucher {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Toucher {
    /// Starts the command that becomes it, or starts it.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", command.get_program().display()))?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { child, orders, answers })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it an order, such as `map 10`, and waits for the answer; none if it has ended.
    pub fn order(&mut self, order: &str) -> anyhow::Result<Option<String>> {
        let orders = self.orders.as_mut().context("it was given its last order")?;
        writeln!(orders, "{order}").context("it takes no orders")?;
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer).context("it does not answer")?;
        Ok((read > 0).then(|| answer.trim().to_owned()))
    }

    /// Touches the first so many of the pages that it has mapped. False if it was killed by SIGBUS; an error if anything
    /// else came of it.
    pub fn survives_touching(&mut self, pages: u64) -> anyhow::Result<bool> {
        let answer = self.order(&format!("touch {pages}"))?;
        if let Some(answer) = answer {
            ensure!(answer == format!("touched {pages}"), "it answers {answer:?}");
            return Ok(true);
        }
        let status = self.wait()?;
        // A runtime ends as its container did, with the code that a shell makes of a signal.
        let signal = status.signal().or_else(|| Some(status.code()? - 128));
        ensure!(signal == Some(Signal::SIGBUS as i32), "it ended with {status}");
        Ok(false)
    }

    /// Gives it no more orders, so that it ends by itself.
    pub fn dismiss(&mut self) {
        self.orders = None;
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().context("can't wait for it")
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
