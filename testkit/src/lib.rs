//! What the tests, the benchmarks, the fuzz targets and the examples share: made-up machines, a running agent, an HTTP client
//! that sees every byte, and waiting.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::new_without_default,
    missing_debug_implementations,
    reason = "a test may fail loudly"
)]

pub mod agent;
pub mod api_server;
pub mod dashboards;
pub mod exposition;
pub mod faults;
pub mod http;
pub mod kubelet;
pub mod machine;
pub mod manual;
pub mod mounts;
pub mod real;
pub mod targets;
pub mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use hugetlb_exporter::host::lines::Lines;

/// The root of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program that cargo has built for this test or benchmark.
pub fn built() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_hugetlb-exporter").expect("cargo says where it is").into()
}

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

/// The `address=` in the first of these lines that has a certain text.
pub fn address(lines: &Lines, text: &str) -> Option<SocketAddr> {
    lines.with(text)?.split("address=").nth(1)?.split(' ').next()?.parse().ok()
}
