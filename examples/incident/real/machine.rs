//! The machine: whether it will do, its pool, and putting that back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use procfs::process::{MountInfo, Process};

use super::cgroup;

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// Shared with tests/lab: one of us has the machine, and each undoes what a killed one left.
const LOCK: &str = "/run/hugetlb-exporter-lab.lock";
/// The size of the pool before we came; there while we are.
const RECORD: &str = "/run/hugetlb-exporter-lab.pool";
/// Others may want a page meanwhile, and so does initdb.
const SPARE: u64 = 20;

/// Where the hugetlb controller is.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    pub root: PathBuf,
    pub v1: bool,
}

/// The machine while we have it.
#[derive(Debug)]
pub struct Machine {
    hierarchy: Hierarchy,
    _lock: Flock<File>,
}

impl Machine {
    /// Takes it, if it will do and nobody else has it.
    pub fn take() -> anyhow::Result<Self> {
        ensure!(
            geteuid().is_root(),
            "--real wants root: it sets the pool's size and makes cgroups"
        );
        ensure!(Path::new(POOL).exists(), "this kernel has no huge pages of 2 MiB");
        let hierarchy = Hierarchy::find()?;
        let file = File::create(LOCK).with_context(|| format!("can't make {LOCK}"))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                bail!(
                    "the lab or another demonstration has this machine ({LOCK} is held); try again when it is over"
                )
            }
            Err((_, error)) => return Err(error).with_context(|| format!("can't lock {LOCK}")),
        };
        cgroup::remove_leftovers(&hierarchy)?;
        for name in ["kubepods", "kubepods.slice"] {
            let kubelet = hierarchy.root.join(name);
            ensure!(
                !kubelet.exists(),
                "{} is there: the demonstration wants a machine without a kubelet",
                kubelet.display()
            );
        }
        if !Path::new(RECORD).exists() {
            fs::write(RECORD, read("nr_hugepages")?.to_string())
                .with_context(|| format!("can't write {RECORD}"))?;
        }
        Ok(Self { hierarchy, _lock: lock })
    }

    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Makes the pool large enough for so many pages and a few more.
    pub fn have_available(&self, pages: u64) -> anyhow::Result<()> {
        let available = read("free_hugepages")?.saturating_sub(read("resv_hugepages")?);
        let missing = (pages + SPARE).saturating_sub(available);
        if missing > 0 {
            let wanted = read("nr_hugepages")? + missing;
            set_pool(wanted)?;
            let got = read("nr_hugepages")?;
            ensure!(
                got >= wanted,
                "this machine has no memory for a pool of {wanted} huge pages, only for {got}"
            );
        }
        Ok(())
    }

    /// Removes our cgroups, should any be left, and gives the pool the size that it had. Done twice, it is done once.
    pub fn put_back(&self) -> anyhow::Result<()> {
        cgroup::remove_leftovers(&self.hierarchy)?;
        if let Ok(before) = fs::read_to_string(RECORD) {
            set_pool(before.trim().parse().with_context(|| format!("{RECORD} has no number"))?)?;
            fs::remove_file(RECORD).with_context(|| format!("can't remove {RECORD}"))?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            eprintln!("incident: {error:#}");
        }
    }
}

impl Hierarchy {
    fn find() -> anyhow::Result<Self> {
        let mounts = Process::myself().and_then(|process| process.mountinfo());
        let mounts = mounts.context("can't read the mounts")?;
        let found = mounts.0.into_iter().find_map(|mount| {
            let v1 = mount.fs_type == "cgroup" && mount.super_options.contains_key("hugetlb");
            (v1 || has_hugetlb(&mount)).then_some(Self { root: mount.mount_point, v1 })
        });
        found.context(
            "no cgroup hierarchy with hugetlb is mounted: the kernel wants CONFIG_CGROUP_HUGETLB",
        )
    }
}

/// Whether that is cgroup v2, and has the controller.
fn has_hugetlb(mount: &MountInfo) -> bool {
    let controllers = fs::read_to_string(mount.mount_point.join("cgroup.controllers"));
    mount.fs_type == "cgroup2"
        && controllers.is_ok_and(|text| text.split_whitespace().any(|name| name == "hugetlb"))
}

fn read(name: &str) -> anyhow::Result<u64> {
    let path = Path::new(POOL).join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} has no number", path.display()))
}

fn set_pool(pages: u64) -> anyhow::Result<()> {
    let path = Path::new(POOL).join("nr_hugepages");
    fs::write(&path, pages.to_string()).with_context(|| format!("can't write {}", path.display()))
}
