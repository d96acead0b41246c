//! Finding the hierarchy that has the hugetlb controller.
//!
//! The controller is bound to one hierarchy: v2, v2 below a tree of v1 mounts ("hybrid",
//! `/sys/fs/cgroup/unified`), or a v1 mount of its own. mountinfo names the candidates and the file system
//! itself decides, since neither is enough alone: a v2 mount may lack the controller, and in a container
//! `/sys/fs/cgroup` is only its own corner.
//!
//! ```text
//! 38 31 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
//! 42 31 0:41 / /sys/fs/cgroup/hugetlb rw,relatime - cgroup cgroup rw,hugetlb
//! ```

mod accounting;
pub(super) mod corner;
mod own;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub(super) use accounting::Accounting;
pub(super) use own::Own;
use procfs::process::MountInfo;

use crate::snapshot::{CgroupVersion, Health, Hierarchy, Problems};
use crate::sources::Roots;

/// The hierarchy, or a problem that says what is missing.
pub(super) fn find(
    roots: &Roots,
    mounted: &io::Result<Mounted>,
    problems: &mut Problems,
) -> Option<Hierarchy> {
    let mut unread = Problems::default();
    let (candidates, none) = match &roots.cgroup {
        Some(directory) => {
            let below = format!("no hugetlb controller below {}", directory.display());
            (below_directory(directory, &mut unread), below)
        }
        None => {
            let mountinfo = mountinfo(roots);
            let mounted = match mounted {
                Ok(mounted) => mounted,
                Err(error) => {
                    problems.add(|| format!("can't read {}: {error}", mountinfo.display()));
                    return None;
                }
            };
            if !mounted.any_cgroups {
                let shown = mountinfo.display();
                unread.add(|| format!("no cgroup hierarchy is mounted, says {shown}"));
            }
            (
                widest_first(&mounted.mounts),
                "no mounted cgroup hierarchy has the hugetlb controller".to_owned(),
            )
        }
    };
    let found = candidates.iter().find(|hierarchy| has_hugetlb(hierarchy, &mut unread)).cloned();
    if found.is_none() {
        // Perhaps the controller is not passed down to it.
        if let Some(widest) = candidates.iter().find(|hierarchy| corner::is_unified(hierarchy))
            && corner::is_corner(widest)
        {
            unread.add(|| corner::complaint(widest));
        }
        match unread.into_health() {
            Health::Up | Health::Missing(_) => {
                problems.add_missing(|| format!("{none}: no pod is limited or shown"));
            }
            Health::Down(why) => problems.add(|| format!("no hugetlb controller is seen: {why}")),
        }
    }
    found
}

/// Where the hierarchy begins, for somebody who needs nothing else of it; or why there is none.
pub fn root(roots: &Roots) -> Result<PathBuf, String> {
    let mut problems = Problems::default();
    match find(roots, &Mounted::read(roots), &mut problems) {
        Some(hierarchy) => Ok(hierarchy.root),
        None => Err(match problems.into_health() {
            Health::Down(why) | Health::Missing(why) => why,
            Health::Up => "no hugetlb controller".to_owned(),
        }),
    }
}

/// What may be the hierarchy in a directory that somebody mounted; its own files tell.
fn below_directory(directory: &Path, unread: &mut Problems) -> Vec<Hierarchy> {
    if let Err(error) = fs::read_dir(directory) {
        unread.add(|| format!("can't read {}: {error}", directory.display()));
    } else if !is_cgroup_file_system(directory) {
        unread.add(|| format!("{} is no cgroup file system", directory.display()));
    }
    let candidates = [
        (CgroupVersion::V2, directory.to_owned()),
        (CgroupVersion::V1, directory.join("hugetlb")),
        (CgroupVersion::V1, directory.to_owned()),
        (CgroupVersion::V2, directory.join("unified")),
    ];
    let joined = joined(directory).into_iter().map(|root| (CgroupVersion::V1, root));
    let candidates = candidates.into_iter().chain(joined);
    candidates.map(|(version, root)| Hierarchy { version, root }).collect()
}

