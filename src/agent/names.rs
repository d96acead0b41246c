//! The search for names, beside the poller.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::sources::{Names, Roots, scan_names};

/// Names are looked for this often when nobody waits for one.
const NAMES_IDLE: Duration = Duration::from_secs(30);

/// And at most this often when somebody does.
const NAMES_BUSY: Duration = Duration::from_secs(1);

/// The first snapshot waits so long for names, no longer: it is better with them, but a stuck disk must
/// not keep the agent from starting.
const FIRST_NAMES: Duration = Duration::from_secs(1);

/// Where names are left for the poller.
pub(super) struct NameSlot {
    newest: watch::Receiver<Names>,
    wanted: Arc<Notify>,
}

impl NameSlot {
    /// Starts looking for names; returns when they were found, or soon.
    pub(super) async fn start(roots: Roots) -> Self {
        let (sender, mut newest) = watch::channel(Names::default());
        let wanted = Arc::new(Notify::new());
        tokio::spawn(look_for_names(roots, sender, Arc::clone(&wanted)));
        if tokio::time::timeout(FIRST_NAMES, newest.changed()).await.is_err() {
            tracing::warn!("the log directories are slow; the first series come without names");
        }
        Self { newest, wanted }
    }

    pub(super) fn newest(&self) -> Names {
        self.newest.borrow().clone()
    }

    pub(super) fn ask(&self) {
        self.wanted.notify_one();
    }
}

async fn look_for_names(roots: Roots, sender: watch::Sender<Names>, wanted: Arc<Notify>) {
    loop {
        let roots = roots.clone();
        let Ok(mut names) = tokio::task::spawn_blocking(move || scan_names(&roots)).await else {
            return;
        };
        // The same names stay where they are in memory: whoever has made something of them need not do it again.
        let before = Arc::clone(&sender.borrow().index);
        if *before == *names.index {
            names.index = before;
        }
        if sender.send(names).is_err() {
            return;
        }
        tokio::time::sleep(NAMES_BUSY).await;
        // A time-out is the ordinary case: nobody asked.
        let _ = tokio::time::timeout(NAMES_IDLE, wanted.notified()).await;
    }
}
