//! A kernel counter over time, more often than Prometheus scrapes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::monitoring::seconds;

/// In 20 ms some pages are touched, and the last value before a kill is wanted.
const EVERY: Duration = Duration::from_millis(5);

/// Reads a file of bytes again and again until it is asked what it has read.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(f64, u64)>>,
}

impl Sampler {
    /// Of that file, from now on.
    pub fn of(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut values = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).expect("the counter");
                let bytes = text.trim().parse().expect("bytes");
                if values.last().is_none_or(|(_, last)| *last != bytes) {
                    values.push((seconds(SystemTime::now()), bytes));
                }
                thread::park_timeout(EVERY);
            }
            values
        });
        Self { stop, thread }
    }

    /// The changes of the value: seconds since 1970 and bytes.
    pub fn values(self) -> Vec<(f64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the values")
    }
}
