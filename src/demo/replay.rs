//! The stage made of files: a node with one pod at a time, as sysfs, procfs and cgroup v2 show it.

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

const NAMESPACE: &str = "prod";
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
    pod: Pod,
    /// Containers made so far, each with an id of its own.
    containers: u32,
    /// Refusals of the node's containers, and of the pod's, also of those that are gone.
    refused_on_node: u64,
    refused_in_pod: u64,
}

/// A pod, and what its kubelet limits.
struct Pod {
    name: &'static str,
    uid: &'static str,
    limits_reservations: bool,
}

const FIRST: Pod =
    Pod { name: "db-0", uid: "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b", limits_reservations: false };

/// Made by a kubelet of 1.29 or newer.
const SECOND: Pod =
    Pod { name: "db-1", uid: "7a2d3b4c-5e6f-4071-9b8c-0d1e2f3a4b5c", limits_reservations: true };

/// Before the database has started.
const AT_FIRST: Figures =
    Figures { limit: GRANT, reserved: 0, used: 0, refusals: 0, pool_free: POOL, pool_reserved: 0 };

impl Node {
    /// A node on which nothing has happened yet.
    pub fn make() -> anyhow::Result<Self> {
        let node = Self {
            directory: directory()?,
            now: AT_FIRST,
            pod: FIRST,
            containers: 1,
            refused_on_node: 0,
            refused_in_pod: 0,
        };
        node.write_what_stays()?;
        node.make_pod()?;
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
            write(&cgroup, "hugetlb.2MB.rsvd.max", "max")?;
        }
        fs::create_dir_all(self.below("var/log/containers"))?;
        Ok(())
    }

    /// The pod, with its sandbox and its first container.
    fn make_pod(&self) -> anyhow::Result<()> {
        let sandbox = self.pod_cgroup().join(format!("cri-containerd-{SANDBOX}.scope"));
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
        fs::create_dir_all(self.log_directory().join("postgres"))?;
        self.link_log()?;
        self.write()
    }

    fn link_log(&self) -> anyhow::Result<()> {
        let Pod { name, uid, .. } = self.pod;
        let log =
            format!("/var/log/pods/{NAMESPACE}_{name}_{uid}/postgres/{}.log", self.containers);
        Ok(symlink(log, self.log_link())?)
    }

    fn log_directory(&self) -> PathBuf {
        let Pod { name, uid, .. } = self.pod;
        self.below(&format!("var/log/pods/{NAMESPACE}_{name}_{uid}"))
    }

    fn log_link(&self) -> PathBuf {
        let Pod { name, .. } = self.pod;
        let id = self.container_id();
        self.below(&format!("var/log/containers/{name}_{NAMESPACE}_postgres-{id}.log"))
    }

    /// What it does.
    fn write(&self) -> anyhow::Result<()> {
        let Figures { limit, reserved, used, refusals, pool_free, pool_reserved } = self.now;
        let [kubepods, burstable] = self.tiers();
        for (cgroup, refused, local) in [
            (kubepods, self.refused_on_node, 0),
            (burstable, self.refused_on_node, 0),
            (self.pod_cgroup(), self.refused_in_pod, 0),
            (self.container(), refusals, refusals),
        ] {
            write(&cgroup, "hugetlb.2MB.rsvd.current", reserved * PAGE)?;
            write(&cgroup, "hugetlb.2MB.current", used * PAGE)?;
            write(&cgroup, "hugetlb.2MB.events", format!("max {refused}"))?;
            write(&cgroup, "hugetlb.2MB.events.local", format!("max {local}"))?;
        }
        for cgroup in [self.pod_cgroup(), self.container()] {
            write(&cgroup, "hugetlb.2MB.max", limit * PAGE)?;
            if self.pod.limits_reservations {
                write(&cgroup, "hugetlb.2MB.rsvd.max", limit * PAGE)?;
            } else {
                write(&cgroup, "hugetlb.2MB.rsvd.max", "max")?;
            }
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

    fn pod_cgroup(&self) -> PathBuf {
        let [_, burstable] = self.tiers();
        burstable.join(format!("kubepods-burstable-pod{}.slice", self.pod.uid.replace('-', "_")))
    }

    fn container(&self) -> PathBuf {
        self.pod_cgroup().join(format!("cri-containerd-{}.scope", self.container_id()))
    }

    fn container_id(&self) -> String {
        format!("{:08x}aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef", self.containers)
    }

    /// Its container was refused pages once more.
    fn refuse(&mut self) {
        self.now.refusals += 1;
        self.refused_in_pod += 1;
        self.refused_on_node += 1;
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
        NAMESPACE
    }

    fn pod(&self) -> &'static str {
        self.pod.name
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
        self.refuse();
        self.maps_and_has_touched(TOUCHES_AT_ONCE)?;
        Ok(None)
    }

    fn set_limit(&mut self, pages: u64) -> anyhow::Result<()> {
        self.now.limit = pages;
        self.write()
    }

    fn make_second_pod(&mut self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.pod_cgroup())?;
        fs::remove_file(self.log_link())?;
        fs::remove_dir_all(self.log_directory())?;
        (self.now, self.pod, self.refused_in_pod) = (AT_FIRST, SECOND, 0);
        self.containers += 1;
        self.make_pod()
    }

    fn start_refused(&mut self, _: &Pace) -> anyhow::Result<Option<String>> {
        fs::remove_dir_all(self.container())?;
        fs::remove_file(self.log_link())?;
        self.containers += 1;
        self.now.refusals = 0;
        self.link_log()?;
        self.write()?;
        self.refuse();
        self.write()?;
        Ok(None)
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
