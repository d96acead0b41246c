//! Where facts come from: the only part that reads the kernel and the kubelet's directories, and asks the
//! kubelet.
//!
//! Everything is read below roots that are arguments, so a fixture is a directory and a container may
//! mount the host's files anywhere. One unreadable file costs itself: it becomes `Reading::Failed`, and
//! its source's health says which file, why, and what was expected.

mod cgroups;
mod guard;
mod hierarchy;
mod host;
mod kernel_file;
mod kubelet;
mod lister;
mod mappings;
mod membership;
pub(crate) mod parse;
mod pods;
mod pools;
mod process;
mod witness;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::{NameIndex, Owner};
use crate::snapshot::{
    Declared, Health, Mappings, Memory, Pool, Probes, Problems, Snapshot, Source, SourceHealth,
    Taken, Witness,
};
use cgroups::{Asked, Cgroups};
use kernel_file::KernelFiles;
use pools::Pools;

pub use guard::{Reported, read as read_guard};
pub use hierarchy::root as hierarchy_root;
pub use host::name as host_name;
#[cfg(feature = "internals")]
pub use kubelet::read_pods;
pub use kubelet::{Answer, Endpoint, Kubelet, parse_quantity};
pub use lister::{Lister, run_lister};
#[cfg(feature = "internals")]
pub use mappings::of_processes as mappings_of;
pub use mappings::scan as scan_mappings;
#[cfg(feature = "internals")]
pub use pods::scan as scan_names;
pub use pods::{LogDirectory, Named};
pub use pools::read_now as read_pools;
pub use process::OwnProcess;
pub use witness::WitnessFile;

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
    /// Which directory may not be listed, and why, though the other gives names.
    pub closed: Option<String>,
}

/// Facts that take their time, as they were when they were last looked for.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// Names, from the kubelet's log directories.
    pub names: Names,
    /// The kubelet's pods, where it is asked for them.
    pub declared: Option<Found<Declared>>,
    /// What processes have mapped, where that is looked for.
    pub mappings: Option<Found<Mappings>>,
    /// What the guard last said, where it is asked.
    pub guard: Option<Reported>,
    /// What the touch-probe found, where there is one.
    pub probes: Option<Arc<Probes>>,
    /// What the witness told, where it is asked.
    pub witness: Option<Told>,
    /// Whether the web configuration is in force as it is written, where there is one.
    pub web_config: Option<Health>,
}

/// What a slow source last gave, and whether it gives it still.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// The newest that was had.
    pub facts: Arc<T>,
    /// How the last look went.
    pub health: Health,
}

/// What the witness told last, if it ever did, and how the last reading went.
#[derive(Debug, Clone)]
pub struct Told {
    /// The newest that could be read.
    pub witness: Option<Arc<Witness>>,
    /// How it went.
    pub health: Health,
}

/// How the last search for names went.
#[derive(Debug, Clone, Default)]
pub enum Search {
    /// It is not over yet.
    #[default]
    Unfinished,
    /// Neither directory exists.
    Nowhere,
    /// What there is may not be listed: kubelets from 1.30 on close /var/log/pods to all but root, some hosts close both.
    Closed(String),
    /// They were read, well or not.
    Done(Health),
}

/// Reads the kernel's files. What it keeps between reads is a cache: the thousandth read tells the same
/// as a new reader's first.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    files: KernelFiles,
    pools: Pools,
    cgroups: Cgroups,
}

