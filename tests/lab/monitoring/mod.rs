//! Debian's Prometheus and Alertmanager, and somebody with a pager.

mod alertmanager;
mod pager;
mod prometheus;

pub use alertmanager::Alertmanager;
pub use pager::{Message, Pager, Receiver};
pub use prometheus::{Alerting, Prometheus, seconds};

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::harness::agent::tied;
use crate::harness::{Lines, address, wait_for};

/// One of these servers on a port of the system's choice; dropping it ends it.
struct Server {
    child: Child,
    address: SocketAddr,
    log: Lines,
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts one that keeps its files in that directory.
    fn start(program: &str, arguments: &[String], directory: tempfile::TempDir) -> Self {
        let mut child = tied(program)
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let log = Lines::of(child.stderr.take().expect("its log"));
        let address = wait_for(&format!("{program}'s address"), || {
            if let Some(status) = child.try_wait().expect("its status") {
                panic!("{program} ended with {status}: {:?}", log.so_far());
            }
            address(&log, "msg=\"Listening on\"")
        });
        Self { child, address, log, _directory: directory }
    }

    /// What it complained of.
    fn complaints(&self) -> Vec<String> {
        let worth = |line: &String| line.contains("level=warn") || line.contains("level=error");
        self.log.so_far().into_iter().filter(worth).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of the project's that is shipped.
fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A shipped file with one of its words replaced, wherever it stands.
#[track_caller]
fn with(text: &str, word: &str, other: &str) -> String {
    assert!(text.contains(word), "{word:?} is not in what is shipped");
    text.replace(word, other)
}
