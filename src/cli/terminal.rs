//! What a terminal is shown besides the answer: colours where they are wanted, and what is being waited for.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use terminal_size::{Width, terminal_size_of};

/// Where nothing is known of the terminal.
const USUAL_WIDTH: usize = 80;

/// Too narrow for words; a narrower terminal breaks the lines by itself.
const LEAST_WIDTH: usize = 20;

/// How wide an answer may be: as COLUMNS in the environment wants it (POSIX; watch says so what room it has), or else the
/// terminal.
pub(super) fn width() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size_of(io::stdout()).map(|(Width(columns), _)| columns.into());
    let width = wanted.filter(|&width| width > 0).or_else(terminal);
    width.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
}

/// Writes an answer to stdout. Whoever closes that early (`| head`) has read enough.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("can't write the answer")
        }
        _ => Ok(()),
    }
}

/// Who waits longer than this wants to know for what.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// Whether to write colours to it: it is a terminal, and nobody asks for none (no-color.org).
pub(super) fn wants_colour(stream: &impl IsTerminal) -> bool {
    let unasked = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    unasked && stream.is_terminal()
}

/// Says on stderr what is being waited for, once that takes longer than a second, if a terminal is there to see it.
/// Dropping it wipes the line.
pub(super) struct Waiting {
    shown: Option<Shown>,
}

/// The thread that says it; it ends as `end` does.
struct Shown {
    what: Arc<Mutex<String>>,
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Waiting {
    /// Waiting for that, from now on.
    pub(super) fn until(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self { shown: None };
        }
        let what = Arc::new(Mutex::new(what.to_owned()));
        let (end, ended) = mpsc::channel();
        let said = Arc::clone(&what);
        let thread = thread::spawn(move || say(&said, &ended, SILENT_FOR, &mut io::stderr()));
        Self { shown: Some(Shown { what, end, thread }) }
    }

    /// Waiting for something else by now.
    pub(super) fn is_now(&self, what: impl FnOnce() -> String) {
        if let Some(shown) = &self.shown {
            *shown.what.lock().unwrap_or_else(PoisonError::into_inner) = what();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Shown { end, thread, .. }) = self.shown.take() {
            drop(end);
            // The answer must not come before the line is wiped.
            let _ = thread.join();
        }
    }
}

/// Writes what is waited for, over and over in one line. A closed terminal is no reason to stop.
fn say(what: &Mutex<String>, ended: &Receiver<()>, every: Duration, terminal: &mut impl Write) {
    let began = Instant::now();
    let mut said = false;
    while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let what = what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let _ = write!(terminal, "\r{what} ({} s)\x1b[K", began.elapsed().as_secs());
        said = true;
    }
    if said {
        let _ = write!(terminal, "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said_and_wiped_again() {
        let (end, ended) = mpsc::channel();
        let what = Arc::new(Mutex::new("looking".to_owned()));
        let said = Arc::clone(&what);
        let every = Duration::from_millis(1);
        let thread = thread::spawn(move || {
            let mut terminal = Vec::new();
            say(&said, &ended, every, &mut terminal);
            String::from_utf8(terminal).expect("text")
        });
        thread::park_timeout(every * 50);
        *what.lock().expect("the text") = "holding".to_owned();
        thread::park_timeout(every * 50);
        drop(end);
        let text = thread.join().expect("what was said");
        assert!(text.starts_with("\rlooking (0 s)\x1b[K\r"), "{text:?}");
        assert!(text.ends_with("\rholding (0 s)\x1b[K\r\x1b[K"), "{text:?}");
    }

    #[test]
    fn what_does_not_take_long_is_not_spoken_of() {
        let (end, ended) = mpsc::channel();
        drop(end);
        let mut terminal = Vec::new();
        say(&Mutex::new("looking".to_owned()), &ended, SILENT_FOR, &mut terminal);
        assert_eq!(terminal, b"");
    }
}
