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

use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use crate::snapshot::{CgroupVersion, Hierarchy, Problems};
use crate::sources::Roots;

/// The hierarchy, or a problem that says what is missing.
pub(super) fn find(roots: &Roots, problems: &mut Problems) -> Option<Hierarchy> {
    match &roots.cgroup {
        Some(directory) => {
            let found = recognise(directory);
            if found.is_none() {
                problems.add(|| {
                    format!(
                        "no hugetlb controller below {}: no pod is limited or shown",
                        directory.display()
                    )
                });
            }
            found
        }
        None => find_mounted(&roots.proc.join("self/mountinfo"), problems),
    }
}

/// The hierarchy in a directory that somebody mounted, told by its own files.
fn recognise(directory: &Path) -> Option<Hierarchy> {
    let v1 = |root: PathBuf| Hierarchy { version: CgroupVersion::V1, root };
    let v2 = |root: PathBuf| Hierarchy { version: CgroupVersion::V2, root };
    let (hugetlb, unified) = (directory.join("hugetlb"), directory.join("unified"));
    if has_controller(directory) {
        Some(v2(directory.to_owned()))
    } else if has_v1_files(&hugetlb) {
        Some(v1(hugetlb))
    } else if has_v1_files(directory) {
        Some(v1(directory.to_owned()))
    } else if has_controller(&unified) {
        Some(v2(unified))
    } else {
        None
    }
}

fn find_mounted(mountinfo: &Path, problems: &mut Problems) -> Option<Hierarchy> {
    let text = match fs::read(mountinfo) {
        Ok(text) => text,
        Err(error) => {
            problems.add(|| format!("can't read {}: {error}", mountinfo.display()));
            return None;
        }
    };
    let mut candidates = mounts(&String::from_utf8_lossy(&text));
    // The widest view first; of mounts one above the other the later one is seen.
    candidates.reverse();
    candidates.sort_by_key(|mount| mount.depth);
    let found =
        candidates.into_iter().map(|mount| mount.hierarchy).find(|hierarchy| {
            match hierarchy.version {
                CgroupVersion::V1 => has_v1_files(&hierarchy.root),
                CgroupVersion::V2 => has_controller(&hierarchy.root),
            }
        });
    if found.is_none() {
        problems.add(|| {
            "no mounted cgroup hierarchy has the hugetlb controller: no pod is limited or shown"
                .to_owned()
        });
    }
    found
}

/// Every mount of a hierarchy that may have the controller. Line by line, so that one that is not understood (anyone
/// may mount a strange name) costs only itself.
pub(super) fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| Mount::of(&MountInfo::from_line(line).ok()?))
        .collect()
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

/// v2: `cgroup.controllers` lists the controllers that this hierarchy has, `cpuset cpu io memory hugetlb pids`.
fn has_controller(root: &Path) -> bool {
    fs::read_to_string(root.join("cgroup.controllers"))
        .is_ok_and(|controllers| controllers.split_ascii_whitespace().any(|name| name == "hugetlb"))
}

