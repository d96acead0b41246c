//! What the witness told, read on a thread of its own and left where the poller takes it; a new signal wakes the poller.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use tokio::sync::watch;

use super::AgentError;
use crate::sources::{Told, WitnessFile};

/// So often the file is read though nothing has happened to it: its writer may have stopped.
const AGAIN: Duration = Duration::from_secs(5);

/// Where what was told is left for the poller.
pub(super) struct WitnessSlot {
    newest: watch::Receiver<Told>,
    /// Readable when there is a signal that was not there before.
    signals: Arc<EventFd>,
}

impl WitnessSlot {
    /// Starts reading the file in that directory.
    pub(super) fn start(
        directory: PathBuf,
        proc: PathBuf,
        started: Instant,
    ) -> Result<Self, AgentError> {
        let failed = |source| AgentError::Start { what: "reader of the witness", source };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let signals = EventFd::from_value_and_flags(0, flags);
        let signals = Arc::new(signals.map_err(|error| failed(io::Error::from(error)))?);
        let mut file = WitnessFile::new(directory.clone(), proc, started);
        let (sender, newest) = watch::channel(file.read());
        let bell = Arc::clone(&signals);
        let read = move || keep_reading(&mut file, &directory, &sender, &bell);
        thread::Builder::new().name("witness".to_owned()).spawn(read).map_err(failed)?;
        Ok(Self { newest, signals })
    }

    pub(super) fn newest(&self) -> Told {
        self.newest.borrow().clone()
    }

    /// Readable when somebody got SIGBUS.
    pub(super) fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Takes that word.
    pub(super) fn take_signals(&self) {
        // There is none where another poll has taken it.
        let _ = self.signals.read();
    }
}

fn keep_reading(
    file: &mut WitnessFile,
    directory: &std::path::Path,
    sender: &watch::Sender<Told>,
    bell: &EventFd,
) {
    let mut watch = None;
    while !sender.is_closed() {
        // The directory may be made later, or anew; without a watch it is read every time.
        watch = watch.or_else(|| WitnessFile::watch(directory).ok());
        let told = file.read();
        let count = |told: &Told| told.witness.as_ref().map_or(0, |it| it.report.count);
        let is_new = count(&told) != count(&sender.borrow());
        sender.send_replace(told);
        if is_new {
            // It fails only where it was told 2^64 times.
            let _ = bell.write(1);
        }
        let mut polled: Vec<_> =
            watch.iter().map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)).collect();
        let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(AGAIN)), None);
        if let Some(watch) = &watch {
            watch.drain();
        }
    }
}
