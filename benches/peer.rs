//! node_exporter, as Debian ships it, in its default configuration.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::figures::{microseconds, status_of};
use crate::scraper::Scraper;

/// Debian's name of it.
pub const PROGRAM: &str = "prometheus-node-exporter";

/// A running one.
pub struct Peer {
    process: Child,
    clock: ClockId,
    scraper: Scraper,
}

impl Peer {
    /// Starts it on loopback; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let started = Command::new(PROGRAM)
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            started => started.expect("a process"),
        };
        let id = Pid::from_raw(process.id().try_into().expect("an id"));
        let clock = clock_getcpuclockid(id).expect("its clock");
        let mut scraper = Scraper::new(address);
        // What it does once is not what a scrape costs.
        for _ in 0..5 {
            scraper.scrape();
        }
        Some(Self { process, clock, scraper })
    }

    /// What one of so many scrapes costs, in microseconds. It collects its garbage in between.
    pub fn round(&mut self, scrapes: u32) -> f64 {
        let before = self.spent();
        for _ in 0..scrapes {
            self.scraper.scrape();
        }
        microseconds(self.spent().saturating_sub(before)) / f64::from(scrapes)
    }

    /// One scrape.
    pub fn scrape(&mut self) {
        self.scraper.scrape();
    }

    /// Its resident memory, in kB.
    pub fn resident(&self) -> f64 {
        status_of(self.process.id(), "VmRSS:")
    }

    /// The processor time of all its threads.
    pub fn spent(&self) -> Duration {
        clock_gettime(self.clock).expect("its time").into()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
