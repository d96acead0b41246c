//! What maps too much.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::pod::Pod;
use crate::demo::pace::Pace;

/// A database in a pod.
pub trait Database: Send {
    /// What to call it.
    fn name(&self) -> &'static str;
    /// The huge pages that it will map.
    fn pages(&self) -> anyhow::Result<u64>;
    /// Starts it in the pod's container, and returns when it has mapped them.
    fn start(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<()>;
    /// Works on so many MiB more; true if it was killed.
    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool>;
    /// Starts again after it was killed; returns what its log says of that.
    fn recover(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<Option<String>>;
}

/// A command that is killed when this process ends, in whatever way (util-linux's setpriv sets that).
pub fn tied(flags: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(flags).arg("--");
    command.env("LC_ALL", "C").current_dir("/");
    // Ctrl-C is for this process, which ends what it has started.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts such a command.
pub fn start(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))
}
