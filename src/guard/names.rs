//! Which pods may be written to, where namespaces are excluded: told by the names of the kubelet's log directories.
//!
//! The kubelet makes a pod's directory before it starts the pod's sandbox, and so before any process of it. Which of
//! these directories there are is told by the kernel (inotify); the contents are never read.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::identity::{NameIndex, Owner, PodUid};

/// More directories than any kubelet leaves; anyone who may write there must not cost us our memory.
const MOST: usize = 4_096;

/// What is known of names.
#[derive(Debug)]
pub struct Names {
    directory: PathBuf,
    excluded: BTreeSet<String>,
    own: Option<PodUid>,
    index: NameIndex,
    count: usize,
    /// Why names can't be had.
    pub trouble: Option<String>,
}

/// What a name says of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be written to.
    Free,
    /// Its namespace is excluded, or it is the exporter's own.
    Excluded,
    /// Its name is not known, or not beyond doubt.
    Unnamed,
}

impl Names {
    /// None yet.
    pub fn new(directory: &Path, excluded: BTreeSet<String>, own: Option<PodUid>) -> Self {
        let (index, directory) = (NameIndex::default(), directory.to_owned());
        Self { directory, excluded, own, index, count: 0, trouble: None }
    }

    /// Whether they are needed at all, and where they come from.
    pub fn source(&self) -> Option<&Path> {
        (!self.excluded.is_empty()).then_some(self.directory.as_path())
    }

    /// Looks for all of them anew.
    pub fn list(&mut self) {
        if self.excluded.is_empty() {
            return;
        }
        self.index = NameIndex::default();
        self.count = 0;
        let listed = fs::read_dir(&self.directory).and_then(|entries| {
            entries.take(MOST).map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
        });
        match listed {
            Ok(names) => {
                self.trouble = None;
                for name in names {
                    self.add(name.to_str().unwrap_or_default());
                }
            }
            Err(error) => {
                let at = self.directory.display();
                self.trouble = Some(format!(
                    "can't list {at}: {error}; namespaces are excluded, so pods are left alone until their names are known"
                ));
            }
        }
    }

    /// Takes in a directory that was made.
    pub fn add(&mut self, name: &str) {
        if self.count < MOST {
            self.index.add_pod_directory(name);
            self.count += 1;
        }
    }

    /// Whether there were so many that it is time to look anew at which are left.
    pub fn is_full(&self) -> bool {
        self.count >= MOST
    }

    /// What is known of a pod.
    pub fn standing(&self, uid: &PodUid) -> Standing {
        if self.own.as_ref() == Some(uid) {
            return Standing::Excluded;
        }
        if self.excluded.is_empty() {
            return Standing::Free;
        }
        match self.index.pod(uid) {
            None => Standing::Unnamed,
            Some(pod) if self.excluded.contains(&*pod.namespace) => Standing::Excluded,
            Some(_) => Standing::Free,
        }
    }

    /// What people call a pod.
    pub fn call(&self, uid: &PodUid) -> String {
        match self.index.pod(uid) {
            Some(pod) => format!("{}/{}", pod.namespace, pod.name),
            None => format!("pod {uid}"),
        }
    }
}

/// The pod that we are in ourselves, by our own cgroup: where its path is hidden (a private cgroup namespace), the
/// directory that our own mount shows is found among the pods' by device and inode number.
pub fn own(proc: &Path) -> (Option<PodUid>, Vec<(u64, u64)>) {
    use std::os::unix::fs::MetadataExt;
    let text = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let uid = text.lines().find_map(|line| match Owner::of(line.splitn(3, ':').nth(2)?) {
        Owner::Pod(pod) | Owner::PodInfrastructure(pod) => Some(pod.uid),
        Owner::Container(container) => Some(container.pod.uid),
        Owner::InsideContainer | Owner::Tier | Owner::Service => None,
    });
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/hugetlb", "/sys/fs/cgroup/unified"];
    let found = mounts.iter().filter_map(|path| fs::metadata(path).ok());
    (uid, found.map(|found| (found.dev(), found.ino())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> PodUid {
        PodUid::from_path(text).expect("a UID")
    }

    fn names(
        excluded: &[&str],
        own: Option<PodUid>,
        directories: &[&str],
    ) -> (tempfile::TempDir, Names) {
        let root = tempfile::tempdir().expect("a directory");
        for directory in directories {
            fs::create_dir(root.path().join(directory)).expect("made");
        }
        let excluded = excluded.iter().map(|name| (*name).to_owned()).collect();
        let mut names = Names::new(root.path(), excluded, own);
        names.list();
        (root, names)
    }

    #[test]
    fn a_pod_is_free_once_its_name_is_known_and_not_excluded() {
        let (_root, mut names) =
            names(&["kube-system"], Some(uid("own")), &["db_pg_one", "kube-system_dns_two"]);
        let standing = |names: &Names, text: &str| names.standing(&uid(text));
        assert_eq!(standing(&names, "one"), Standing::Free);
        assert_eq!(standing(&names, "two"), Standing::Excluded);
        assert_eq!(standing(&names, "three"), Standing::Unnamed);
        assert_eq!(standing(&names, "own"), Standing::Excluded);
        names.add("db_pg_three");
        assert_eq!(standing(&names, "three"), Standing::Free);
        // Two that contradict each other: neither is believed.
        names.add("kube-system_pg_three");
        assert_eq!(standing(&names, "three"), Standing::Unnamed);
    }

    #[test]
    fn where_nothing_is_excluded_no_name_is_needed() {
        let (_root, names) = names(&[], Some(uid("own")), &[]);
        assert_eq!(names.source(), None);
        assert_eq!(names.standing(&uid("one")), Standing::Free);
        assert_eq!(names.standing(&uid("own")), Standing::Excluded, "but for our own");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let mut names = Names::new(Path::new("/nowhere"), BTreeSet::from(["a".to_owned()]), None);
        names.list();
        assert!(names.trouble.as_ref().is_some_and(|why| why.contains("/nowhere")), "{names:?}");
    }
}
