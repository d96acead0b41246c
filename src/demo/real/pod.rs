//! A pod with one container, as kubelet and runtime make them: cgroups, limits, and the directories that name them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::demo::stage::PAGE;
use crate::host::cgroups;
use crate::host::hierarchy::{Hierarchy, write};
use crate::host::kubepods::{Driver, Logs, Named, UNBOUNDED};
use crate::sources::Roots;

/// The lab removes what a killed run leaves: it begins with `lab-`.
const TOP: &str = "lab-demo";
pub const NAMESPACE: &str = "demo";
/// Their names and uids. The second is made by a kubelet of 1.29 or newer.
const FIRST: (&str, &str) = ("db-0", "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b");
const SECOND: (&str, &str) = ("db-1", "7a2d3b4c-5e6f-4071-9b8c-0d1e2f3a4b5c");
const CONTAINER: &str = "postgres";

/// The pod; it goes when it is dropped.
#[derive(Debug)]
pub struct Pod {
    hierarchy: Hierarchy,
    logs: Logs,
    /// Whether we have enabled the controller for the root's children.
    enabled: bool,
    name: &'static str,
    uid: &'static str,
    limits_reservations: bool,
    /// Containers made so far, each with an id of its own.
    containers: u32,
}

impl Pod {
    /// A Burstable pod that may touch so many pages of 2 MiB.
    pub fn make(hierarchy: &Hierarchy, limit: u64) -> anyhow::Result<Self> {
        let logs = Logs::make().context("can't make a directory")?;
        let (name, uid) = FIRST;
        let mut pod = Self {
            hierarchy: hierarchy.clone(),
            logs,
            enabled: false,
            name,
            uid,
            limits_reservations: false,
            containers: 1,
        };
        pod.make_cgroups()?;
        pod.set_limit(limit)?;
        pod.make_names().context("can't make the names")?;
        Ok(pod)
    }

    /// Removes it, and makes another as a kubelet of 1.29 or newer does.
    pub fn replace(&mut self, limit: u64) -> anyhow::Result<()> {
        cgroups::remove(&self.pod())?;
        self.remove_names().context("can't remove the names")?;
        (self.name, self.uid) = SECOND;
        self.limits_reservations = true;
        self.containers += 1;
        self.make_cgroups()?;
        self.set_limit(limit)?;
        self.make_names().context("can't make the names")
    }

    /// Makes its container anew, as the kubelet does after it has ended.
    pub fn restart_container(&mut self) -> anyhow::Result<()> {
        let limit = self.limit()?;
        cgroups::remove(&self.container())?;
        self.remove_names().context("can't remove the names")?;
        self.containers += 1;
        self.make_cgroups()?;
        self.set_limit(limit)?;
        self.make_names().context("can't make the names")
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Those that are missing.
    fn make_cgroups(&mut self) -> anyhow::Result<()> {
        let Hierarchy { root, v1 } = &self.hierarchy;
        let control = fs::read_to_string(root.join("cgroup.subtree_control"));
        self.enabled |= !v1 && !control.is_ok_and(|text| text.contains("hugetlb"));
        self.hierarchy.make(self.container_path())?;
        for tier in Driver::Cgroupfs.tiers() {
            write(&self.limit_of(&root.join(TOP).join(tier)), UNBOUNDED)?;
        }
        Ok(())
    }

    /// As the kubelet names pods and containers below /var/log.
    fn make_names(&self) -> io::Result<()> {
        self.logs.add_pod(self.named())?;
        self.logs.add_link(self.named(), CONTAINER, &self.id(), self.containers)
    }

    fn remove_names(&self) -> io::Result<()> {
        self.logs.remove_link(self.named(), CONTAINER, &self.id())?;
        self.logs.remove_pod(self.named())
    }

    fn named(&self) -> Named<'_> {
        Named { namespace: NAMESPACE, name: self.name, uid: self.uid }
    }

    /// These roots, with the log directories that name it.
    pub fn name_in(&self, roots: Roots) -> Roots {
        Roots { pod_logs: self.logs.pods(), container_logs: self.logs.containers(), ..roots }
    }

    /// Sets what pod and container may touch, in pages.
    pub fn set_limit(&self, pages: u64) -> anyhow::Result<()> {
        for cgroup in [self.pod(), self.container()] {
            write(&self.limit_of(&cgroup), pages * PAGE)?;
            if self.limits_reservations {
                write(&self.reservation_limit_of(&cgroup), pages * PAGE)?;
            }
        }
        Ok(())
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
        self.hierarchy.limit(cgroup, "2MB")
    }

    fn reservation_limit_of(&self, cgroup: &Path) -> PathBuf {
        self.hierarchy.limit(cgroup, "2MB.rsvd")
    }

    fn pod(&self) -> PathBuf {
        self.hierarchy.root.join(self.pod_path())
    }

    fn pod_path(&self) -> String {
        let [_, tier] = Driver::Cgroupfs.tiers();
        Driver::Cgroupfs.pod(&format!("{TOP}/{tier}"), self.uid)
    }

    fn container(&self) -> PathBuf {
        self.hierarchy.root.join(self.container_path())
    }

    fn container_path(&self) -> String {
        Driver::Cgroupfs.container(&self.pod_path(), &self.id())
    }

    fn id(&self) -> String {
        format!("{:08x}b0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0db0", self.containers)
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