/// Controllers of v1 that are mounted together, `cpu,cpuacct,hugetlb`, in order.
fn joined(directory: &Path) -> Vec<PathBuf> {
    let is_ours = |name: &str| name.contains(',') && name.split(',').any(|one| one == "hugetlb");
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

/// Whether a directory, or one below it (v1 has a mount for each controller), has the files of a cgroup.
fn is_cgroup_file_system(directory: &Path) -> bool {
    let is_cgroup = |at: &Path| {
        ["cgroup.controllers", "cgroup.procs"].iter().any(|file| at.join(file).exists())
    };
    let entries = fs::read_dir(directory).into_iter().flatten();
    is_cgroup(directory) || entries.filter_map(Result::ok).any(|entry| is_cgroup(&entry.path()))
}

fn mountinfo(roots: &Roots) -> PathBuf {
    roots.proc.join("self/mountinfo")
}

/// The widest view first, and of several the usual one: Cilium and Calico have mounts of their own, which they may want to
/// remove. Of mounts one above the other the later one is seen.
fn widest_first(mounts: &[Mount]) -> Vec<Hierarchy> {
    let mut mounts: Vec<&Mount> = mounts.iter().rev().collect();
    mounts.sort_by_key(|mount| (mount.depth, !is_usual(&mount.hierarchy.root)));
    mounts.into_iter().map(|mount| mount.hierarchy.clone()).collect()
}

/// `/sys/fs/cgroup`, or one below it; in a container the host's may be anywhere, `/host/sys/fs/cgroup`.
fn is_usual(root: &Path) -> bool {
    root.to_str().is_some_and(|root| root.contains("/sys/fs/cgroup"))
}

/// What mountinfo tells.
pub(super) struct Mounted {
    /// Every mount of a hierarchy that may have the controller, in its order.
    pub(super) mounts: Vec<Mount>,
    /// Whether any hierarchy is mounted.
    any_cgroups: bool,
}

impl Mounted {
    /// Line by line, so that one that is not understood (anyone may mount a strange name) costs only itself.
    pub(super) fn read(roots: &Roots) -> io::Result<Self> {
        let text = fs::read(mountinfo(roots))?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().filter(|line| line.contains(" - cgroup")).peekable();
        let any_cgroups = lines.peek().is_some();
        let mounts = lines.filter_map(|line| Mount::of(&MountInfo::from_line(line).ok()?));
        Ok(Self { mounts: mounts.collect(), any_cgroups })
    }
}

/// A mount that may be it.
pub(super) struct Mount {
    /// Its version, and where it is mounted.
    pub(super) hierarchy: Hierarchy,
    /// Where in the hierarchy it begins, as seen from our cgroup namespace.
    pub(super) begins: String,
    /// How far below the hierarchy's root that is. In a private cgroup namespace the host's own mount
    /// begins at `/../../..`.
    depth: i64,
}

impl Mount {
    fn of(mount: &MountInfo) -> Option<Self> {
        let version = match mount.fs_type.as_str() {
            "cgroup" if mount.super_options.contains_key("hugetlb") => CgroupVersion::V1,
            "cgroup2" => CgroupVersion::V2,
            _ => return None,
        };
        let depth = mount.root.split('/').map(|component| match component {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        });
        let root = unescape(mount.mount_point.to_str()?);
        Some(Self {
            hierarchy: Hierarchy { version, root: root.into() },
            begins: unescape(&mount.root),
            depth: depth.sum(),
        })
    }
}

/// mountinfo writes space, tab, newline and backslash as `\040`, `\011`, `\012`, `\134`.
fn unescape(text: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn has_hugetlb(hierarchy: &Hierarchy, unread: &mut Problems) -> bool {
    match hierarchy.version {
        CgroupVersion::V1 => has_v1_files(&hierarchy.root, unread),
        CgroupVersion::V2 => has_controller(&hierarchy.root, unread),
    }
}

/// v2: `cgroup.controllers` lists the controllers that this hierarchy has, `cpuset cpu io memory hugetlb pids`.
fn has_controller(root: &Path, unread: &mut Problems) -> bool {
    let file = root.join("cgroup.controllers");
    let controllers = read(&file, unread, fs::read_to_string).unwrap_or_default();
    controllers.split_ascii_whitespace().any(|name| name == "hugetlb")
}

/// v1: every cgroup, the root too, has `hugetlb.2MB.limit_in_bytes` and its like.
fn has_v1_files(root: &Path, unread: &mut Problems) -> bool {
    let is_limit = |name: &str| name.starts_with("hugetlb.") && name.ends_with(".limit_in_bytes");
    let entries = read(root, unread, fs::read_dir);
    entries.is_some_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_limit)))
    })
}

/// What is not there is no problem; what is there and can't be read is one.
fn read<'a, T>(
    path: &'a Path,
    unread: &mut Problems,
    read: impl FnOnce(&'a Path) -> io::Result<T>,
) -> Option<T> {
    match read(path) {
        Ok(found) => Some(found),
        Err(error) => {
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                unread.add(|| format!("can't read {}: {error}", path.display()));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests;
