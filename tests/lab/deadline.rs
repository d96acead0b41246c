//! No scenario takes for ever: when one is too late, the lab ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::evidence;

/// No scenario takes longer, in a run that is not to take its time.
const USUAL: Duration = Duration::from_secs(300);
const LONG: Duration = Duration::from_secs(1_200);

/// When the scenario under way has to be over, in seconds of the monotonic clock.
#[derive(Debug, Clone)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    /// None, for a process that another one watches.
    pub fn unwatched() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// None yet. When one has passed, that is done and the lab ends; tenants and agents end with it.
    pub fn watched(too_late: impl Fn() + Send + 'static) -> Self {
        let deadline = Self::unwatched();
        let watched = deadline.clone();
        std::thread::spawn(move || {
            while now() <= watched.0.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_secs(1));
            }
            eprintln!("a scenario took too long; the lab ends");
            too_late();
            std::process::exit(101);
        });
        deadline
    }

    /// A scenario begins.
    pub fn begin(&self) {
        let usual = if evidence::is_long() { LONG } else { USUAL };
        self.0.store(now() + usual.as_secs(), Ordering::Relaxed);
    }

    /// The scenario under way is one that may take so much longer.
    pub fn extend(&self, by: Duration) {
        let later = |deadline: u64| Some(deadline.saturating_add(by.as_secs()));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// It is over.
    pub fn end(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec().try_into().expect("a time")
}
