//! How kubelet and runtime lay out pods: cgroups by driver, and the log directories that name them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the kubelet writes as the limit of its tiers, in bytes: none.
pub const UNBOUNDED: u64 = 1 << 62;

/// How cgroups are called. Paths are below the hierarchy's root, or below where kubepods lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// `kubepods/burstable/pod<uid>/<id>`
    Cgroupfs,
    /// `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope`
    Systemd,
}

impl Driver {
    /// kubepods and its tier of Burstable pods.
    pub fn tiers(self) -> [&'static str; 2] {
        match self {
            Self::Cgroupfs => ["kubepods", "kubepods/burstable"],
            Self::Systemd => ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"],
        }
    }

    /// A pod in a tier.
    pub fn pod(self, tier: &str, uid: &str) -> String {
        match self {
            Self::Cgroupfs => format!("{tier}/pod{uid}"),
            Self::Systemd => {
                let prefix = tier.rsplit('/').next().unwrap_or_default().trim_end_matches(".slice");
                format!("{tier}/{prefix}-pod{}.slice", uid.replace('-', "_"))
            }
        }
    }

    /// A container of the pod at that path.
    pub fn container(self, pod: &str, id: &str) -> String {
        match self {
            Self::Cgroupfs => format!("{pod}/{id}"),
            Self::Systemd => format!("{pod}/cri-containerd-{id}.scope"),
        }
    }
}

/// Who a pod is.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

/// What stands for the node's /var/log/pods and /var/log/containers; it goes when it is dropped.
#[derive(Debug)]
pub struct Logs(TempDir);

impl Logs {
    /// Empty ones that everybody may read.
    pub fn make() -> io::Result<Self> {
        let logs = Self(tempfile::tempdir()?);
        fs::create_dir(logs.pods())?;
        fs::create_dir(logs.containers())?;
        fs::set_permissions(logs.0.path(), Permissions::from_mode(0o755))?;
        Ok(logs)
    }

    /// Where both are.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A directory for each pod.
    pub fn pods(&self) -> PathBuf {
        self.path().join("pods")
    }

    /// A link for each container.
    pub fn containers(&self) -> PathBuf {
        self.path().join("containers")
    }

    /// Makes a pod's directory.
    pub fn add_pod(&self, pod: Named<'_>) -> io::Result<()> {
        fs::create_dir_all(self.pods().join(directory(pod)))
    }

    /// Removes it.
    pub fn remove_pod(&self, pod: Named<'_>) -> io::Result<()> {
        fs::remove_dir_all(self.pods().join(directory(pod)))
    }

    /// Makes a container's link, `db-0_lab_postgres-<id>.log` to `/var/log/pods/lab_db-0_<uid>/postgres/<attempt>.log`.
    pub fn add_link(
        &self,
        pod: Named<'_>,
        container: &str,
        id: &str,
        attempt: u32,
    ) -> io::Result<()> {
        let target = format!("/var/log/pods/{}/{container}/{attempt}.log", directory(pod));
        symlink(target, self.link(pod, container, id))
    }

    /// Removes it.
    pub fn remove_link(&self, pod: Named<'_>, container: &str, id: &str) -> io::Result<()> {
        fs::remove_file(self.link(pod, container, id))
    }

    fn link(&self, pod: Named<'_>, container: &str, id: &str) -> PathBuf {
        let Named { namespace, name, .. } = pod;
        self.containers().join(format!("{name}_{namespace}_{container}-{id}.log"))
    }
}

fn directory(Named { namespace, name, uid }: Named<'_>) -> String {
    format!("{namespace}_{name}_{uid}")
}
