//! The search for names, beside the poller: each log directory has a thread, a process and a time-out of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::{AgentError, can_not_start, keep_running};
use crate::sources::{Lister, LogDirectory, Named, Names, Roots, Search};
use crate::worker::Worker;

/// Names are looked for this often when nobody waits for one.
const NAMES_IDLE: Duration = Duration::from_secs(30);

/// And at most this often when somebody does.
const NAMES_BUSY: Duration = Duration::from_secs(1);

/// The first snapshot waits so long for names, no longer: it is better with them, but a stuck disk must
/// not keep the agent from starting.
const FIRST_NAMES: Duration = Duration::from_secs(1);

/// A directory that takes longer is reported.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where names are left for the poller.
pub(super) struct NameSlot {
    newest: watch::Receiver<Found>,
    wanted: [Arc<Notify>; 2],
}

/// What each directory gave last, and the names of both.
#[derive(Debug, Default)]
struct Found {
    named: [Named; 2],
    names: Names,
}

#[derive(Debug)]
struct Searching {
    roots: Roots,
    lister: Lister,
    found: watch::Sender<Found>,
}

impl NameSlot {
    /// Starts looking for names; returns when they were found, or soon.
    pub(super) async fn start(roots: Roots, lister: Lister) -> Result<Self, AgentError> {
        let (found, mut newest) = watch::channel(Found::default());
        let searching = Arc::new(Searching { roots, lister, found });
        let wanted: [Arc<Notify>; 2] = Default::default();
        for (directory, wanted) in LogDirectory::ALL.into_iter().zip(&wanted) {
            let worker = Worker::start("names").map_err(can_not_start("search for names"))?;
            let (searching, wanted) = (Arc::clone(&searching), Arc::clone(wanted));
            keep_running("the search for names", move || {
                let (searching, wanted) = (Arc::clone(&searching), Arc::clone(&wanted));
                searching.keep_looking(directory, worker.clone(), wanted, PATIENCE)
            });
        }
        let both = newest.wait_for(Found::is_complete);
        if timeout(FIRST_NAMES, both).await.is_err() {
            tracing::warn!("the log directories are slow; the first series come without names");
        }
        Ok(Self { newest, wanted })
    }

    pub(super) fn newest(&self) -> Names {
        self.newest.borrow().names.clone()
    }

    pub(super) fn ask(&self) {
        self.wanted.iter().for_each(|wanted| wanted.notify_one());
    }
}

impl Searching {
    async fn keep_looking(
        self: Arc<Self>,
        directory: LogDirectory,
        worker: Worker,
        wanted: Arc<Notify>,
        patience: Duration,
    ) {
        while !self.found.is_closed() {
            let Ok(turn) = worker.turn().await else { return };
            let searching = Arc::clone(&self);
            let mut look = turn.run(move || {
                let named = directory.scan(&searching.roots, searching.lister);
                searching.publish(directory, |was| *was = named);
            });
            let ended = match timeout(patience, &mut look).await {
                Ok(ended) => ended,
                Err(_) => {
                    self.down(directory, &format!("no answer for {} s", patience.as_secs()));
                    look.await
                }
            };
            if let Err(error) = ended {
                self.down(directory, &error.to_string());
            }
            sleep(NAMES_BUSY).await;
            // A time-out is the ordinary case: nobody asked.
            let _ = timeout(NAMES_IDLE, wanted.notified()).await;
        }
    }

    /// What was found there last stays.
    fn down(&self, directory: LogDirectory, why: &str) {
        self.publish(directory, |named| named.fail(&self.roots, directory, why));
    }

    fn publish(&self, directory: LogDirectory, change: impl FnOnce(&mut Named)) {
        self.found.send_modify(|found| {
            let [pods, containers] = &mut found.named;
            change(match directory {
                LogDirectory::Pods => pods,
                LogDirectory::Containers => containers,
            });
            let mut names = Names::of(&self.roots, &found.named);
            if let Some(reason) = names.closed.as_deref().filter(|_| found.names.closed.is_none()) {
                tracing::info!(
                    reason,
                    "a container without a log has no name yet; group 0 may list that directory, too \
                     (in the chart securityContext.supplementalGroups: [0])"
                );
            }
            // The same names stay where they are in memory: whoever has made something of them need not do it again.
            if *names.index == *found.names.index {
                names.index = Arc::clone(&found.names.index);
            }
            found.names = names;
        });
    }
}

impl Found {
    fn is_complete(&self) -> bool {
        self.named.iter().all(|named| !matches!(named.search, Search::Unfinished))
    }
}
