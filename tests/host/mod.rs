//! The machine as whoever makes real huge pages and cgroups on it has it: the lab, the benchmarks, the demonstration. One
//! at a time, with the pool's size noted before it is changed; and each removes what a killed one left.

pub mod cgroups;
pub mod hierarchy;
pub mod pool;

use std::fs::File;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const LOCK: &str = "/run/hugetlb-exporter-lab.lock";

/// The machine to oneself while this is held; an error if somebody else has it and `how` is not to wait.
pub fn lock(how: FlockArg) -> anyhow::Result<Flock<File>> {
    let file = File::create(LOCK).with_context(|| format!("can't make {LOCK}"))?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => {
            bail!(
                "the lab, a benchmark or a demonstration has this machine ({LOCK} is held); try again when it is over"
            )
        }
        Err((_, error)) => Err(error).with_context(|| format!("can't lock {LOCK}")),
    }
}
