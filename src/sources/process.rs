//! What the exporter itself costs, from `/proc/self`.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use procfs::process::Stat;
use procfs::{CurrentSI, FromRead, ProcResult};

use crate::snapshot::{Process, Reading};
use crate::units::Bytes;

/// Our own process. Always `/proc`, whatever root the node's figures come from.
#[derive(Debug)]
pub struct OwnProcess {
    /// When the system booted, once that is read: `/proc/stat` is long.
    boot: Option<Duration>,
}

impl OwnProcess {
    /// Ourselves.
    pub fn new() -> Self {
        Self { boot: None }
    }

    /// What it costs now.
    pub fn read(&mut self) -> Reading<Process> {
        self.since(|| {
            let now = procfs::KernelStats::current();
            now.ok().map(|stat| Duration::from_secs(stat.btime))
        })
    }

    /// Since a boot that is looked up until that succeeds.
    fn since(&mut self, boot: impl FnOnce() -> Option<Duration>) -> Reading<Process> {
        if self.boot.is_none() {
            self.boot = boot();
        }
        self.boot.and_then(|boot| cost(boot).ok()).map_or(Reading::Failed, Reading::Present)
    }
}

/// The size of `/proc/self/fd` is their number from Linux 6.2 on; before, it is 0 and they are counted one by one, which is
/// dear where thousands are kept.
fn open_descriptors() -> io::Result<u64> {
    const DESCRIPTORS: &str = "/proc/self/fd";
    match fs::metadata(DESCRIPTORS)?.len() {
        0 => Ok(u64::try_from(fs::read_dir(DESCRIPTORS)?.count()).unwrap_or(u64::MAX)),
        number => Ok(number),
    }
}

#[expect(clippy::cast_precision_loss, reason = "processor time in ticks is far below 2^53")]
fn cost(boot: Duration) -> ProcResult<Process> {
    let stat = Stat::from_file("/proc/self/stat")?;
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    Ok(Process {
        cpu_seconds: seconds(stat.utime + stat.stime),
        resident: Bytes(stat.rss.saturating_mul(procfs::page_size())),
        virtual_memory: Bytes(stat.vsize),
        open_descriptors: open_descriptors()?,
        max_descriptors: descriptors.filter(|limit| *limit != RLIM_INFINITY),
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        started: boot + Duration::from_secs_f64(seconds(stat.starttime)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_system_booted_is_looked_up_until_that_is_known_and_no_longer() {
        let mut own = OwnProcess::new();
        assert_eq!(own.since(|| None), Reading::Failed);
        let boot = Duration::from_secs(1_000);
        let started = |reading: Reading<Process>| reading.present().map(|process| process.started);
        let first = started(own.since(|| Some(boot)));
        assert!(first > Some(boot), "{first:?}");
        assert_eq!(started(own.since(|| panic!("it is known"))), first);
    }
}
