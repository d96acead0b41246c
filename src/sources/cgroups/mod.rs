//! The hugetlb cgroups: where their hierarchy is, which there are, what their files say.

mod cpuset;
mod files;
mod hierarchy;
mod own;
mod tree;

use std::path::Path;
use std::sync::Arc;

use super::Roots;
use super::kernel_file::KernelFiles;
use crate::identity::Owner;
use crate::snapshot::{Cgroup, CgroupVersion, Hierarchy, OwnCgroup, Problems, Reading};
use own::Own;
use tree::Directory;

/// The cgroup source.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Kept while it has cgroups: mountinfo is long and dear on a busy node.
    hierarchy: Option<Hierarchy>,
    /// Looked for whenever the hierarchy is.
    own: Option<Own>,
}

impl Cgroups {
    /// Where the hierarchy was found at the last read.
    pub(super) fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    /// Every cgroup with hugetlb files, parents before their children; on a machine with several NUMA
    /// nodes also where their memory may come from.
    pub(super) fn read(
        &mut self,
        roots: &Roots,
        numa: bool,
        files: &mut KernelFiles,
        problems: &mut Problems,
    ) -> Vec<Cgroup> {
        let mut directories = self.walk(problems);
        if directories.is_empty() {
            // Nothing is there, or the controller has moved to another hierarchy.
            self.hierarchy = hierarchy::find(roots, problems);
            self.own = Own::find(roots);
            directories = self.walk(problems);
        }
        let Some(hierarchy) = &self.hierarchy else { return Vec::new() };
        let mut cgroups = read_all(directories, hierarchy.version, files, problems);
        if numa {
            cpuset::read(&mut cgroups, hierarchy, files, problems);
        }
        cgroups
    }

    /// Our own cgroup, and which of those that were read it is.
    pub(super) fn own_among(&self, cgroups: &[Cgroup]) -> Option<OwnCgroup> {
        let root = self.hierarchy.as_ref().map_or(Path::new(""), |hierarchy| &hierarchy.root);
        self.own.as_ref().map(|own| own.among(cgroups, root))
    }

    fn walk(&self, problems: &mut Problems) -> Vec<Directory> {
        self.hierarchy
            .as_ref()
            .map(|hierarchy| tree::walk(&hierarchy.root, problems))
            .unwrap_or_default()
    }
}

/// Reads the files of each directory; one that went away meanwhile is left out, with what was below it.
fn read_all(
    directories: Vec<Directory>,
    version: CgroupVersion,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> Vec<Cgroup> {
    let mut cgroups = Vec::with_capacity(directories.len());
    let mut places: Vec<Option<usize>> = Vec::with_capacity(directories.len());
    for directory in directories {
        let Ok(hugetlb) = files::read(&directory, version, files, problems) else {
            places.push(None);
            continue;
        };
        places.push(Some(cgroups.len()));
        cgroups.push(Cgroup {
            owner: Arc::new(Owner::of(&directory.path)),
            path: directory.path.into(),
            inode: directory.inode,
            parent: directory.parent.and_then(|parent| places.get(parent).copied().flatten()),
            memory_nodes: Reading::Absent,
            hugetlb,
        });
    }
    cgroups
}
