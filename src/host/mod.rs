//! This machine, for the programs that make real cgroups and huge pages on it: the demonstration, the lab, the benchmarks.
//! One of them at a time. Each notes the pool's size before it changes it, and removes what a killed one has left.

pub mod cgroups;
pub mod hierarchy;
pub mod kubepods;
pub mod lines;
pub mod pool;
pub mod postgres;
pub mod toucher;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

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

/// A command that is killed when the thread that starts it ends, in whatever way (util-linux's setpriv sets that).
pub fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    apart(&mut command);
    command
}

/// A program's command after these words, of which each becomes the next (`unshare --ipc --`).
fn after<'a>(mut words: impl Iterator<Item = &'a str>, program: &str) -> Command {
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

/// Ctrl-C at a terminal is for this process alone, which ends what it has started.
fn apart(command: &mut Command) {
    command.process_group(0);
}