/// v1: every cgroup, the root too, has `hugetlb.2MB.limit_in_bytes` and its like.
fn has_v1_files(root: &Path) -> bool {
    let is_limit = |name: &str| name.starts_with("hugetlb.") && name.ends_with(".limit_in_bytes");
    fs::read_dir(root).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_limit)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Health;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn v2(self, path: &str, controllers: &str) -> Self {
            self.file(&format!("{path}/cgroup.controllers"), controllers)
        }

        fn v1(self, path: &str) -> Self {
            self.file(&format!("{path}/hugetlb.2MB.limit_in_bytes"), "0\n")
        }

        fn file(self, path: &str, text: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
            self
        }

        /// mountinfo, `ROOT` standing for the machine's directory.
        fn mounts(self, lines: &[&str]) -> Self {
            let text = lines.join("\n").replace("ROOT", &self.0.path().display().to_string());
            self.file("proc/self/mountinfo", &text)
        }

        fn find(&self, cgroup: Option<&str>) -> Result<(CgroupVersion, String), String> {
            let path = self.0.path();
            let roots = Roots {
                proc: path.join("proc"),
                sys: path.join("sys"),
                cgroup: cgroup.map(|cgroup| path.join(cgroup)),
                pod_logs: path.join("pods"),
                container_logs: path.join("containers"),
            };
            let mut problems = Problems::default();
            match find(&roots, &mut problems) {
                Some(found) => {
                    let root = found.root.strip_prefix(path).expect("below the machine");
                    Ok((found.version, root.display().to_string()))
                }
                None => match problems.into_health() {
                    Health::Down(why) => Err(why),
                    Health::Up => panic!("nothing found and no reason given"),
                },
            }
        }
    }

    const PURE_V2: &str =
        "30 23 0:26 / ROOT/sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
    const UNIFIED: &str =
        "38 31 0:29 / ROOT/sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const V1: &str =
        "42 31 0:41 / ROOT/sys/fs/cgroup/hugetlb rw,relatime shared:9 - cgroup cgroup rw,hugetlb";
    const V1_MEMORY: &str =
        "35 31 0:31 / ROOT/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";

    #[test]
    fn pure_v2() {
        let machine =
            Machine::new().v2("sys/fs/cgroup", "cpu memory hugetlb pids\n").mounts(&[PURE_V2]);
        assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup".into())));
    }

    #[test]
    fn hybrid_with_the_controller_on_v2() {
        let machine =
            Machine::new().v2("sys/fs/cgroup/unified", "hugetlb\n").mounts(&[V1_MEMORY, UNIFIED]);
        assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup/unified".into())));
        assert_eq!(
            machine.find(Some("sys/fs/cgroup")),
            Ok((CgroupVersion::V2, "sys/fs/cgroup/unified".into()))
        );
    }

    #[test]
    fn hybrid_with_the_controller_on_v1() {
        let machine = Machine::new()
            .v2("sys/fs/cgroup/unified", "\n")
            .v1("sys/fs/cgroup/hugetlb")
            .mounts(&[UNIFIED, V1]);
        let v1 = Ok((CgroupVersion::V1, "sys/fs/cgroup/hugetlb".into()));
        assert_eq!(machine.find(None), v1);
        assert_eq!(machine.find(Some("sys/fs/cgroup")), v1);
        assert_eq!(machine.find(Some("sys/fs/cgroup/hugetlb")), v1);
    }

    #[test]
    fn in_a_container_the_hosts_mount_is_wider_than_ones_own() {
        let machine = Machine::new()
            .v2("sys/fs/cgroup", "hugetlb\n")
            .v2("host/cgroup", "hugetlb\n")
            .mounts(&[PURE_V2, "99 23 0:26 /../../../.. ROOT/host/cgroup ro - cgroup2 cgroup2 rw"]);
        assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "host/cgroup".into())));
    }

    #[test]
    fn strange_mounts_are_passed_over() {
        let machine = Machine::new().v2("sys/fs/cgroup", "hugetlb\n").mounts(&[
            "x y z - cgroup2 cgroup2 rw",
            "1 2 0:3 / /a - cgroup",
            "",
            PURE_V2,
            "77 1 0:9 / ROOT/tmp/fake - cgroup2 rw - cgroup2 x rw",
        ]);
        assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup".into())));
    }

    #[test]
    fn no_controller_is_said_once_and_plainly() {
        let machine = Machine::new().v2("sys/fs/cgroup", "cpu memory\n").mounts(&[PURE_V2]);
        assert!(machine.find(None).expect_err("nothing").contains("hugetlb controller"));
        assert!(
            machine.find(Some("sys/fs/cgroup")).expect_err("nothing").contains("sys/fs/cgroup")
        );
        assert!(Machine::new().find(None).expect_err("nothing").contains("proc/self/mountinfo"));
    }

    #[test]
    fn mount_points_with_spaces_are_found() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }

    proptest::proptest! {
        #[test]
        fn no_mountinfo_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for line in String::from_utf8_lossy(&bytes).lines() {
                let _ = MountInfo::from_line(line).map(|mount| Mount::of(&mount).is_some());
            }
        }

        #[test]
        fn no_line_in_the_right_shape_panics(line in "[0-9]{1,3} [0-9]{1,3} 0:[0-9] /[./]* /[a-z]* [a-z=,]* (shared:[0-9a-z]* )?- cgroup2? [a-z]* [a-z=,]*") {
            let _ = MountInfo::from_line(&line).map(|mount| Mount::of(&mount).is_some());
        }
    }
}
