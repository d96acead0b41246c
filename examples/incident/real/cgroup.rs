//! A pod with one container, as kubelet and runtime would make them: cgroups, limits, and the directories that name them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::host::cgroups;
use super::host::hierarchy::Hierarchy;

/// Whatever of it a killed run leaves, the lab removes too: it begins with `lab-`.
const TOP: &str = "lab-incident";
const UID: &str = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
const ID: &str = "db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db00";
/// What the kubelet writes for "unlimited".
const UNBOUNDED: u64 = 1 << 62;

/// The pod; it goes when it is dropped.
#[derive(Debug)]
pub struct Pod {
    hierarchy: Hierarchy,
    logs: tempfile::TempDir,
    /// Whether the controller was off for the root's children, and so shall be again.
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
        self.limit(limit)
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

    /// What makes the agent know its name.
    pub fn flags(&self) -> [String; 2] {
        let logs = self.logs.path().display();
        [format!("--path.pod-logs={logs}/pods"), format!("--path.container-logs={logs}/containers")]
    }

    /// Sets what pod and container may touch, in pages of 2 MiB.
    pub fn limit(&self, pages: u64) -> anyhow::Result<()> {
        write(&self.limit_of(&self.pod()), pages << 21)?;
        write(&self.limit_of(&self.container()), pages << 21)
    }

    /// Puts a process into the container.
    pub fn add(&self, pid: u32) -> anyhow::Result<()> {
        write(&self.container().join("cgroup.procs"), pid)
    }

    /// What the container has touched, in pages.
    pub fn used(&self) -> anyhow::Result<u64> {
        self.pages("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes")
    }

    /// What it has mapped, in pages.
    pub fn reserved(&self) -> anyhow::Result<u64> {
        self.pages("hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes")
    }

    fn pages(&self, v2: &str, v1: &str) -> anyhow::Result<u64> {
        let path = self.container().join(if self.hierarchy.v1 { v1 } else { v2 });
        let text = fs::read_to_string(&path)
            .with_context(|| format!("can't read {} (Linux 5.7 is needed)", path.display()))?;
        let bytes: u64 = text.trim().parse().context("a figure of the kernel's is no number")?;
        Ok(bytes >> 21)
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

    /// Removes all of it. Done twice, it is done once.
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
            eprintln!("incident: {error:#}");
        }
    }
}

/// Removes what a killed run left.
pub fn remove_leftovers(hierarchy: &Hierarchy) -> anyhow::Result<()> {
    cgroups::remove(&hierarchy.root.join(TOP))
}

fn write(path: &Path, value: impl std::fmt::Display) -> anyhow::Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("can't write {}", path.display()))
}
