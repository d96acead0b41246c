//! The time that the story takes, and its end when a signal or the agent ends it.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

/// The story was ended before it was over.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration was ended before it was over")]
pub struct Ended;

/// The story's time. It blocks the story's thread, never the agent's.
#[derive(Debug)]
pub struct Pace {
    runtime: Runtime,
    step: Duration,
    ending: watch::Receiver<bool>,
}

impl Pace {
    /// A pace with steps of that length, until `ending` is true.
    pub fn new(step: Duration, ending: watch::Receiver<bool>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { runtime: runtime.context("can't start the runtime")?, step, ending })
    }

    /// Lets so many steps pass.
    pub fn steps(&self, steps: u32) -> Result<(), Ended> {
        self.rest(self.step * steps)
    }

    fn rest(&self, time: Duration) -> Result<(), Ended> {
        self.wait_for(std::future::pending(), time)
    }

    /// Waits for something, no longer than that time.
    pub fn wait_for(&self, event: impl Future<Output = ()>, most: Duration) -> Result<(), Ended> {
        let mut ending = self.ending.clone();
        self.runtime.block_on(async {
            tokio::select! {
                _ = ending.wait_for(|ending| *ending) => Err(Ended),
                // A time-out is no failure.
                _ = timeout(most, event) => Ok(()),
            }
        })
    }

    /// Asks until there is an answer or the time is over.
    pub fn poll<T>(
        &self,
        most: Duration,
        mut ask: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>, Ended> {
        let began = Instant::now();
        loop {
            match ask() {
                None if began.elapsed() < most => self.rest(Duration::from_millis(50))?,
                answer => return Ok(answer),
            }
        }
    }

    /// The output of a future that takes a moment.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits until a signal or the agent ends it.
    pub fn wait_for_end(&self) {
        while self.rest(Duration::from_secs(3600)).is_ok() {}
    }
}
