//! Whether huge pages count as memory: the mount options of the hierarchy, from mountinfo.
//!
//! ```text
//! 29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_hugetlb_accounting
//! ```
//!
//! The kernel keeps this option once for all cgroup2 mounts, so that of a container's own mount is the host's. A remount on the
//! host does not wake who polls a container's mountinfo (POLLPRI comes from the mount namespace of the mount that was
//! remounted), so the file is read again and again: up to the line that matters, which on a host is among the first.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::{mountinfo, unescape};
use crate::snapshot::{
    ACCOUNTING_OPTION, CgroupMount, CgroupVersion, Hierarchy, MemoryAccounting, Problems,
};
use crate::sources::Roots;

/// So often it is looked for. With the longest default interval between polls, 6 s, a remount is seen within 30 s.
const AGAIN: Duration = Duration::from_secs(20);

/// What was found last, and when.
#[derive(Debug, Default)]
pub(in crate::sources) struct Accounting {
    found: MemoryAccounting,
    looked: Option<Duration>,
    /// Why it is not known, if that is a fault.
    failure: Option<String>,
}

impl Accounting {
    /// What was found last.
    pub(in crate::sources) fn found(&self) -> &MemoryAccounting {
        &self.found
    }

    /// Looks again if it is time.
    pub(in crate::sources) fn look(
        &mut self,
        roots: &Roots,
        hierarchy: Option<&Hierarchy>,
        now: Duration,
        problems: &mut Problems,
    ) {
        if self.looked.is_none_or(|looked| now.saturating_sub(looked) >= AGAIN) {
            self.looked = Some(now);
            (self.found, self.failure) = match hierarchy.map(|hierarchy| of(roots, hierarchy)) {
                Some(Ok(found)) => (found, None),
                Some(Err(failure)) => (MemoryAccounting::Unknown, Some(failure)),
                None => (MemoryAccounting::Off, None),
            };
        }
        self.failure.iter().for_each(|failure| problems.add(|| failure.clone()));
    }

    /// Has it looked for at the next opportunity: the hierarchy is another one.
    pub(in crate::sources) fn forget(&mut self) {
        self.looked = None;
    }
}

fn of(roots: &Roots, hierarchy: &Hierarchy) -> Result<MemoryAccounting, String> {
    if hierarchy.version == CgroupVersion::V1 {
        return Ok(MemoryAccounting::Off);
    }
    let file = mountinfo(roots);
    let can_not_read = |error| format!("can't read {}: {error}", file.display());
    // mountinfo has no symbolic links in it.
    let root = fs::canonicalize(&hierarchy.root).unwrap_or_else(|_| hierarchy.root.clone());
    let mount = match mount_of(&file, &root) {
        // A procfs of one's own, without the one who looks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        mount => mount.map_err(can_not_read)?,
    };
    Ok(match mount {
        None => MemoryAccounting::Unknown,
        Some(mount) if !mount.options.iter().any(|option| option == ACCOUNTING_OPTION) => {
            MemoryAccounting::Off
        }
        // What counts as memory counts where the memory controller is.
        Some(_) if !has_memory_controller(&root) => MemoryAccounting::Off,
        Some(mount) => MemoryAccounting::On(mount),
    })
}

/// The first cgroup2 mount that a directory is in.
fn mount_of(mountinfo: &Path, directory: &Path) -> io::Result<Option<CgroupMount>> {
    let mut lines = BufReader::new(File::open(mountinfo)?).split(b'\n');
    let found = lines.find_map(|line| match line {
        Ok(line) => mount(&String::from_utf8_lossy(&line), directory).map(Ok),
        Err(error) => Some(Err(error)),
    });
    found.transpose()
}

fn mount(line: &str, directory: &Path) -> Option<CgroupMount> {
    let (mount, file_system) = line.split_once(" - cgroup2 ")?;
    let mut mount = mount.split(' ').skip(4);
    let (point, of_mount) = (unescape(mount.next()?), mount.next()?);
    let of_file_system = file_system.split_once(' ')?.1;
    let options = of_mount.split(',').chain(of_file_system.split(',')).map(str::to_owned);
    directory.starts_with(&point).then(|| CgroupMount { point, options: options.collect() })
}

fn has_memory_controller(root: &Path) -> bool {
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    controllers.split_ascii_whitespace().any(|name| name == "memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot,memory_hugetlb_accounting";

    fn found(line: &str, directory: &str) -> Option<String> {
        mount(line, Path::new(directory)).map(|it| format!("{} {}", it.point, it.options.join(",")))
    }

    #[test]
    fn the_mount_that_a_directory_is_in_tells() {
        let all = "/sys/fs/cgroup rw,nosuid,nodev,noexec,relatime,rw,nsdelegate,memory_recursiveprot,memory_hugetlb_accounting";
        assert_eq!(found(HOST, "/sys/fs/cgroup").as_deref(), Some(all));
        assert_eq!(found(HOST, "/sys/fs/cgroup/kubepods.slice").as_deref(), Some(all));
        assert_eq!(found(HOST, "/sys/fs/cgroups"), None, "another's name begins like it");
        let spaced = "9 1 0:26 /../.. /a\\040b ro - cgroup2 cgroup2 rw";
        assert_eq!(found(spaced, "/a b").as_deref(), Some("/a b ro,rw"));
        for line in
            ["", " - cgroup2 ", "1 2 3 4 /a - cgroup2 cgroup2", "1 0 0:1 / / rw - ext4 x rw"]
        {
            assert_eq!(found(line, "/a"), None, "{line:?}");
        }
    }
}
