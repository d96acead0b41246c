//! What the guard says, read on the side and left for the poller: the file may lie on anything.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{AgentError, can_not_start, keep_running};
use crate::snapshot::Health;
use crate::sources::{Reported, read_guard};
use crate::worker::Worker;

/// The time between two looks: what it wrote is known by the poll after the next.
const EVERY: Duration = Duration::from_secs(1);

/// A look that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the guard's word is left for the poller.
pub(super) struct GuardSlot {
    newest: watch::Receiver<Reported>,
}

impl GuardSlot {
    /// Starts looking into that directory.
    pub(super) fn start(directory: PathBuf, proc: PathBuf) -> Result<Self, AgentError> {
        let health = Health::Down("not looked for yet".to_owned());
        let (sender, newest) = watch::channel(Reported { guard: None, health });
        let worker =
            Worker::start("guard").map_err(can_not_start("reading of the guard's file"))?;
        keep_running("the reading of the guard's file", move || {
            keep_looking(worker.clone(), directory.clone(), proc.clone(), sender.clone())
        });
        Ok(Self { newest })
    }

    /// What it last said.
    pub(super) fn newest(&self) -> Reported {
        self.newest.borrow().clone()
    }
}

async fn keep_looking(
    worker: Worker,
    directory: PathBuf,
    proc: PathBuf,
    sender: watch::Sender<Reported>,
) {
    while !sender.is_closed() {
        let Ok(turn) = worker.turn().await else { return };
        let last = sender.borrow().guard.clone();
        let (of, proc) = (directory.clone(), proc.clone());
        let mut look = turn.run(move || read_guard(&of, &proc, last.as_ref()));
        let down = |why| sender.send_modify(|newest| newest.health = Health::Down(why));
        let answer = match timeout(PATIENCE, &mut look).await {
            Ok(answer) => answer,
            Err(_) => {
                down(format!("no answer for {} s", PATIENCE.as_secs()));
                look.await
            }
        };
        match answer {
            Ok(found) => drop(sender.send_replace(found)),
            Err(error) => down(error.to_string()),
        }
        sleep(EVERY).await;
    }
}
