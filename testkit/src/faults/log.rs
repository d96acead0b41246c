//! Where the agent's log goes: a pipe, which may be held or closed, or a file on a disk, which may be full.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// A pipe that somebody reads.
    Pipe,
    /// A file on a small disk of its own.
    Disk,
}

const READ: u8 = 0;
const HELD: u8 = 1;
const CLOSED: u8 = 2;

/// The log of one agent.
pub(super) enum Log {
    Pipe { mode: Arc<AtomicU8>, writer: PipeWriter, reading: JoinHandle<String> },
    Disk(PathBuf),
}

impl Log {
    /// To a pipe.
    pub(super) fn on_pipe() -> Self {
        let (reader, writer) = pipe().expect("a pipe");
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("not to wait there");
        let mode = Arc::new(AtomicU8::new(READ));
        let told = Arc::clone(&mode);
        Self::Pipe { mode, writer, reading: std::thread::spawn(move || read(reader, &told)) }
    }

    /// To a file of that directory.
    pub(super) fn on_disk(disk: &Path) -> Self {
        Self::Disk(disk.join("log"))
    }

    /// The agent's end of it.
    pub(super) fn stderr(&self) -> Stdio {
        match self {
            Self::Pipe { writer, .. } => writer.try_clone().expect("the pipe again").into(),
            Self::Disk(file) => {
                File::options().create(true).append(true).open(file).expect("opened").into()
            }
        }
    }

    /// Nobody reads it any more, and it is full.
    pub(super) fn hold(&self) {
        let Self::Pipe { mode, writer, .. } = self else { panic!("only a pipe can be held") };
        mode.store(HELD, Ordering::SeqCst);
        // One read may be under way.
        park_timeout(Duration::from_millis(20));
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let mut again = File::options();
        let again = again.write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        let mut again = again.expect("the pipe");
        for piece in [4096, 1] {
            while again.write(&vec![b'\n'; piece]).is_ok() {}
        }
    }

    /// It is read again.
    pub(super) fn release(&self) {
        self.set(READ);
    }

    /// Nobody has it open to read.
    pub(super) fn close(&self) {
        self.set(CLOSED);
        let Self::Pipe { reading, .. } = self else { return };
        super::super::wait_for("the reader to go", || reading.is_finished().then_some(()));
    }

    fn set(&self, new: u8) {
        if let Self::Pipe { mode, .. } = self {
            mode.store(new, Ordering::SeqCst);
        }
    }

    /// All of it, once the agent has ended.
    pub(super) fn text(self) -> String {
        match self {
            Self::Pipe { mode, writer, reading } => {
                drop(writer);
                // One that was closed stays so.
                let _ = mode.compare_exchange(HELD, READ, Ordering::SeqCst, Ordering::SeqCst);
                reading.join().expect("it was read")
            }
            Self::Disk(file) => {
                let text = fs::read(&file).expect("it was written");
                fs::remove_file(file).expect("removed");
                String::from_utf8_lossy(&text).into_owned()
            }
        }
    }
}

fn read(mut pipe: PipeReader, mode: &AtomicU8) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match mode.load(Ordering::SeqCst) {
            CLOSED => break,
            HELD => park_timeout(Duration::from_millis(5)),
            _ => match pipe.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    park_timeout(Duration::from_millis(5));
                }
                Err(error) => panic!("the log: {error}"),
            },
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
