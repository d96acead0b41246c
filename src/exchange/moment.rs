//! The kernel's time, which two containers of a node share.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment of this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which boot it is: a UUID that the kernel draws anew each time.
    pub boot: String,
    /// How long that is ago, sleep included (CLOCK_BOOTTIME). Nobody can set it.
    pub since_boot: Duration,
}

impl Moment {
    /// Now; `proc` is where procfs is.
    pub fn now(proc: &Path) -> io::Result<Self> {
        let boot = fs::read_to_string(proc.join("sys/kernel/random/boot_id"))?;
        Ok(Self { boot: boot.trim().to_owned(), since_boot: since_boot()? })
    }

    /// The same boot, now.
    pub fn renew(&mut self) -> io::Result<()> {
        self.since_boot = since_boot()?;
        Ok(())
    }
}

fn since_boot() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}
