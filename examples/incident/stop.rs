//! The end, whoever asks for it: a signal, the story, the agent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use tokio::signal::unix::{SignalKind, signal};

/// It was to end before it was over.
#[derive(Debug, thiserror::Error)]
#[error("it was to end")]
pub struct Ended;

/// Whether it is to end. From the moment there is one, no signal ends this process before it has put back what it
/// changed.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: Mutex<bool>,
    changed: Condvar,
    agent_is_gone: AtomicBool,
}

impl Stop {
    /// Listens to the signals that end a program at a terminal.
    pub fn listen() -> anyhow::Result<Self> {
        let stop = Self::default();
        let (ready, is_ready) = mpsc::channel();
        let heard = stop.clone();
        thread::spawn(move || heard.hear(&ready));
        is_ready.recv().context("can't listen to signals")??;
        Ok(stop)
    }

    fn hear(&self, ready: &mpsc::Sender<std::io::Result<()>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            let [mut interrupt, mut terminate, mut hangup] = match kinds.map(signal) {
                [Ok(interrupt), Ok(terminate), Ok(hangup)] => [interrupt, terminate, hangup],
                [one, other, third] => {
                    let failed = [one, other, third].into_iter().find_map(Result::err);
                    return drop(failed.map(|error| ready.send(Err(error))));
                }
            };
            let _ = ready.send(Ok(()));
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        self.ask();
        // The agent ends by a signal, and may not be listening yet.
        while !self.0.agent_is_gone.load(Ordering::Relaxed) {
            let _ = kill(getpid(), Signal::SIGTERM);
            thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn asked(&self) -> MutexGuard<'_, bool> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) {
        *self.asked() = true;
        self.0.changed.notify_all();
    }

    /// Ends the agent, and with it everything.
    pub fn end(&self) {
        let _ = kill(getpid(), Signal::SIGTERM);
    }

    /// The agent is gone: what is left need not end it any more, but end.
    pub fn agent_is_gone(&self) {
        self.0.agent_is_gone.store(true, Ordering::Relaxed);
        self.ask();
    }

    /// Waits so long, unless it is to end before.
    pub fn rest(&self, time: Duration) -> Result<(), Ended> {
        let waited = self.0.changed.wait_timeout_while(self.asked(), time, |asked| !*asked);
        let (asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *asked { Err(Ended) } else { Ok(()) }
    }

    /// Waits until it is to end.
    pub fn wait(&self) {
        let waited = self.0.changed.wait_while(self.asked(), |asked| !*asked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
