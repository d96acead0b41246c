//! Snapshots made up for tests of the pure parts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::guard::{Entry, Mode, Policy, Refuse, Report};
use super::{
    Cgroup, CgroupVersion, Failures, Hugetlb, Limit, Memory, MemoryAccounting, OwnCgroup, Pool,
    Reading, Snapshot, Taken,
};
use crate::identity::{NameIndex, Owner};
use crate::units::{Bytes, PageSize, Pages, SignedPages};

/// Pages of 2 MiB.
pub fn page_size() -> PageSize {
    PageSize::from_bytes(2 << 20).expect("a power of two")
}

/// An empty node at a time after the start.
pub fn node(since_start: Duration) -> Snapshot {
    Snapshot {
        taken: Taken {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000) + since_start,
            since_start,
        },
        pools: Vec::new(),
        memory: Memory::default(),
        hierarchy: None,
        is_part: false,
        accounting: MemoryAccounting::Off,
        cgroups: Arc::default(),
        at_refusals: Arc::default(),
        own: None,
        names: Arc::new(NameIndex::default()),
        declared: None,
        mappings: None,
        guard: None,
        probes: None,
        witness: None,
        sources: Vec::new(),
    }
}

/// A pool of 500 pages of 2 MiB, of which so many are free and so many of those reserved.
pub fn pool(free: u64, reserved: u64) -> Pool {
    let pages = |pages| Reading::Present(Pages(pages));
    Pool {
        page_size: page_size(),
        size: pages(500),
        free: pages(free),
        reserved: Reading::Present(SignedPages(reserved.cast_signed())),
        surplus: pages(0),
        overcommit_limit: pages(0),
        nodes: Vec::new(),
    }
}

/// The figures of an unlimited v2 cgroup that uses and reserves so many bytes.
pub fn hugetlb(bytes: u64, failures: u64) -> Hugetlb {
    Hugetlb {
        page_size: page_size(),
        usage: Reading::Present(Bytes(bytes)),
        limit: Reading::Present(Limit::Unlimited),
        reserved: Reading::Present(Bytes(bytes)),
        reservation_limit: Reading::Present(Limit::Unlimited),
        failures: Failures::V2 {
            hierarchical: Reading::Present(failures),
            local: Reading::Present(0),
        },
        max_usage: Reading::Absent,
        numa_usage: Reading::Absent,
    }
}

/// The report of a guard that refuses and rescues.
pub fn report(entries: Vec<Entry>) -> Report {
    Report {
        mode: Mode::Enforce,
        policy: Policy {
            refuse: Refuse::Ungranted,
            rescue: true,
            rescue_bound: true,
            excluded_namespaces: ["kube-system".to_owned()].into(),
        },
        paused: false,
        started: 1,
        trouble: None,
        entries,
        left_out: 0,
        writes: Vec::new(),
    }
}

/// An id of 64 digits.
pub fn id(number: u64) -> String {
    format!("{number:012x}{:0>52}", 0)
}

impl Snapshot {
    /// Its cgroups, to be changed.
    pub fn cgroups_mut(&mut self) -> &mut Vec<Cgroup> {
        Arc::make_mut(&mut self.cgroups)
    }

    /// Adds a cgroup; its path says whose it is.
    pub fn with(mut self, path: &str, hugetlb: Hugetlb) -> Self {
        let inode = u64::try_from(self.cgroups.len()).expect("few") + 1;
        let parent = self
            .cgroups
            .iter()
            .position(|cgroup| path.rsplit_once('/').is_some_and(|(up, _)| up == &*cgroup.path));
        let owner = Arc::new(Owner::of(path));
        self.cgroups_mut().push(Cgroup {
            path: path.into(),
            inode,
            parent,
            owner,
            populated: Reading::Absent,
            memory_nodes: Reading::Absent,
            memory: None,
            hugetlb: [hugetlb].into(),
        });
        self
    }

    /// Says that we are in the cgroup with that index.
    pub fn owned(mut self, index: usize) -> Self {
        self.own = Some(OwnCgroup {
            version: CgroupVersion::V2,
            directory: "/sys/fs/cgroup".into(),
            owner: Owner::Service,
            has_controller: true,
            index: Some(index),
        });
        self
    }

    /// Adds a container, and its name if there is one.
    pub fn with_container(self, uid: &str, number: u64, hugetlb: Hugetlb) -> Self {
        self.with(&format!("/kubepods/pod{uid}/{}", id(number)), hugetlb)
    }

    /// Adds what the kubelet's log directories say of a container.
    pub fn named(mut self, uid: &str, number: u64, names: [&str; 3], attempt: u32) -> Self {
        let [namespace, pod, container] = names;
        let mut index = (*self.names).clone();
        let target = format!("/var/log/pods/{namespace}_{pod}_{uid}/{container}/{attempt}.log");
        index.add_container_link(
            &format!("{pod}_{namespace}_{container}-{}.log", id(number)),
            &target,
        );
        self.names = Arc::new(index);
        self
    }
}

impl Cgroup {
    /// Its figures, to be changed.
    pub fn hugetlb_mut(&mut self) -> &mut [Hugetlb] {
        Arc::make_mut(&mut self.hugetlb)
    }

    /// Adds those of another size.
    pub fn add_size(&mut self, hugetlb: Hugetlb) {
        self.hugetlb = self.hugetlb.iter().cloned().chain([hugetlb]).collect();
    }
}
