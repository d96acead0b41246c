//! What maps too much.

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
    /// Starts, and returns when it has ended, since it could not map them; returns what its log says of that.
    fn start_refused(&mut self, pod: &Pod, pace: &Pace) -> anyhow::Result<Option<String>>;
    /// Ends it.
    fn end(&mut self);
}
