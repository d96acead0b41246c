//! Whoever asks the agent all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::http;

const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// Who asks for what, with what header.
const ASKED: [(&str, &str); 6] = [
    ("/metrics", GZIP),
    ("/metrics", GZIP),
    ("/metrics", ""),
    ("/", GZIP),
    ("/api/v1/view", ""),
    ("/api/v1/incidents", GZIP),
];

/// From an answer to the next question.
const BETWEEN: Duration = Duration::from_millis(100);

/// Threads that ask until they are stopped.
pub struct Scrapers {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Scrapers {
    pub fn of(address: SocketAddr) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let scraper = |(path, header): (&str, &str)| {
            let stopping = Arc::clone(&stopping);
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
            std::thread::spawn(move || {
                let mut answers = 0;
                while !stopping.load(Ordering::Relaxed) {
                    let answer = http::request(address, &request);
                    assert_eq!(answer.status, 200, "{request}: {answer:?}");
                    answers += 1;
                    std::thread::park_timeout(BETWEEN);
                }
                answers
            })
        };
        let threads = ASKED.into_iter().map(scraper).collect();
        Self { stopping, threads }
    }

    /// How many answers there were, all good.
    pub fn stop(mut self) -> u64 {
        self.stopping.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut self.threads);
        threads.into_iter().map(|thread| thread.join().expect("good answers")).sum()
    }
}

impl Drop for Scrapers {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
