//! The stage made of files: a node with one pod, as sysfs, procfs and cgroup v2 show it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tempfile::TempDir;

use super::pace::Pace;
use super::stage::{Figures, PAGE, Stage};
use super::{Config, Show};
use crate::sources::Roots;

/// The pool, in pages.
const POOL: u64 = 500;
/// What the pod may touch.
const GRANT: u64 = 64;
/// What the server maps, and what it touches as it starts.
const MAPS: u64 = 140;
const TOUCHES_AT_ONCE: u64 = 12;

const UID: &str = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
const CONTAINER: &str = "aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567";
const SANDBOX: &str = "bbbbbbbb0123456789abcdef0123456789abcdef0123456789abcdef01234567";
/// What the kubelet writes for "unlimited".
const UNBOUNDED: u64 = 1 << 62;

/// Replays it.
pub fn run(show: Show) -> anyhow::Result<ExitCode> {
    let node = Node::make().context("can't make the files of a node")?;
    let name = show.config.node_name.or(Some("node-1".to_owned()));
    let config = Config { roots: node.roots(), node_name: name, ..show.config };
    let seconds = show.demo.length.as_secs();
    let setting = format!("A node with one database, replayed in about {seconds} s");
    Show { config, ..show }.run(&setting, node)
}

/// The files, and what they say.
pub struct Node {
    directory: TempDir,
    now: Figures,
}

impl Node {
    /// A node on which nothing has happened yet.
    pub fn make() -> anyhow::Result<Self> {
        let now = Figures {
            limit: GRANT,
            reserved: 0,
            used: 0,
            refusals: 0,
            pool_free: POOL,
            pool_reserved: 0,
        };
        let node = Self { directory: directory()?, now };
        node.write_what_stays()?;
        node.write()?;
        Ok(node)
    }

