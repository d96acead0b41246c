//! Findings are told to the API server as Events, beside the poller: nobody waits for it.

mod error;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant as TokioInstant;

use super::{AgentError, can_not_start, keep_running};
use crate::assessment::Assessment;
use crate::config::EventsConfig;
use crate::events::{Change, Counts, Next, Outbox};
use crate::snapshot::Taken;
use crate::view::View;
use tell::ApiServer;

/// What stands is looked through again so often, though nothing is different.
const AGAIN: Duration = Duration::from_secs(10);

/// The telling of findings.
pub(super) struct EventSlot {
    counts: watch::Receiver<Counts>,
}

impl EventSlot {
    /// Starts telling.
    pub(super) fn start(
        config: EventsConfig,
        views: watch::Receiver<Option<Arc<View>>>,
        started: Instant,
    ) -> Result<Self, AgentError> {
        let with_processes = config.with_processes;
        let server = ApiServer::new(config).map_err(can_not_start("telling of the API server"))?;
        let (sender, counts) = watch::channel(Counts::default());
        keep_running("the telling of findings", move || {
            let outbox = Outbox::new(with_processes, *sender.borrow());
            let (counts, views) = (sender.clone(), views.clone());
            Teller { server: server.clone(), outbox, views, counts, started, looked: None }.run()
        });
        Ok(Self { counts })
    }

    /// What became of Events so far.
    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }
}

struct Teller {
    server: ApiServer,
    outbox: Outbox,
    views: watch::Receiver<Option<Arc<View>>>,
    counts: watch::Sender<Counts>,
    started: Instant,
    /// The assessment that was looked through last, and when.
    looked: Option<(Arc<Assessment>, Duration)>,
}

impl Teller {
    /// Until the poller ends.
    async fn run(mut self) {
        loop {
            self.take_in();
            let more = match self.outbox.next(self.started.elapsed()) {
                Next::Nothing => self.views.changed().await.is_ok(),
                Next::At(time) => self.wait_until(time).await,
                Next::Send(event, step) => {
                    let now = SystemTime::now();
                    let (path, body) = (event.path(step), event.body(step, now));
                    let server = self.server.clone();
                    let mut sending = Box::pin(server.send(step, path, body));
                    let sent = loop {
                        tokio::select! {
                            sent = &mut sending => break Some(sent),
                            changed = self.views.changed() => match changed {
                                Ok(()) => self.take_in(),
                                Err(_) => break None,
                            },
                        }
                    };
                    let change =
                        sent.as_ref().map(|it| self.outbox.sent(it, self.started.elapsed()));
                    self.log(change.as_ref());
                    sent.is_some()
                }
            };
            self.publish();
            if !more {
                return;
            }
        }
    }

    /// Until that time, or the next view.
    async fn wait_until(&mut self, time: Duration) -> bool {
        let until = TokioInstant::from_std(self.started + time);
        tokio::select! {
            () = tokio::time::sleep_until(until) => true,
            changed = self.views.changed() => changed.is_ok(),
        }
    }

    /// Looks through the newest view.
    fn take_in(&mut self) {
        let Some(view) = self.views.borrow_and_update().clone() else { return };
        let now = view.snapshot.taken.since_start;
        let is_same = self.looked.as_ref().is_some_and(|(assessment, at)| {
            Arc::ptr_eq(assessment, &view.assessment) && now.saturating_sub(*at) < AGAIN
        });
        if is_same {
            return;
        }
        let Taken { wall, since_start } = view.snapshot.taken;
        let taken = Taken { wall, since_start };
        self.outbox.take_in(&view.assessment.findings, view.node.as_ref(), taken);
        self.looked = Some((Arc::clone(&view.assessment), now));
        self.publish();
    }

    fn publish(&self) {
        let counts = self.outbox.counts();
        self.counts.send_if_modified(|published| {
            let differs = *published != counts;
            *published = counts;
            differs
        });
    }

    /// One line where nothing gets through any more, one where it does again, and one for what is not taken.
    fn log(&self, change: Option<&Change>) {
        let server = self.server.url();
        match change {
            Some(Change::Failing(reason)) => {
                tracing::warn!(%server, reason, "can't tell the API server of findings");
            }
            Some(Change::Well) => {
                tracing::info!(%server, "the API server is told of findings again");
            }
            Some(Change::NotTaken(reason)) => {
                tracing::warn!(%server, reason, "the API server does not take an Event");
            }
            Some(Change::None) | None => {}
        }
    }
}
