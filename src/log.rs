//! Where log lines go: a bounded queue and a thread that writes them to stderr.
//!
//! Nobody waits for a log line. Where stderr is closed, its disk is full or nobody reads its pipe, lines are lost and
//! counted; when it takes lines again, it is told how many it lost.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So many lines may wait to be written.
const MOST_LINES: usize = 1_024;

/// At the end, the last lines get so long.
const FLUSH: Duration = Duration::from_secs(1);

/// There is one log, as there is one stderr.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that could not be written since the start.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

enum Entry {
    Line(Vec<u8>),
    /// All lines before it are written, or lost.
    Flush(SyncSender<()>),
}

/// Takes lines without ever waiting.
#[derive(Debug, Clone)]
pub struct Log {
    queue: SyncSender<Entry>,
    lost: &'static AtomicU64,
}

/// Dropping it waits a moment for the last lines.
#[derive(Debug)]
pub struct Flush(Log);

impl Log {
    /// A log on stderr.
    pub fn on_stderr() -> io::Result<(Self, Flush)> {
        Self::to(io::stderr(), &LOST)
    }

    fn to(
        target: impl Write + Send + 'static,
        lost: &'static AtomicU64,
    ) -> io::Result<(Self, Flush)> {
        let (queue, entries) = mpsc::sync_channel(MOST_LINES);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&entries, target, lost))?;
        let log = Self { queue, lost };
        Ok((log.clone(), Flush(log)))
    }
}

fn write(entries: &Receiver<Entry>, mut target: impl Write, lost: &AtomicU64) {
    let mut told = 0;
    for entry in entries {
        match entry {
            Entry::Line(line) => match target.write_all(&line) {
                Ok(()) => {
                    let now = lost.load(Ordering::Relaxed);
                    if now > told {
                        // It comes through the queue like any other line.
                        tracing::warn!(lost = now - told, "lines of the log were lost");
                        told = now;
                    }
                }
                Err(_) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            },
            Entry::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// One line; the formatter writes each whole.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, wait) = mpsc::sync_channel(1);
        // A full queue means that stderr takes nothing; then there is nothing to wait for.
        if self.0.queue.try_send(Entry::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A disk that may be full, and a pipe that may be held.
    #[derive(Clone, Default)]
    struct Target {
        is_full: Arc<std::sync::atomic::AtomicBool>,
        held: Arc<Mutex<()>>,
        text: Arc<Mutex<String>>,
    }

    impl Write for Target {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _held = self.held.lock().expect("not poisoned");
            if self.is_full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.lock().expect("the text").push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let target = Target::default();
        let (mut log, flush) = Log::to(target.clone(), &LOST).expect("a thread");
        log.write_all(b"first\n").expect("it never fails");
        drop(flush);
        target.is_full.store(true, Ordering::Relaxed);
        log.write_all(b"second\n").expect("it never fails");
        drop(Flush(log.clone()));
        target.is_full.store(false, Ordering::Relaxed);
        log.write_all(b"third\n").expect("it never fails");
        drop(Flush(log));
        assert_eq!(*target.text.lock().expect("the text"), "first\nthird\n");
        assert_eq!(LOST.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let target = Target::default();
        let (mut log, flush) = Log::to(target.clone(), &LOST).expect("a thread");
        let held = target.held.lock().expect("not poisoned");
        let began = std::time::Instant::now();
        for _ in 0..MOST_LINES + 100 {
            log.write_all(b"line\n").expect("it never fails");
        }
        drop(flush);
        assert!(began.elapsed() < FLUSH * 2, "{:?}", began.elapsed());
        // One line more may be in the writer's hand.
        assert!((99..=100).contains(&LOST.load(Ordering::Relaxed)), "{LOST:?}");
        drop(held);
    }

    #[test]
    fn once_it_takes_lines_again_it_is_told_how_many_were_lost() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let target = Target::default();
        let (queue, entries) = mpsc::sync_channel(MOST_LINES);
        let mut log = Log { queue, lost: &LOST };
        let disk = target.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        thread::spawn(move || {
            tracing::subscriber::with_default(subscriber, || write(&entries, disk, &LOST));
        });
        target.is_full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            log.write_all(b"lost\n").expect("it never fails");
        }
        drop(Flush(log.clone()));
        target.is_full.store(false, Ordering::Relaxed);
        for line in [&b"first\n"[..], b"second\n"] {
            log.write_all(line).expect("it never fails");
            drop(Flush(log.clone()));
        }
        // What it is told is a line of the queue, too.
        drop(Flush(log));
        let text = target.text.lock().expect("the text").clone();
        assert_eq!(text.matches("lines of the log were lost lost=3").count(), 1, "{text}");
        assert_eq!(text.lines().count(), 3, "it is told once: {text}");
    }
}
