//! The cgroup that we are in ourselves.
//!
//! In a container with a private cgroup namespace `/proc/self/cgroup` says `0::/` and nothing more, while the mount of
//! our own hides what is above and the host's begins at `/../../..`. So our own directory is found through our own
//! mount, and found again in the host's tree by its device and inode number (name_to_handle_at, which would tell as
//! well, is refused by the default seccomp profile).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Mounted;
use crate::identity::Owner;
use crate::snapshot::{Cgroup, OwnCgroup};
use crate::sources::Roots;
use crate::sources::cgroups::list;
use crate::sources::membership::hugetlb_cgroup;

/// Our own cgroup's directory.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) struct Own {
    cgroup: OwnCgroup,
    device: u64,
    inode: u64,
}

impl Own {
    /// Looks for it; nothing where no hierarchy is mounted that shows it.
    pub(in crate::sources) fn find(roots: &Roots, mounted: &Mounted) -> Option<Self> {
        let cgroup = fs::read(roots.proc.join("self/cgroup")).ok()?;
        let cgroup = String::from_utf8_lossy(&cgroup);
        let (version, path) = hugetlb_cgroup(cgroup.trim_end())?;
        let mounts = mounted.mounts.iter().rev().filter(|mount| mount.hierarchy.version == version);
        let directories =
            mounts.filter_map(|mount| inside(&mount.hierarchy.root, &mount.begins, path));
        let owner = Owner::of(path);
        directories.into_iter().find_map(|directory| {
            let found = fs::metadata(&directory).ok().filter(fs::Metadata::is_dir)?;
            let has_controller = list(&directory, version).is_ok_and(|it| !it.files.is_empty());
            let owner = owner.clone();
            let cgroup = OwnCgroup { version, directory, owner, has_controller, index: None };
            Some(Self { cgroup, device: found.dev(), inode: found.ino() })
        })
    }

    /// The same, with its place among those that were read. A container's own view of it and the host's tree show the
    /// same directory under other names; device and inode number tell.
    pub(in crate::sources) fn among(&self, cgroups: &[Cgroup], root: &Path) -> OwnCgroup {
        let same = fs::metadata(root).is_ok_and(|root| root.dev() == self.device);
        let index = cgroups.iter().position(|cgroup| same && cgroup.inode == self.inode);
        // Where it is among those that have files, it has some by now.
        let has_controller = self.cgroup.has_controller || index.is_some();
        OwnCgroup { index, has_controller, ..self.cgroup.clone() }
    }
}

/// Where a mount that begins at a path of the hierarchy shows another path below it.
fn inside(mount_point: &Path, begins: &str, path: &str) -> Option<PathBuf> {
    let rest = Path::new(path).strip_prefix(begins).ok()?;
    let plain = rest.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    plain.then(|| mount_point.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{CgroupVersion, example};
    use std::time::Duration;

    const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(cgroup: &str, mounts: &[&str], directories: &[&str]) -> Self {
            let machine = Self(tempfile::tempdir().expect("a directory"));
            let root = machine.0.path();
            fs::create_dir_all(root.join("proc/self")).expect("made");
            fs::write(root.join("proc/self/cgroup"), cgroup).expect("written");
            let mounts = mounts.join("\n").replace("ROOT", &root.display().to_string());
            fs::write(root.join("proc/self/mountinfo"), mounts).expect("written");
            for directory in directories {
                fs::create_dir_all(root.join(directory)).expect("made");
            }
            machine
        }

        fn find(&self) -> Option<Own> {
            let at = |path: &str| self.0.path().join(path);
            let roots = Roots {
                proc: at("proc"),
                sys: at("sys"),
                cgroup: None,
                pod_logs: at("pods"),
                container_logs: at("containers"),
            };
            Own::find(&roots, &Mounted::read(&roots).expect("read"))
        }

        #[track_caller]
        fn check(&self, version: CgroupVersion, directory: &str) {
            let found = self.find().expect("found");
            assert_eq!(found.cgroup.directory, self.0.path().join(directory));
            assert_eq!(found.cgroup.version, version);
            assert!(!found.cgroup.has_controller);
            fs::write(found.cgroup.directory.join("hugetlb.2MB.max"), "0").expect("written");
            assert!(self.find().expect("found").cgroup.has_controller);
            let inode = fs::metadata(self.0.path().join(directory)).expect("there").ino();
            let mut cgroups = example::node(Duration::ZERO)
                .with("/a", example::hugetlb(0, 0))
                .with("/b", example::hugetlb(0, 0))
                .cgroups;
            assert_eq!(found.among(&cgroups, self.0.path()).index, None);
            std::sync::Arc::make_mut(&mut cgroups)[1].inode = inode;
            let there = found.among(&cgroups, self.0.path());
            assert_eq!((there.index, there.has_controller), (Some(1), true));
            assert_eq!(found.among(&cgroups, Path::new("/proc")).index, None, "another hierarchy");
        }
    }

    const V2: &str = "30 23 0:26 / ROOT/sys/fs/cgroup ro - cgroup2 cgroup2 rw";
    const HOST_V2: &str = "99 23 0:26 /../../.. ROOT/host ro - cgroup2 cgroup2 rw";

    #[test]
    fn on_the_host_it_is_below_the_mount() {
        Machine::new(
            "0::/system.slice/a b.service\n",
            &[V2],
            &["sys/fs/cgroup/system.slice/a b.service"],
        )
        .check(CgroupVersion::V2, "sys/fs/cgroup/system.slice/a b.service");
    }

    #[test]
    fn in_a_private_namespace_it_is_its_own_mount_and_not_the_hosts() {
        Machine::new("0::/\n", &[V2, HOST_V2], &["sys/fs/cgroup", "host"])
            .check(CgroupVersion::V2, "sys/fs/cgroup");
    }

    #[test]
    fn on_v1_the_mount_may_begin_at_it() {
        let cgroup = format!("10:hugetlb:/kubepods/poda/{ID}\n0::/\n");
        let own = format!("40 30 0:30 /kubepods/poda/{ID} ROOT/own ro - cgroup cgroup rw,hugetlb");
        let host = "41 30 0:30 / ROOT/host rw - cgroup cgroup rw,hugetlb";
        Machine::new(&cgroup, &[&own, V2], &["own"]).check(CgroupVersion::V1, "own");
        let below = format!("host/kubepods/poda/{ID}");
        let machine = Machine::new(&cgroup, &[host, V2], &[&below]);
        machine.check(CgroupVersion::V1, &below);
        let owner = machine.find().expect("found").cgroup.owner;
        assert!(matches!(owner, Owner::Container(_)), "{owner:?}");
    }

    #[test]
    fn nothing_that_is_not_shown_is_guessed() {
        for cgroup in ["", "0::/../../elsewhere\n", "0::/not/there\n", "4:memory:/\n"] {
            let machine = Machine::new(cgroup, &[V2], &["sys/fs/cgroup"]);
            assert!(machine.find().is_none(), "{cgroup:?}");
        }
        assert!(Machine::new("0::/\n", &[HOST_V2], &["host"]).find().is_none());
    }
}
