//! One look at a node, as plain facts: no opinion, no I/O, no clock.
//!
//! What could not be had is never a zero: a [`Reading`] says whether the kernel showed a figure, has no
//! such file, or could not be read, and a [`Limit`] says "unlimited" without a number.

mod cgroup;
mod declared;
#[cfg(test)]
pub mod example;
pub mod guard;
mod guarded;
mod mapping;
mod memory;
mod pool;
mod probe;
mod process;
mod reading;
mod source;
mod trial;
mod witness;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use cgroup::{
    AtRefusal, Cgroup, CgroupVersion, Failures, Hierarchy, Hugetlb, NumaUsage, OwnCgroup,
};
pub use declared::{Acknowledged, Declared, DeclaredContainer, DeclaredPod};
pub use guarded::{Guard, Guarding};
pub use mapping::{MappedObject, Mapping, Mappings};
pub use memory::{
    ACCOUNTING_OPTION, CgroupMemory, CgroupMount, MemoryAccounting, MemoryEvents, MemoryStat,
};
pub use pool::{BuddyAllocations, Memory, NumaPool, Pool};
pub use probe::{
    Check, Doubt, EnforcedBy, Exempt, LastProbe, Probes, Target, Verdict, VerdictKind,
};
pub use process::Process;
pub use reading::{Limit, Reading};
pub use source::{Health, Problems, Source, SourceHealth};
pub use trial::{LevelLimits, LevelMemory, Outcome, RefusedBy, Trial};
pub use witness::{Dropped, MOST_CGROUPS, MOST_TOLD, Sight, Signal, Witness, WitnessReport};

use crate::identity::{NameIndex, Owner, PodUid};

/// How the chart calls the exporter's container.
pub const EXPORTER: &str = "hugetlb-exporter";

/// Everything that was read of a node in one poll.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the reading began.
    pub taken: Taken,
    /// The huge-page pools, smallest page size first.
    pub pools: Vec<Pool>,
    /// What `/proc/meminfo` and `/proc/vmstat` say of huge pages.
    pub memory: Memory,
    /// Where the hugetlb controller was found; nothing where there is none.
    pub hierarchy: Option<Hierarchy>,
    /// Whether that is but a part of the machine's, as in a cgroup namespace of its own: others' cgroups are not seen.
    pub is_part: bool,
    /// Whether huge pages count as memory.
    pub accounting: MemoryAccounting,
    /// Every cgroup that has hugetlb files, parents before their children.
    pub cgroups: Arc<Vec<Cgroup>>,
    /// What was held where something was refused, when the reader heard of it: a moment before this snapshot. Only what it
    /// heard of since the last one, and only on v2.
    pub at_refusals: Arc<[AtRefusal]>,
    /// The cgroup that the exporter itself is in, if it is found.
    pub own: Option<OwnCgroup>,
    /// What was known of names at that time.
    pub names: Arc<NameIndex>,
    /// What the kubelet said of its pods when it was last asked; nothing where it is not asked.
    pub declared: Option<Arc<Declared>>,
    /// What processes had mapped when it was last looked for; nothing where it is not looked for.
    pub mappings: Option<Arc<Mappings>>,
    /// What the guard last said; nothing where it is not asked, or has said nothing yet.
    pub guard: Option<Arc<Guard>>,
    /// What the touch-probe found; nothing where there is none.
    pub probes: Option<Arc<Probes>>,
    /// What the witness told of SIGBUS; nothing where there is none, or before it told anything.
    pub witness: Option<Arc<Witness>>,
    /// How each source did.
    pub sources: Vec<SourceHealth>,
}

/// A moment, by the clock on the wall and by one that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// For people and for metrics.
    pub wall: SystemTime,
    /// Since the agent started; ages are counted in it.
    pub since_start: Duration,
}

impl Snapshot {
    /// A cgroup and all above it, the innermost first.
    pub fn chain(&self, index: usize) -> impl Iterator<Item = &Cgroup> {
        let mut next = Some(index);
        std::iter::from_fn(move || {
            // Parents stand before their children, so this ends.
            let cgroup = self.cgroups.get(next?)?;
            next = cgroup.parent;
            Some(cgroup)
        })
    }

    /// What the guard does to a cgroup, by its own word and the kernel's.
    pub fn guarding(&self, cgroup: &Cgroup, hugetlb: &Hugetlb) -> Guarding {
        let guard = self.guard.as_ref();
        guard.map(|guard| guard.of(&cgroup.path, hugetlb)).unwrap_or_default()
    }

    /// What could not be looked at, and why.
    pub fn failures(&self) -> impl Iterator<Item = (Source, &str)> {
        self.sources.iter().filter_map(|health| Some((health.source, health.failure()?)))
    }

    /// Whether what is refused to a pod is a probe's doing, which is nobody's failure: it is our own, or that of another
    /// exporter on this node, as the chart calls its container. A pod that calls one of its own so hides their own failures.
    pub fn is_probing(&self, uid: &PodUid) -> bool {
        self.own_pod() == Some(uid) || self.names.has_container(uid, EXPORTER)
    }

    /// The pod that the exporter itself runs in, if that is seen.
    pub fn own_pod(&self) -> Option<&PodUid> {
        self.chain(self.own.as_ref()?.index?).find_map(|cgroup| match &*cgroup.owner {
            Owner::Pod(pod) => Some(&pod.uid),
            Owner::Container(container) => Some(&container.pod.uid),
            _ => None,
        })
    }
}
