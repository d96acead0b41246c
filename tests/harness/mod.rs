//! What both test targets need: a running agent, an HTTP client that sees every byte, and waiting.

pub mod agent;
pub mod dashboards;
pub mod exposition;
pub mod http;
pub mod kubelet;
pub mod tls;

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer; without one in time, says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_within(what, DEADLINE, ask)
}

/// The same of what may take longer.
#[track_caller]
pub fn wait_within<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The lines that a program writes, as they come.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Collects what comes out of a pipe until it is closed.
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let collected = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                collected.0.lock().expect("the lines").push(line);
            }
        });
        lines
    }

    /// Those that came so far.
    pub fn so_far(&self) -> Vec<String> {
        self.0.lock().expect("the lines").clone()
    }

    /// The `address=` in the first line that has a certain text.
    pub fn address(&self, text: &str) -> Option<std::net::SocketAddr> {
        let lines = self.so_far();
        let line = lines.iter().find(|line| line.contains(text))?;
        line.split("address=").nth(1)?.split(' ').next()?.parse().ok()
    }
}