impl Reader {
    /// A reader of the files below these roots.
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            files: KernelFiles::default(),
            pools: Pools::default(),
            cgroups: Cgroups::default(),
        }
    }

    /// A reader that stays: the kernel notifies it of what it can.
    pub fn resident(roots: Roots) -> Self {
        Self { cgroups: Cgroups::watching(), ..Self::new(roots) }
    }

    /// Readable when the kernel says that something was refused, where it says that.
    pub fn refusals(&self) -> Option<BorrowedFd<'_>> {
        self.cgroups.refusals()
    }

    /// Readable when cgroups came or went or a limit was set, where the kernel says that.
    pub fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        self.cgroups.arrivals()
    }

    /// Whether something was refused to anybody but our own pod since the last read, or since this was last asked.
    pub fn heed_refusals(&mut self) -> bool {
        self.cgroups.heed_refusals(&mut self.files)
    }

    /// The pools, whole and by NUMA node.
    fn read_pools(
        &mut self,
        memory: &Memory,
        now: Duration,
        sources: &mut Vec<SourceHealth>,
    ) -> Vec<Pool> {
        let (sys, files) = (&self.roots.sys, &mut self.files);
        let mut problems = Problems::default();
        let mut pools = self.pools.read(sys, memory, now, files, &mut problems);
        sources.push(SourceHealth::new(Source::Pools, problems));
        let mut problems = Problems::default();
        if self.pools.read_nodes(files, &mut pools, &mut problems) {
            sources.push(SourceHealth::new(Source::Numa, problems));
        }
        pools
    }

    /// Reads everything once.
    pub fn read(&mut self, taken: Taken, aside: Aside) -> Snapshot {
        let mut sources = Vec::new();

        let (mut meminfo, mut vmstat) = (Problems::default(), Problems::default());
        let memory = host::read(&self.roots.proc, &mut self.files, &mut meminfo, &mut vmstat);

        let now = taken.since_start;
        let pools = self.read_pools(&memory, now, &mut sources);
        let is_none = |it: &SourceHealth| it.source == Source::Pools && it.is_missing();
        let has_hugetlbfs = !sources.iter().any(is_none);
        let mut health = |source, problems| sources.push(SourceHealth::new(source, problems));
        health(Source::Meminfo, meminfo);
        health(Source::Vmstat, vmstat);

        let Aside { names, declared, mappings, guard, probes, witness, web_config } = aside;
        let witness = witness.map(|told| told.for_hierarchy(self.cgroups.hierarchy()));
        let asked =
            Asked { roots: &self.roots, now, pools: &pools, names: Arc::clone(&names.index) };
        let mut problems = Problems::default();
        let cgroups = self.cgroups.read(&asked, &mut self.files, &mut problems);
        let problems = self.without_hugetlbfs(has_hugetlbfs, problems);
        health(Source::Cgroups, problems);

        let pods_here = cgroups.iter().any(|cgroup| matches!(&*cgroup.owner, Owner::Pod(_)));
        let of = |source, health| SourceHealth { source, health };
        sources.extend(self.cgroups.notifications().map(|health| of(Source::Inotify, health)));
        sources.extend(
            names
                .search
                .health(pods_here, declared.is_some(), &self.roots)
                .map(|health| of(Source::PodLogs, health)),
        );
        sources.extend(declared.iter().map(|found| of(Source::Kubelet, found.health.clone())));
        sources.extend(mappings.iter().map(|found| of(Source::Mappings, found.health.clone())));
        sources.extend(guard.iter().map(|said| of(Source::Guard, said.health.clone())));
        sources.extend(witness.iter().map(|told| of(Source::Witness, told.health.clone())));
        sources.extend(web_config.map(|health| of(Source::WebConfig, health)));
        Snapshot {
            taken,
            pools,
            memory,
            hierarchy: self.cgroups.hierarchy().cloned(),
            is_part: self.cgroups.is_part(),
            accounting: self.cgroups.accounting(),
            cgroups,
            at_refusals: self.cgroups.at_refusals(),
            own: self.cgroups.own(),
            names: names.index,
            declared: declared.map(|found| found.facts),
            mappings: mappings.map(|found| found.facts),
            guard: guard.and_then(|said| said.guard),
            probes,
            witness: witness.and_then(|told| told.witness),
            sources,
        }
    }
}

impl Reader {
    /// What went wrong with the cgroups: the controller is a part of what a kernel without huge pages does not have,
    /// wherever it was looked for.
    fn without_hugetlbfs(&self, has_hugetlbfs: bool, problems: Problems) -> Problems {
        if has_hugetlbfs || self.cgroups.hierarchy().is_some() {
            return problems;
        }
        let mut none = Problems::default();
        none.add_missing(|| "no hugetlb controller: this kernel has no huge pages".to_owned());
        none
    }
}

impl Search {
    /// The health of the log directories; nothing where there are none and nobody would need them: no pod, or
    /// the kubelet is asked for names.
    fn health(self, pods_here: bool, kubelet_asked: bool, roots: &Roots) -> Option<Health> {
        let (pods, containers) = (roots.pod_logs.display(), roots.container_logs.display());
        match self {
            Self::Done(health) => Some(health),
            Self::Unfinished | Self::Nowhere | Self::Closed(_) if !pods_here => None,
            Self::Nowhere | Self::Closed(_) if kubelet_asked => None,
            Self::Closed(why) => Some(Health::Down(format!(
                "{why}: pods are shown by uid, without names; the kubelet tells them, where it is asked \
                 (--collector.kubelet, in the chart kubelet.enabled)"
            ))),
            Self::Unfinished => {
                Some(Health::Down(format!("{pods} and {containers} are not read yet")))
            }
            Self::Nowhere => Some(Health::Down(format!(
                "neither {pods} nor {containers} exists: pods are shown by uid, without names"
            ))),
        }
    }
}
