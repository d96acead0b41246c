//! This machine, for the programs that make real cgroups and huge pages on it: the demonstration, the lab, the benchmarks.
//! One of them at a time. Each notes the pool's size before it changes it, and removes what a killed one has left.

pub mod cgroups;
pub mod hierarchy;
pub mod pool;

use std::fs::File;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const LOCK: &str = "/run/hugetlb-exporter-lab.lock";

/// Locks the machine until the lock is dropped. Fails if another program holds it and `how` is not to wait.
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
