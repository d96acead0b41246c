//! The witness: who got SIGBUS.
//!
//! The kernel's counters of huge pages name no process, and count nothing where the pool itself is empty. So a program of
//! some hundred instructions ([`program`]) hangs in the kernel where signals are raised, and tells of each SIGBUS that a
//! process's own access to memory raised: which process, and which address. It needs CAP_BPF and CAP_PERFMON, which are not
//! for a process that answers the network: this is a process of its own, that writes what it saw to a small file.
//!
//! ```text
//! kernel: program ──ring──→ this process ──witness.json──→ the exporter
//! ```

mod event;
mod instruction;
mod kernel;
mod memory;
mod program;
mod sight;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;

use crate::exchange::{self, Moment};
use crate::snapshot::{Sight as Seeing, WitnessReport};
use memory::Memory;
use sight::Sight;

/// The file is renewed so often, and late when it is three times as old.
const RENEWED: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(15);
/// So often it is tried again where it could not be.
const AGAIN: Duration = Duration::from_secs(60);

/// Why the witness ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The system gave it no clock, or no word of signals.
    #[error("can't start")]
    Start(#[source] io::Error),
}

/// The witness, before it looks.
#[derive(Debug)]
pub struct Witness {
    directory: PathBuf,
    now: Moment,
    ends: SignalFd,
    memory: Memory,
    /// Nothing while it can't see.
    sight: Option<Sight>,
    blind: Option<String>,
    /// Whether the last file could be written.
    written: bool,
}

impl Witness {
    /// One that writes into that directory; `proc` is where procfs is. From now on SIGTERM and SIGINT end it.
    pub fn new(directory: PathBuf, proc: &Path) -> Result<Self, WitnessError> {
        let now = Moment::now(proc).map_err(WitnessError::Start)?;
        let mut ends = SigSet::empty();
        ends.extend([Signal::SIGTERM, Signal::SIGINT]);
        let start = |error: Errno| WitnessError::Start(error.into());
        ends.thread_block().map_err(start)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let ends = SignalFd::with_flags(&ends, flags).map_err(start)?;
        let memory = Memory::default();
        Ok(Self { directory, now, ends, memory, sight: None, blind: None, written: true })
    }

    /// Looks, and writes what it sees, until told to end.
    pub fn run(mut self) -> Result<(), WitnessError> {
        let mut try_again = Instant::now();
        loop {
            if self.sight.is_none() && Instant::now() >= try_again {
                self.open();
                try_again = Instant::now() + AGAIN;
            }
            self.now.renew().map_err(WitnessError::Start)?;
            self.look();
            self.write();
            if self.wait(RENEWED) {
                self.look();
                self.blind = Some("the witness was told to end".to_owned());
                self.write();
                return Ok(());
            }
        }
    }

    /// Tries to see.
    fn open(&mut self) {
        match Sight::open() {
            Ok(sight) => {
                tracing::info!(
                    with_ancestors = sight.has_ancestors,
                    "watching for SIGBUS in this node's processes"
                );
                self.memory = Memory::since(self.now.since_boot);
                (self.sight, self.blind) = (Some(sight), None);
            }
            Err(why) => {
                if self.blind.as_ref() != Some(&why) {
                    tracing::error!(why, "can't watch for SIGBUS");
                }
                self.blind = Some(why);
            }
        }
    }

    fn look(&mut self) {
        let Some(sight) = &mut self.sight else { return };
        sight.drain(|event| self.memory.take(event));
        match sight.dropped(self.now.since_boot) {
            Ok(dropped) => self.memory.dropped(&dropped),
            Err(error) => {
                // Nothing is known of what was dropped: it begins anew.
                tracing::error!(%error, "can't read the counters of signals");
                self.blind = Some(format!("can't read the counters of signals: {error}"));
                self.sight = None;
            }
        }
    }

    fn write(&mut self) {
        let report = self.report();
        let result = exchange::write(&self.directory, &report, LATE, &self.now);
        match &result {
            Err(error) if self.written => tracing::error!(%error, "can't tell what was seen"),
            Ok(()) if !self.written => tracing::info!("what was seen can be told again"),
            _ => {}
        }
        self.written = result.is_ok();
    }

    fn report(&mut self) -> WitnessReport {
        let sight = match &self.blind {
            Some(why) => Seeing::Blind(why.clone()),
            None => Seeing::Since(nanoseconds(self.memory.began)),
        };
        self.memory.report(sight, self.now.since_boot)
    }

    /// Waits for a signal that was seen, or for so long; true when it is to end.
    fn wait(&self, at_most: Duration) -> bool {
        let until = Some(TimeSpec::from_duration(at_most));
        let mut polled = vec![PollFd::new(self.ends.as_fd(), PollFlags::POLLIN)];
        let ring = self.sight.as_ref().map(Sight::ring);
        polled.extend(ring.map(|ring| PollFd::new(ring, PollFlags::POLLIN)));
        let ready = ppoll(&mut polled, until, None).is_ok_and(|ready| ready > 0);
        ready && polled.first().and_then(PollFd::any) == Some(true)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
