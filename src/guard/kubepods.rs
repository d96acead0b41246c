//! Where kubepods is, and which files its cgroups have.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::Directory;
use crate::identity::Owner;
use crate::snapshot::CgroupVersion;
use crate::sources::{Roots, hierarchy_root};
use crate::units::PageSize;

/// kubepods lies no deeper, even where the node is a container of another one's.
const DEEPEST: usize = 6;

/// kubepods' own cgroup.
#[derive(Debug, Clone)]
pub struct Kubepods {
    /// Its directory.
    pub directory: Directory,
    /// The version of its hierarchy.
    pub version: CgroupVersion,
    /// The page sizes that can be limited.
    pub sizes: Vec<PageSize>,
}

/// The one at that path, which was mounted there under its own name; or those that are found in the hierarchy.
pub fn find(roots: &Roots, told: Option<&Path>) -> Result<Vec<Kubepods>, String> {
    if let Some(path) = told {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let shown = format!("/{name}");
        if !matches!(Owner::of(&shown), Owner::Tier) {
            let path = path.display();
            return Err(format!(
                "{path} is not called as kubepods is: expected kubepods or …kubepods.slice"
            ));
        }
        return Ok(vec![open(path, shown)?]);
    }
    let root = hierarchy_root(roots)?;
    let found: Result<Vec<_>, _> =
        below(&root).into_iter().map(|(path, shown)| open(&path, shown)).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(format!("no kubepods below {}: the kubelet has made none yet", root.display()))
        }
        found => found,
    }
}

/// Every cgroup that is kubepods, with its path below the root. What is below one of them is not looked through.
fn below(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = VecDeque::from([(root.to_owned(), String::new(), 0)]);
    while let Some((path, shown, depth)) = pending.pop_front() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let shown = format!("{shown}/{name}");
            if matches!(Owner::of(&shown), Owner::Tier) {
                found.push((entry.path(), shown));
            } else if depth < DEEPEST {
                pending.push_back((entry.path(), shown, depth + 1));
            }
        }
    }
    found
}

/// Its own files tell the version and the sizes.
fn open(path: &Path, shown: String) -> Result<Kubepods, String> {
    let at = path.display().to_string();
    let unread = |error| format!("can't read {at}: {error}");
    let directory = Directory::at(path.to_owned(), shown).map_err(unread)?;
    let entries = fs::read_dir(path).map_err(unread)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<(CgroupVersion, PageSize)> = names.filter_map(|name| size(&name)).collect();
    found.sort_unstable_by_key(|(_, size)| *size);
    let Some((version, _)) = found.first().copied() else {
        return Err(format!(
            "{at} has no reservation limits (hugetlb.2MB.rsvd.max): no hugetlb controller is passed down to it, or the \
             kernel is older than 5.7"
        ));
    };
    let sizes = found.into_iter().map(|(_, size)| size).collect();
    Ok(Kubepods { directory, version, sizes })
}

/// The size whose reservation limit a file is.
fn size(name: &str) -> Option<(CgroupVersion, PageSize)> {
    let (size, rest) = name.strip_prefix("hugetlb.")?.split_once('.')?;
    let version = match rest {
        "rsvd.max" => CgroupVersion::V2,
        "rsvd.limit_in_bytes" => CgroupVersion::V1,
        _ => return None,
    };
    Some((version, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(directories: &[&str], files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for directory in directories {
            fs::create_dir_all(root.path().join(directory)).expect("made");
        }
        for file in files {
            fs::write(root.path().join(file), "0\n").expect("written");
        }
        root
    }

    #[test]
    fn only_what_is_called_kubepods_is_taken() {
        let root = tree(
            &[
                "kubepods.slice/kubepods-burstable.slice",
                "system.slice/kubelet.service",
                "docker/x/kubelet.slice/kubelet-kubepods.slice",
            ],
            &[],
        );
        let mut found: Vec<String> =
            below(root.path()).into_iter().map(|(_, shown)| shown).collect();
        found.sort();
        assert_eq!(found, ["/docker/x/kubelet.slice/kubelet-kubepods.slice", "/kubepods.slice"]);
    }

    #[test]
    fn its_files_tell_version_and_sizes() {
        for (files, version) in [
            (
                [
                    "kubepods/hugetlb.1GB.rsvd.max",
                    "kubepods/hugetlb.2MB.rsvd.max",
                    "kubepods/hugetlb.2MB.max",
                ],
                CgroupVersion::V2,
            ),
            (
                [
                    "kubepods/hugetlb.1GB.rsvd.limit_in_bytes",
                    "kubepods/hugetlb.2MB.rsvd.limit_in_bytes",
                    "kubepods/tasks",
                ],
                CgroupVersion::V1,
            ),
        ] {
            let root = tree(&["kubepods"], &files);
            let kubepods = open(&root.path().join("kubepods"), "/kubepods".to_owned()).expect("it");
            let sizes: Vec<String> = kubepods.sizes.iter().map(ToString::to_string).collect();
            assert_eq!((kubepods.version, &*sizes.join(" ")), (version, "2Mi 1Gi"));
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let root = tree(&["kubepods", "system.slice"], &["kubepods/hugetlb.2MB.max"]);
        let roots = Roots {
            proc: "/proc".into(),
            sys: "/sys".into(),
            cgroup: None,
            pod_logs: "/nowhere".into(),
            container_logs: "/nowhere".into(),
        };
        let complaint =
            |name: &str| find(&roots, Some(&root.path().join(name))).expect_err("wrong");
        assert!(complaint("kubepods").contains("has no reservation limits"));
        assert!(complaint("system.slice").contains("is not called as kubepods is"));
        assert!(complaint("nowhere/kubepods").contains("can't read"));
    }
}
