//! This machine: whether it is fit for it, its pool, and putting that back.

use std::fs::File;

use anyhow::{Context, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::pod;
use crate::host::hierarchy::Hierarchy;
use crate::host::{cgroups, lock, pool};

/// Other programs may need a page meanwhile, and so does initdb.
const SPARE: u64 = 20;

/// The machine, locked.
#[derive(Debug)]
pub struct Machine {
    hierarchy: Hierarchy,
    _lock: Flock<File>,
}

impl Machine {
    /// Locks it, if it is fit for it.
    pub fn take() -> anyhow::Result<Self> {
        ensure!(
            geteuid().is_root(),
            "--real needs root: it sets the pool's size and makes cgroups"
        );
        ensure!(pool::is_there(), "this kernel has no huge pages of 2 MiB");
        let hierarchy = Hierarchy::find().context(
            "no cgroup hierarchy with hugetlb is mounted (the kernel needs CONFIG_CGROUP_HUGETLB)",
        )?;
        let lock = lock(FlockArg::LockExclusiveNonblock)?;
        pod::remove_leftovers(&hierarchy)?;
        ensure!(
            !cgroups::has_kubepods(&hierarchy.root),
            "{} has kubepods: --real needs a machine without a kubelet",
            hierarchy.root.display()
        );
        pool::note()?;
        Ok(Self { hierarchy, _lock: lock })
    }

    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Makes the pool large enough for so many pages and a few more.
    pub fn make_available(&self, pages: u64) -> anyhow::Result<()> {
        let available = pool::read("free_hugepages")?.saturating_sub(pool::read("resv_hugepages")?);
        let missing = (pages + SPARE).saturating_sub(available);
        if missing > 0 {
            let wanted = pool::read("nr_hugepages")? + missing;
            pool::set(wanted)?;
            let got = pool::read("nr_hugepages")?;
            ensure!(
                got >= wanted,
                "this machine has no memory for a pool of {wanted} huge pages, only for {got}"
            );
        }
        Ok(())
    }

    /// Removes what is left of our cgroups, and gives the pool the size that it had. A second time it does nothing.
    pub fn put_back(&self) -> anyhow::Result<()> {
        pod::remove_leftovers(&self.hierarchy)?;
        pool::put_back()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            eprintln!("hugetlb-exporter: {error:#}");
        }
    }
}
