//! What both test targets need: a running agent, an HTTP client that sees every byte, and waiting.

pub mod agent;
pub mod exposition;
pub mod http;

use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer; without one in time, says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
