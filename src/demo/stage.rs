//! Where the story happens: a pod with one database, and then another.

use super::pace::Pace;

/// Bytes of a page of 2 MiB, the only size that the story uses.
pub const PAGE: u64 = 2 << 20;

/// What the kernel says of the pod and of the pool, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What the container may touch.
    pub limit: u64,
    /// What it has mapped.
    pub reserved: u64,
    /// What it has touched.
    pub used: u64,
    /// How often it was refused pages.
    pub refusals: u64,
    /// Pages of the pool that nobody has touched.
    pub pool_free: u64,
    /// Those of them that are promised to mappings.
    pub pool_reserved: u64,
}

/// A pod with a database, on files or on this machine.
pub trait Stage {
    /// What to call the database.
    fn database(&self) -> &'static str;
    /// The namespace of the pod; its container is `postgres`.
    fn namespace(&self) -> &'static str;
    /// The name of the pod.
    fn pod(&self) -> &'static str;
    /// The figures now.
    fn figures(&self) -> anyhow::Result<Figures>;
    /// Starts the database; it has mapped its huge pages when this returns.
    fn start(&mut self, pace: &Pace) -> anyhow::Result<()>;
    /// Lets it work on so many MiB more; true if it was killed.
    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool>;
    /// Starts it again after it was killed; returns what it says of that, if anything.
    fn recover(&mut self, pace: &Pace) -> anyhow::Result<Option<String>>;
    /// Sets the limit of pod and container, in pages; of the second pod its reservation limit, too.
    fn set_limit(&mut self, pages: u64) -> anyhow::Result<()>;
    /// Ends the database, removes its pod, and makes another as a kubelet of 1.29 or newer does: with the limit that the first
    /// one had to begin with, and with the same reservation limit.
    fn make_second_pod(&mut self) -> anyhow::Result<()>;
    /// Starts the database in a container made for it, as the kubelet does, and waits until it has ended, since its mapping was
    /// refused; returns what it says of that, if anything.
    fn start_refused(&mut self, pace: &Pace) -> anyhow::Result<Option<String>>;
}
