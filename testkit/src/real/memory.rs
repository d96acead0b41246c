//! A cgroup of its own for an agent whose memory is measured.

use std::fs;
use std::path::{Path, PathBuf};

use hugetlb_exporter::host::cgroups;
use procfs::process::Process;

/// What a killed run leaves of it, the lab removes too: it begins with `lab-`.
const NAME: &str = "lab-bench-agent";

/// It goes when it is dropped.
pub struct MemoryCgroup {
    directory: PathBuf,
    v1: bool,
}

impl MemoryCgroup {
    /// A new one; nothing where the memory controller is not to be had.
    pub fn make() -> Option<Self> {
        let (root, v1) = hierarchy()?;
        let directory = root.join(NAME);
        fs::create_dir(&directory).ok()?;
        Some(Self { directory, v1 })
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel's memory that is charged to it, in bytes.
    pub fn kernel(&self) -> Option<u64> {
        if self.v1 {
            return self.read("memory.kmem.usage_in_bytes")?.trim().parse().ok();
        }
        let stat = self.read("memory.stat")?;
        stat.lines().find_map(|line| line.strip_prefix("kernel "))?.parse().ok()
    }

    /// All that is charged to it, in bytes.
    pub fn charged(&self) -> Option<u64> {
        let name = if self.v1 { "memory.usage_in_bytes" } else { "memory.current" };
        self.read(name)?.trim().parse().ok()
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(file)).ok()
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        if let Err(error) = cgroups::remove(&self.directory) {
            eprintln!("{error:#}");
        }
    }
}

/// Removes one that a killed run left.
pub fn remove_left() -> anyhow::Result<()> {
    hierarchy().map_or(Ok(()), |(root, _)| cgroups::remove(&root.join(NAME)))
}

/// The root of the hierarchy that charges memory, and whether it is v1's.
fn hierarchy() -> Option<(PathBuf, bool)> {
    let mounts = Process::myself().and_then(|process| process.mountinfo()).ok()?;
    mounts.0.into_iter().find_map(|mount| {
        let v1 = mount.fs_type == "cgroup" && mount.super_options.contains_key("memory");
        let given = fs::read_to_string(mount.mount_point.join("cgroup.subtree_control"));
        let v2 = mount.fs_type == "cgroup2"
            && given.is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"));
        (v1 || v2).then_some((mount.mount_point, v1))
    })
}
