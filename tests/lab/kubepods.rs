//! Pods as kubelet and runtime make them: cgroups, limits, and the log directories that name them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::{self, Agent, Start};

/// What the kubelet writes for "unlimited".
const UNBOUNDED: u64 = 1 << 62;

/// How kubelet and runtime name cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// `kubepods/burstable/pod<uid>/<id>`
    Cgroupfs,
    /// `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope`
    Systemd,
}

/// A kubelet's tree and its log directories.
pub struct Kubepods<'a> {
    lab: &'a Lab,
    driver: Driver,
    logs: tempfile::TempDir,
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

impl<'a> Kubepods<'a> {
    /// An empty kubepods with its burstable tier.
    pub fn new(lab: &'a Lab, driver: Driver) -> Self {
        let paths = match driver {
            Driver::Cgroupfs => ["kubepods", "kubepods/burstable"],
            Driver::Systemd => ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"],
        };
        let tiers = paths.map(|path| (path, Cgroup::new(lab, path)));
        for (_, tier) in &tiers {
            tier.set("2MB", UNBOUNDED);
        }
        let logs = tempfile::tempdir().expect("a directory");
        fs::create_dir(logs.path().join("pods")).expect("made");
        fs::create_dir(logs.path().join("containers")).expect("made");
        readable_for_all(logs.path());
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
        let path = match self.driver {
            Driver::Cgroupfs => format!("{tier}/pod{uid}"),
            Driver::Systemd => {
                let prefix = tier.rsplit('/').next().unwrap_or_default().trim_end_matches(".slice");
                format!("{tier}/{prefix}-pod{}.slice", uid.replace('-', "_"))
            }
        };
        let cgroup = Cgroup::new(self.lab, &path);
        cgroup.set("2MB", UNBOUNDED);
        cgroup.set("1GB", 0);
        fs::create_dir(self.logs.path().join(format!("pods/lab_{name}_{uid}"))).expect("made");
        Pod { name: name.to_owned(), uid, cgroup, path }
    }

    /// A container of a pod's: its cgroup, unlimited until told otherwise, and the kubelet's link.
    pub fn container(&self, pod: &Pod, name: &str, id: &str, attempt: u32) -> Cgroup {
        let cgroup = Cgroup::new(self.lab, &self.container_path(pod, id));
        self.name(pod, name, id, attempt);
        cgroup
    }

    /// Where a container's cgroup is, below the hierarchy's root.
    pub fn container_path(&self, pod: &Pod, id: &str) -> String {
        match self.driver {
            Driver::Cgroupfs => format!("{}/{id}", pod.path),
            Driver::Systemd => format!("{}/cri-containerd-{id}.scope", pod.path),
        }
    }

    /// The kubelet's link for a container.
    pub fn name(&self, pod: &Pod, name: &str, id: &str, attempt: u32) {
        let directory = format!("lab_{}_{}/{name}", pod.name, pod.uid);
        fs::create_dir_all(self.logs.path().join("pods").join(&directory)).expect("made");
        let target = format!("/var/log/pods/{directory}/{attempt}.log");
        symlink(target, self.link(pod, name, id)).expect("linked");
    }

    /// Takes the kubelet's link for a container away.
    pub fn unname(&self, pod: &Pod, name: &str, id: &str) {
        fs::remove_file(self.link(pod, name, id)).expect("unlinked");
    }

    /// Takes a pod's log directory away.
    pub fn remove_logs(&self, pod: &Pod) {
        let directory = format!("pods/lab_{}_{}", pod.name, pod.uid);
        fs::remove_dir_all(self.logs.path().join(directory)).expect("removed");
    }

    fn link(&self, pod: &Pod, name: &str, id: &str) -> PathBuf {
        self.logs.path().join(format!("containers/{}_lab_{name}-{id}.log", pod.name))
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

fn readable_for_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("readable");
}
