//! Where facts come from: the only part that reads the kernel and the kubelet's directories.
//!
//! Everything is read below roots that are arguments, so a fixture is a directory and a container may
//! mount the host's files anywhere. One unreadable file costs itself: it becomes `Reading::Failed`, and
//! its source's health says which file, why, and what was expected.

mod cgroups;
mod host;
mod kernel_file;
mod parse;
mod pods;
mod pools;
mod process;

use std::path::PathBuf;
use std::sync::Arc;

use crate::identity::{NameIndex, Owner};
use crate::snapshot::{Health, Problems, Snapshot, Source, SourceHealth, Taken};
use cgroups::Cgroups;
use kernel_file::KernelFiles;

pub use pods::scan as scan_names;
pub use process::OwnProcess;

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Roots {
    /// procfs, `/proc`.
    pub proc: PathBuf,
    /// sysfs, `/sys`.
    pub sys: PathBuf,
    /// A cgroup file system to use instead of what mountinfo tells.
    pub cgroup: Option<PathBuf>,
    /// The kubelet's log directories by pod, `/var/log/pods`.
    pub pod_logs: PathBuf,
    /// The kubelet's links by container, `/var/log/containers`.
    pub container_logs: PathBuf,
}

/// Names as they were when they were last looked for, which is not the poller's business: a log
/// directory may lie on a slow disk.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// What was found.
    pub index: Arc<NameIndex>,
    /// How it went.
    pub search: Search,
}

/// How the last search for names went.
#[derive(Debug, Clone, Default)]
pub enum Search {
    /// It is not over yet.
    #[default]
    Unfinished,
    /// Neither directory exists.
    Nowhere,
    /// They were read, well or not.
    Done(Health),
}

/// Reads the kernel's files. What it keeps between reads is a cache: the thousandth read tells the same
/// as a new reader's first.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    files: KernelFiles,
    cgroups: Cgroups,
}

impl Reader {
    /// A reader of the files below these roots.
    pub fn new(roots: Roots) -> Self {
        Self { roots, files: KernelFiles::default(), cgroups: Cgroups::default() }
    }

    /// Reads everything once.
    pub fn read(&mut self, taken: Taken, names: Names) -> Snapshot {
        let mut sources = Vec::new();
        let mut health = |source, problems| sources.push(SourceHealth::new(source, problems));

        let mut problems = Problems::default();
        let mut pools = pools::read(&self.roots.sys, &mut self.files, &mut problems);
        health(Source::Pools, problems);

        let mut problems = Problems::default();
        if pools::read_nodes(&self.roots.sys, &mut self.files, &mut pools, &mut problems) {
            health(Source::Numa, problems);
        }

        let (mut meminfo, mut vmstat) = (Problems::default(), Problems::default());
        let memory = host::read(&self.roots.proc, &mut self.files, &mut meminfo, &mut vmstat);
        health(Source::Meminfo, meminfo);
        health(Source::Vmstat, vmstat);

        let mut problems = Problems::default();
        let cgroups = self.cgroups.read(&self.roots, &mut self.files, &mut problems);
        health(Source::Cgroups, problems);

        let pods_here = cgroups.iter().any(|cgroup| matches!(&*cgroup.owner, Owner::Pod(_)));
        if let Some(health) = names.search.health(pods_here, &self.roots) {
            sources.push(SourceHealth { source: Source::PodLogs, health });
        }
        Snapshot {
            taken,
            pools,
            memory,
            hierarchy: self.cgroups.hierarchy().cloned(),
            cgroups,
            names: names.index,
            sources,
        }
    }
}

impl Search {
    /// The health of the log directories; nothing where there are none and no pod would need them.
    fn health(self, pods_here: bool, roots: &Roots) -> Option<Health> {
        let (pods, containers) = (roots.pod_logs.display(), roots.container_logs.display());
        match self {
            Self::Done(health) => Some(health),
            Self::Unfinished | Self::Nowhere if !pods_here => None,
            Self::Unfinished => {
                Some(Health::Down(format!("{pods} and {containers} are not read yet")))
            }
            Self::Nowhere => Some(Health::Down(format!(
                "neither {pods} nor {containers} exists: pods are shown by uid, without names"
            ))),
        }
    }
}
