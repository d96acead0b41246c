//! Pods as kubelet and runtime make them: cgroups, limits, and the log directories that name them.

use std::process::Command;

pub use hugetlb_exporter::host::kubepods::Driver;
use hugetlb_exporter::host::kubepods::{Logs, Named, UNBOUNDED};

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::{self, Agent, Start};

/// A kubelet's tree and its log directories.
pub struct Kubepods<'a> {
    lab: &'a Lab,
    driver: Driver,
    logs: Logs,
    /// With their paths below the hierarchy's root, parents first.
    tiers: Vec<(&'static str, Cgroup)>,
}

/// A Burstable pod.
pub struct Pod {
    /// Its name, in namespace `lab`.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its cgroup.
    pub cgroup: Cgroup,
    path: String,
}

impl Pod {
    fn named(&self) -> Named<'_> {
        Named { namespace: "lab", name: &self.name, uid: &self.uid }
    }
}

impl<'a> Kubepods<'a> {
    /// An empty kubepods with its burstable tier.
    pub fn new(lab: &'a Lab, driver: Driver) -> Self {
        let tiers = driver.tiers().map(|path| (path, Cgroup::new(lab, path)));
        for (_, tier) in &tiers {
            tier.set("2MB", UNBOUNDED);
        }
        let logs = Logs::make().expect("log directories");
        Self { lab, driver, logs, tiers: tiers.into() }
    }

    /// Where it is.
    pub fn lab(&self) -> &'a Lab {
        self.lab
    }

    /// A pod that may touch so many pages of 2 MiB, and none of any other size.
    pub fn pod(&self, name: &str, limit: u64) -> Pod {
        let pod = self.pod_in(self.tiers.last().map_or("", |(path, _)| path), name);
        pod.cgroup.limit(limit);
        pod
    }

    /// A pod below that tier's path, with no limit for pages of 2 MiB and none granted of any other size.
    pub fn pod_in(&self, tier: &str, name: &str) -> Pod {
        let uid = format!("{:08x}-1111-4222-8333-444444444444", fnv1a(name));
        let path = self.driver.pod(tier, &uid);
        let cgroup = Cgroup::new(self.lab, &path);
        cgroup.set("2MB", UNBOUNDED);
        cgroup.set("1GB", 0);
        let pod = Pod { name: name.to_owned(), uid, cgroup, path };
        self.logs.add_pod(pod.named()).expect("a directory");
        pod
    }

    /// A container of a pod's: its cgroup, unlimited until told otherwise, and the kubelet's link.
    pub fn container(&self, pod: &Pod, name: &str, id: &str, attempt: u32) -> Cgroup {
        let cgroup = Cgroup::new(self.lab, &self.container_path(pod, id));
        self.name(pod, name, id, attempt);
        cgroup
    }

    /// Where a container's cgroup is, below the hierarchy's root.
    pub fn container_path(&self, pod: &Pod, id: &str) -> String {
        self.driver.container(&pod.path, id)
    }

    /// The kubelet's link for a container.
    pub fn name(&self, pod: &Pod, name: &str, id: &str, attempt: u32) {
        self.logs.add_link(pod.named(), name, id, attempt).expect("a link");
    }

    /// Takes the kubelet's link for a container away.
    pub fn unname(&self, pod: &Pod, name: &str, id: &str) {
        self.logs.remove_link(pod.named(), name, id).expect("unlinked");
    }

    /// Takes a pod's log directory away.
    pub fn remove_logs(&self, pod: &Pod) {
        self.logs.remove_pod(pod.named()).expect("removed");
    }

    /// An agent that is given the log directories, and else finds everything by itself.
    pub fn agent(&self, more: &[&str]) -> Agent {
        self.start(more).go()
    }

    /// The same, not yet started.
    pub fn start(&self, more: &[&str]) -> Start {
        Start::new(&self.flags(more)).tied_to_us()
    }

    /// What `report` says of this node, and its exit code.
    pub fn report(&self) -> (String, Option<i32>) {
        let mut command = Command::new(agent::program());
        let output = command.arg("report").args(self.flags(&[])).output().expect("a report");
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).expect("text"), output.status.code())
    }

    /// What stands for the node's /var/log/pods or /var/log/containers.
    pub fn logs(&self, directory: &str) -> String {
        self.logs.path().join(directory).display().to_string()
    }

    /// What tells an agent of the log directories, and more.
    pub fn flags(&self, more: &[&str]) -> Vec<String> {
        let mut flags = vec![
            format!("--path.pod-logs={}", self.logs("pods")),
            format!("--path.container-logs={}", self.logs("containers")),
        ];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        flags
    }
}

impl Drop for Kubepods<'_> {
    fn drop(&mut self) {
        // Children before parents, whatever a failed scenario left.
        while let Some((_, tier)) = self.tiers.pop() {
            tier.remove();
        }
    }
}

/// A number that two names of a scenario's do not share.
fn fnv1a(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// An id of 64 digits that begins like this.
pub fn id(start: &str) -> String {
    format!("{start:0<64}")
}
