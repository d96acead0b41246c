//! A thread for work that blocks: one thing at a time, started when the agent starts.
//!
//! Nothing needs a new thread later, when the system may refuse one; and what blocks one worker (a stuck disk, a
//! crowd of scrapes) keeps no other waiting. The work owns its result: it is finished even if nobody waits for it any more.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// The thread; it ends with the last handle to it.
#[derive(Debug, Clone)]
pub struct Worker {
    jobs: mpsc::Sender<Job>,
    idle: Arc<Semaphore>,
}

/// The right to use a worker next.
#[derive(Debug)]
pub struct Turn {
    jobs: mpsc::Sender<Job>,
    permit: OwnedSemaphorePermit,
}

/// The work ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("the work panicked; the log says where")]
pub struct Panicked;

impl Worker {
    /// Starts it.
    pub fn start(name: &'static str) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let work = move || {
            for job in queue {
                // The panic hook has logged it, and whoever waits sees that there is no result.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs, idle: Arc::new(Semaphore::new(1)) })
    }

    /// Waits until all earlier work is done. Who stops waiting leaves no work behind.
    pub async fn turn(&self) -> Result<Turn, Panicked> {
        let permit = Arc::clone(&self.idle).acquire_owned().await.map_err(|_| Panicked)?;
        Ok(Turn { jobs: self.jobs.clone(), permit })
    }

    /// Does one thing when it is its turn.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.turn().await?.run(work).await
    }
}

impl Turn {
    /// Starts the work now, and returns what waits for its result.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Panicked>> + Send + Unpin + 'static {
        let Self { jobs, permit } = self;
        let (leave, mut result) = oneshot::channel();
        let job = move || {
            let _until_done = permit;
            // An error means that nobody waits any more.
            let _ = leave.send(work());
        };
        // The thread ends after the last sender, and this is one.
        let _ = jobs.send(Box::new(job));
        std::future::poll_fn(move |context| {
            std::pin::Pin::new(&mut result).poll(context).map_err(|_| Panicked)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::timeout;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn work_is_finished_when_nobody_waits_and_only_one_runs_at_a_time() {
        let worker = Worker::start("test").expect("a thread");
        let finished = Arc::new(AtomicU32::new(0));
        let (release, held) = mpsc::channel::<()>();
        block_on(async {
            let first = Arc::clone(&finished);
            let work = move || {
                let _ = held.recv();
                first.fetch_add(1, Ordering::SeqCst);
            };
            let moment = Duration::from_millis(20);
            assert!(timeout(moment, worker.run(work)).await.is_err(), "it is held");
            let second = Arc::clone(&finished);
            let given_up = worker.run(move || second.fetch_add(10, Ordering::SeqCst));
            assert!(timeout(moment, given_up).await.is_err(), "it has no turn");
            drop(release);
            let before = worker.run(move || finished.load(Ordering::SeqCst)).await;
            assert_eq!(before.expect("a result"), 1, "what had no turn has left no work");
        });
    }

    #[test]
    fn a_panic_costs_one_result_and_not_the_worker() {
        let worker = Worker::start("test").expect("a thread");
        block_on(async {
            assert!(worker.run(|| "x".parse::<u32>().expect("a number")).await.is_err());
            assert_eq!(worker.run(|| 7).await.expect("a result"), 7);
        });
    }
}
