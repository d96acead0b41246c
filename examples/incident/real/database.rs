//! What maps too much.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::cgroup::Pod;
use crate::show::Pace;

/// A database in a pod.
pub trait Database {
    /// What to call it.
    fn name(&self) -> &'static str;
    /// The huge pages that it will map.
    fn pages(&self) -> anyhow::Result<u64>;
    /// Starts it in the pod's container, and returns when it has mapped them.
    fn start(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<()>;
    /// Works on so many more MiB; says whether it was killed for it.
    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool>;
    /// Starts again after it was killed.
    fn recover(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<()>;
}

/// A command that ends with us, however we end (util-linux's setpriv sets that and becomes the program).
pub fn tied(flags: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(flags).arg("--");
    command.env("LC_ALL", "C").current_dir("/");
    // Ctrl-C is for us; we end what we have started.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts such a command.
pub fn start(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))
}