    fn below(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Where its files are.
    pub fn roots(&self) -> Roots {
        Roots {
            proc: self.below("proc"),
            sys: self.below("sys"),
            cgroup: None,
            pod_logs: self.below("var/log/pods"),
            container_logs: self.below("var/log/containers"),
        }
    }

    /// What the story does not change.
    fn write_what_stays(&self) -> anyhow::Result<()> {
        let cgroupfs = self.below("sys/fs/cgroup");
        write(&cgroupfs, "cgroup.controllers", "cpuset cpu io memory hugetlb pids")?;
        let mount = format!(
            "30 23 0:26 / {} rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate",
            cgroupfs.display()
        );
        write(&self.below("proc/self"), "mountinfo", mount)?;
        let kilobytes = (POOL * PAGE) >> 10;
        let meminfo =
            format!("MemTotal: 24576000 kB\nHugepagesize: 2048 kB\nHugetlb: {kilobytes} kB");
        write(&self.below("proc"), "meminfo", meminfo)?;
        let vmstat = format!("htlb_buddy_alloc_success {POOL}\nhtlb_buddy_alloc_fail 0");
        write(&self.below("proc"), "vmstat", vmstat)?;
        for pool in self.pools() {
            write(&pool, "nr_hugepages", POOL)?;
            write(&pool, "surplus_hugepages", 0)?;
        }
        write(&self.pools()[0], "nr_overcommit_hugepages", 0)?;
        for cgroup in self.tiers() {
            write(&cgroup, "hugetlb.2MB.max", UNBOUNDED)?;
        }
        for cgroup in self.cgroups() {
            write(&cgroup, "hugetlb.2MB.rsvd.max", "max")?;
        }
        let sandbox = self.pod().join(format!("cri-containerd-{SANDBOX}.scope"));
        for (name, value) in [
            ("current", "0"),
            ("max", "max"),
            ("events", "max 0"),
            ("events.local", "max 0"),
            ("rsvd.current", "0"),
            ("rsvd.max", "max"),
        ] {
            write(&sandbox, &format!("hugetlb.2MB.{name}"), value)?;
        }
        let log = format!("var/log/pods/prod_db-0_{UID}/postgres");
        fs::create_dir_all(self.below(&log))?;
        fs::create_dir_all(self.below("var/log/containers"))?;
        let link = self.below(&format!("var/log/containers/db-0_prod_postgres-{CONTAINER}.log"));
        symlink(format!("/{log}/0.log"), link)?;
        Ok(())
    }

    /// What it does.
    fn write(&self) -> anyhow::Result<()> {
        let Figures { limit, reserved, used, refusals, pool_free, pool_reserved } = self.now;
        for cgroup in self.cgroups() {
            write(&cgroup, "hugetlb.2MB.rsvd.current", reserved * PAGE)?;
            write(&cgroup, "hugetlb.2MB.current", used * PAGE)?;
            write(&cgroup, "hugetlb.2MB.events", format!("max {refusals}"))?;
            let local = if cgroup == self.container() { refusals } else { 0 };
            write(&cgroup, "hugetlb.2MB.events.local", format!("max {local}"))?;
        }
        for cgroup in [self.pod(), self.container()] {
            write(&cgroup, "hugetlb.2MB.max", limit * PAGE)?;
            let used = used * PAGE;
            write(&cgroup, "hugetlb.2MB.numa_stat", format!("total={used} N0={used}"))?;
        }
        for pool in self.pools() {
            write(&pool, "free_hugepages", pool_free)?;
        }
        write(&self.pools()[0], "resv_hugepages", pool_reserved)
    }

    /// The node's pool, and that of its only NUMA node.
    fn pools(&self) -> [PathBuf; 2] {
        ["sys/kernel/mm", "sys/devices/system/node/node0"]
            .map(|path| self.below(path).join("hugepages/hugepages-2048kB"))
    }

    fn tiers(&self) -> [PathBuf; 2] {
        let kubepods = self.below("sys/fs/cgroup/kubepods.slice");
        let burstable = kubepods.join("kubepods-burstable.slice");
        [kubepods, burstable]
    }

    fn pod(&self) -> PathBuf {
        let [_, burstable] = self.tiers();
        burstable.join(format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_")))
    }

    fn container(&self) -> PathBuf {
        self.pod().join(format!("cri-containerd-{CONTAINER}.scope"))
    }

    fn cgroups(&self) -> [PathBuf; 4] {
        let [kubepods, burstable] = self.tiers();
        [kubepods, burstable, self.pod(), self.container()]
    }

    fn maps_and_has_touched(&mut self, touched: u64) -> anyhow::Result<()> {
        self.now.reserved = MAPS;
        self.now.used = touched;
        self.now.pool_free = POOL - touched;
        self.now.pool_reserved = MAPS - touched;
        self.write()
    }
}

impl Stage for Node {
    fn database(&self) -> &'static str {
        "PostgreSQL"
    }

    fn namespace(&self) -> &'static str {
        "prod"
    }

    fn figures(&self) -> anyhow::Result<Figures> {
        Ok(self.now)
    }

    fn start(&mut self, _: &Pace) -> anyhow::Result<()> {
        self.maps_and_has_touched(TOUCHES_AT_ONCE)
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        let wanted = (self.now.used + (mebibytes << 20) / PAGE).min(MAPS);
        let touched = wanted.min(self.now.limit);
        self.maps_and_has_touched(touched)?;
        Ok(touched < wanted)
    }

    fn recover(&mut self, _: &Pace) -> anyhow::Result<Option<String>> {
        self.now.refusals += 1;
        self.maps_and_has_touched(TOUCHES_AT_ONCE)?;
        Ok(None)
    }

    fn set_limit(&mut self, pages: u64) -> anyhow::Result<()> {
        self.now.limit = pages;
        self.write()
    }
}

/// A directory that goes with the demonstration. An image has no /tmp; /dev/shm is in every container.
fn directory() -> std::io::Result<TempDir> {
    let new = |parent: &Path| tempfile::Builder::new().prefix("hugetlb-demo-").tempdir_in(parent);
    new(&std::env::temp_dir()).or_else(|_| new(Path::new("/dev/shm")))
}

/// Replaces a file in one step: a reader sees the old or the new one whole.
fn write(directory: &Path, name: &str, value: impl std::fmt::Display) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let written = directory.join(format!(".{name}"));
    fs::write(&written, format!("{value}\n"))?;
    fs::rename(written, directory.join(name))?;
    Ok(())
}
