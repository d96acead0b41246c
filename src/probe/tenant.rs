//! The child from outside: started, told what to do, and never waited for longer than its deadline.
//!
//! It must be started by a thread that lives as long as the process, since the kernel ends it with the thread that
//! started it (PR_SET_PDEATHSIG); the runtime's only thread is the main one. Whatever becomes of it, it is reaped on the
//! side: a child that is stopped, or that the kernel does not let go of, keeps nobody.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::order::Order;

/// Room for so many children at once; one that the kernel does not let go of keeps its place.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// Room for that many.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }
}

/// A running child; dropping it ends it.
pub struct Tenant {
    place: OwnedSemaphorePermit,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    deadline: Instant,
}

/// What came of telling it something.
#[derive(Debug)]
pub enum Answer {
    /// It did it, or says why not.
    Said(String),
    /// It died of it.
    Died(ExitStatus),
    /// It has not answered before the deadline.
    Late,
}

impl Tenant {
    /// This program, executed anew; it does nothing until it is told to.
    pub fn start(order: &Order, within: Duration, places: &Places) -> io::Result<Self> {
        let full = |_| io::Error::other("processes of earlier probes have not ended yet");
        let place = Arc::clone(&places.0).try_acquire_owned().map_err(full)?;
        let mut command = Command::new("/proc/self/exe");
        command.args(order.arguments()).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let orders = child.stdin.take().ok_or_else(closed)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(closed)?);
        let deadline = Instant::now() + within;
        Ok(Self { place, child, orders, answers, deadline })
    }

    /// Its process.
    #[cfg(feature = "scratch-probe")]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it something and waits for its answer, no longer than until the deadline.
    pub async fn tell(&mut self, order: &str) -> io::Result<Answer> {
        let deadline = self.deadline;
        match timeout_at(deadline, self.ask(order)).await {
            Ok(answer) => answer,
            Err(_) => Ok(Answer::Late),
        }
    }

    /// Gives it time until that moment from now on.
    pub fn extend(&mut self, within: Duration) {
        self.deadline = Instant::now() + within;
    }

    async fn ask(&mut self, order: &str) -> io::Result<Answer> {
        // One that died before has closed its end; its status tells more than that.
        let told = self.orders.write_all(format!("{order}\n").as_bytes()).await;
        let mut answer = String::new();
        if told.is_ok() && self.answers.read_line(&mut answer).await? > 0 {
            return Ok(Answer::Said(answer.trim_end().to_owned()));
        }
        Ok(Answer::Died(self.child.wait().await?))
    }

    /// Ends it, if it has not ended, and reaps it on the side. The handle is done when it is gone.
    pub fn end(self) -> JoinHandle<()> {
        let Self { place, mut child, .. } = self;
        tokio::spawn(async move {
            let _kept_until_it_is_gone = place;
            // It may have ended by itself; then there is nothing to kill, and the status is there.
            let _ = child.start_kill();
            let _ = child.wait().await;
        })
    }
}

/// The signal that a child died of, if it did.
pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}
