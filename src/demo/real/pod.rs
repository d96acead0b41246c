//! A pod with one container, as kubelet and runtime make them: cgroups, limits, and the directories that name them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::demo::stage::PAGE;
use crate::host::cgroups;
use crate::host::hierarchy::Hierarchy;
use crate::sources::Roots;

/// The lab removes what a killed run leaves: it begins with `lab-`.
const TOP: &str = "lab-demo";
const UID: &str = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
const ID: &str = "db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db00";
/// What the kubelet writes for "unlimited".
const UNBOUNDED: u64 = 1 << 62;

/// The pod; it goes when it is dropped.
#[derive(Debug)]
pub struct Pod {
    hierarchy: Hierarchy,
    logs: tempfile::TempDir,
    /// Whether we have enabled the controller for the root's children.
    enabled: bool,
}

impl Pod {
    /// A Burstable pod that may touch so many pages of 2 MiB.
    pub fn make(hierarchy: &Hierarchy, limit: u64) -> anyhow::Result<Self> {
        let logs = tempfile::tempdir().context("can't make a directory")?;
        let mut pod = Self { hierarchy: hierarchy.clone(), logs, enabled: false };
        pod.make_cgroups(limit)?;
        pod.make_names().context("can't make the names")?;
        Ok(pod)
    }

    fn make_cgroups(&mut self, limit: u64) -> anyhow::Result<()> {
        let mut parent = self.hierarchy.root.clone();
        for name in [TOP, "kubepods", "burstable", &format!("pod{UID}"), ID] {
            if !self.hierarchy.v1 {
                let control = parent.join("cgroup.subtree_control");
                let on = fs::read_to_string(&control).is_ok_and(|text| text.contains("hugetlb"));
                write(&control, "+hugetlb")?;
                self.enabled |= parent == self.hierarchy.root && !on;
            }
            let cgroup = parent.join(name);
            fs::create_dir(&cgroup).with_context(|| format!("can't make {}", cgroup.display()))?;
            if ["kubepods", "burstable"].contains(&name) {
                write(&self.limit_of(&cgroup), UNBOUNDED)?;
            }
            parent = cgroup;
        }
        self.set_limit(limit)
    }

    /// As the kubelet names pods and containers below /var/log.
    fn make_names(&self) -> io::Result<()> {
        let directory = format!("demo_db-0_{UID}/postgres");
        fs::create_dir_all(self.logs.path().join("pods").join(&directory))?;
        let containers = self.logs.path().join("containers");
        fs::create_dir(&containers)?;
        let link = containers.join(format!("db-0_demo_postgres-{ID}.log"));
        symlink(format!("/var/log/pods/{directory}/0.log"), link)
    }

    /// These roots, with the log directories that name it.
    pub fn name_in(&self, roots: Roots) -> Roots {
        let below = |name| self.logs.path().join(name);
        Roots { pod_logs: below("pods"), container_logs: below("containers"), ..roots }
    }

    /// Sets what pod and container may touch, in pages.
    pub fn set_limit(&self, pages: u64) -> anyhow::Result<()> {
        write(&self.limit_of(&self.pod()), pages * PAGE)?;
        write(&self.limit_of(&self.container()), pages * PAGE)
    }

    /// What the container may touch, in pages.
    pub fn limit(&self) -> anyhow::Result<u64> {
        Ok(number(&self.limit_of(&self.container()))? / PAGE)
    }

    /// Puts a process into the container.
    pub fn add(&self, pid: u32) -> anyhow::Result<()> {
        write(&self.container().join("cgroup.procs"), pid)
    }

    /// What the container has touched, in pages.
    pub fn used(&self) -> anyhow::Result<u64> {
        Ok(self.figure("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes")? / PAGE)
    }

    /// What it has mapped, in pages.
    pub fn reserved(&self) -> anyhow::Result<u64> {
        let reserved = self.figure("hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes");
        Ok(reserved.context("Linux 5.7 is needed")? / PAGE)
    }

    /// How often it was refused pages: `max N` on v2.
    pub fn refusals(&self) -> anyhow::Result<u64> {
        self.figure("hugetlb.2MB.events", "hugetlb.2MB.failcnt")
    }

    fn figure(&self, v2: &str, v1: &str) -> anyhow::Result<u64> {
        number(&self.container().join(if self.hierarchy.v1 { v1 } else { v2 }))
    }

    fn limit_of(&self, cgroup: &Path) -> PathBuf {
        let v1 = self.hierarchy.v1;
        cgroup.join(if v1 { "hugetlb.2MB.limit_in_bytes" } else { "hugetlb.2MB.max" })
    }

    fn pod(&self) -> PathBuf {
        self.hierarchy.root.join(TOP).join("kubepods/burstable").join(format!("pod{UID}"))
    }

    fn container(&self) -> PathBuf {
        self.pod().join(ID)
    }

    /// Removes all of it; a second time there is nothing left to remove.
    pub fn remove(&mut self) -> anyhow::Result<()> {
        remove_leftovers(&self.hierarchy)?;
        if self.enabled {
            write(&self.hierarchy.root.join("cgroup.subtree_control"), "-hugetlb")?;
            self.enabled = false;
        }
        Ok(())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("hugetlb-exporter: {error:#}");
        }
    }
}

/// Removes what a killed run left.
pub fn remove_leftovers(hierarchy: &Hierarchy) -> anyhow::Result<()> {
    cgroups::remove(&hierarchy.root.join(TOP))
}

/// The last number of a file.
fn number(path: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("can't read {}", path.display()))?;
    let number = text.split_whitespace().last().and_then(|word| word.parse().ok());
    number.with_context(|| format!("{} has no number", path.display()))
}

fn write(path: &Path, value: impl std::fmt::Display) -> anyhow::Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("can't write {}", path.display()))
}
