//! The log on stderr.

use std::io;
use std::panic;
use std::thread;

use tracing::level_filters::LevelFilter;

use super::flags::{LogFormat, LogLevel};
use super::terminal::wants_colour;
use crate::log::{Flush, Log};

/// Starts it, until what is returned is dropped. It must be called once.
pub(super) fn start(level: LogLevel, format: LogFormat) -> anyhow::Result<Flush> {
    let (log, flush) = Log::on_stderr().map_err(explain)?;
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(log).with_target(false);
    match format {
        LogFormat::Text => {
            log.with_ansi(wants_colour(&std::io::stderr())).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // The default hook writes to stderr itself, and waits where nobody reads that.
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        tracing::error!(thread = thread.name(), "a bug: {panic}");
    }));
    Ok(flush)
}

/// This is the first thread that is started. glibc starts threads with clone3, and goes without only where that is unknown.
fn explain(error: io::Error) -> anyhow::Error {
    let what = if error.kind() == io::ErrorKind::PermissionDenied {
        "can't start a thread: the container runtime refuses clone3; Docker 20.10.10, runc 1.0.0 and libseccomp 2.5 know it"
    } else {
        "can't start a thread"
    };
    anyhow::Error::new(error).context(what)
}
