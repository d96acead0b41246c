//! Nodes made up for the rules' tests: one pod, some containers, all in pages of 2 MiB.

use std::sync::Arc;
use std::time::Duration;

use super::Finding;
use crate::assessment::{Thresholds, assess};
use crate::history::{History, Retention};
use crate::identity::{PodName, PodUid};
use crate::snapshot::example::{self, page_size};
use crate::snapshot::guard::{Action, Entry, Outcome};
use crate::snapshot::{
    Acknowledged, CgroupMemory, CgroupMount, CgroupVersion, Check, Declared, DeclaredPod, Failures,
    Guard, Hierarchy, Hugetlb, LastProbe, Limit, MemoryAccounting, MemoryEvents, MemoryStat,
    Probes, Reading, Snapshot, Target, Verdict,
};
use crate::units::{Bytes, Pages, SignedPages};

/// A page.
pub(crate) const PG: u64 = 2 << 20;

/// The pod's UID.
pub(crate) const UID: &str = "u";

/// A node that is built up, then looked at.
#[derive(Clone)]
pub(crate) struct Node {
    snapshot: Snapshot,
    containers: u64,
}

/// So many pages, or no limit.
pub(crate) fn limit(pages: Option<u64>) -> Reading<Limit> {
    Reading::Present(pages.map_or(Limit::Unlimited, |pages| Limit::At(Bytes(pages * PG))))
}

/// A cgroup's figures: its limit, and what it has reserved and used, in pages.
pub(crate) fn figures(pages: Option<u64>, (reserved, used): (u64, u64)) -> Hugetlb {
    Hugetlb {
        limit: limit(pages),
        reserved: Reading::Present(Bytes(reserved * PG)),
        ..example::hugetlb(used * PG, 0)
    }
}

impl Node {
    /// 500 pages, all free, and an empty kubepods.
    pub(crate) fn new() -> Self {
        let mut snapshot = example::node(Duration::ZERO);
        snapshot.pools = vec![example::pool(500, 0)];
        snapshot.hierarchy =
            Some(Hierarchy { version: CgroupVersion::V2, root: "/sys/fs/cgroup".into() });
        let snapshot = snapshot.with("/kubepods", figures(None, (0, 0)));
        Self { snapshot, containers: 0 }
    }

    /// Its pod, db/pg-0.
    pub(crate) fn pod(mut self, pages: Option<u64>) -> Self {
        self.snapshot = self.snapshot.with("/kubepods/podu", figures(pages, (0, 0)));
        self
    }

    /// A container of the pod's, with a name; what it holds its pod and kubepods hold too.
    pub(crate) fn container(mut self, name: &str, pages: Option<u64>, held: (u64, u64)) -> Self {
        self.containers += 1;
        for above in self.snapshot.cgroups_mut().iter_mut().take(2) {
            let hugetlb = &mut above.hugetlb_mut()[0];
            hugetlb.reserved = hugetlb.reserved.plus(Reading::Present(Bytes(held.0 * PG)));
            hugetlb.usage = hugetlb.usage.plus(Reading::Present(Bytes(held.1 * PG)));
        }
        let pool = &mut self.snapshot.pools[0];
        let (reserved, used) = (held.0.saturating_sub(held.1), held.1);
        pool.free = pool.free.map(|free| Pages(free.0 - used));
        pool.reserved =
            pool.reserved.map(|already| SignedPages(already.0 + reserved.cast_signed()));
        self.snapshot = self
            .snapshot
            .with_container(UID, self.containers, figures(pages, held))
            .named(UID, self.containers, ["db", "pg-0", name], 0);
        self
    }

    /// On a node where huge pages count as memory.
    pub(crate) fn accounting(self) -> Self {
        const OPTIONS: &str = "rw,nosuid,nodev,noexec,relatime,rw,nsdelegate,memory_recursiveprot,memory_hugetlb_accounting";
        let options = OPTIONS.split(',').map(str::to_owned).collect();
        let mount = CgroupMount { point: "/sys/fs/cgroup".to_owned(), options };
        self.but(|snapshot| snapshot.accounting = MemoryAccounting::On(mount))
    }

    /// What the memory controller says of a cgroup: its limit, what is charged of huge pages and of anonymous memory, and how
    /// often the limit was met.
    pub(crate) fn memory(
        self,
        index: usize,
        limit: u64,
        (huge, anon): (u64, u64),
        events: MemoryEvents,
    ) -> Self {
        let memory = CgroupMemory {
            limit: Reading::Present(Limit::At(Bytes(limit))),
            usage: Reading::Present(Bytes(huge + anon)),
            events: Reading::Present(events),
            stat: Reading::Present(MemoryStat {
                anon: Bytes(anon),
                kernel: Reading::Present(Bytes::ZERO),
                ..MemoryStat::default()
            }),
            swap_room: Reading::Absent,
        };
        self.but(|snapshot| snapshot.cgroups_mut()[index].memory = Some(Arc::new(memory)))
    }

    /// What the kubelet says that the pod's spec grants.
    pub(crate) fn declares(self, pages: u64) -> Self {
        let pod = DeclaredPod {
            uid: PodUid::from_path(UID).expect("a uid"),
            name: PodName { namespace: "db".into(), name: "pg-0".into() },
            limits: vec![(page_size(), Bytes(pages * PG))],
            asked: Vec::new(),
            limits_without_claims: vec![(page_size(), Bytes(pages * PG))],
            acknowledged: Acknowledged::Nothing,
            own_resources: Vec::new(),
            containers: Vec::new(),
        };
        self.but(|snapshot| snapshot.declared = Some(Arc::new(Declared { pods: vec![pod] })))
    }

    /// The same with something else about it.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self.snapshot);
        self
    }

    /// Refusals that v2 counted in the pod and its first container.
    pub(crate) fn refused(self, count: u64) -> Self {
        self.but(|snapshot| {
            for cgroup in snapshot.cgroups_mut().iter_mut().skip(1).take(2) {
                let hierarchical = Reading::Present(count);
                cgroup.hugetlb_mut()[0].failures =
                    Failures::V2 { hierarchical, local: Reading::Present(count) };
            }
        })
    }

    /// The facts.
    pub(crate) fn snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// What one rule finds.
    pub(crate) fn findings(&self, rule: &str) -> Vec<Finding> {
        findings_of(&self.snapshot, rule)
    }

    /// What one rule finds after it has been like this for so long.
    pub(crate) fn findings_after(&self, time: Duration, rule: &str) -> Vec<Finding> {
        findings_through(&[self.clone(), self.clone()], time, rule)
    }
}

/// What a probe of its own cgroup every five minutes has shown at the start, check by check.
pub(crate) fn probed(verdicts: &[(Check, Verdict)]) -> Option<Arc<Probes>> {
    let mut probes = Probes::none_yet(Target::Own, Duration::from_secs(300));
    for (check, verdict) in verdicts {
        probes.add(page_size(), *check, verdict.clone());
        let ended = example::node(Duration::ZERO).taken;
        probes.last.insert(page_size(), LastProbe { ended, took: Duration::from_millis(3) });
    }
    Some(Arc::new(probes))
}

/// The same with a guard that says it wrote this to that cgroup: what for, how many pages, and what was there before.
pub(crate) fn guarded(node: Node, cgroup: &str, written: &[(Action, u64, Limit)]) -> Node {
    let entries = written.iter().map(|(action, pages, old)| Entry {
        cgroup: cgroup.to_owned(),
        pod_uid: UID.to_owned(),
        container_id: None,
        action: *action,
        page_size: page_size(),
        value: Limit::At(Bytes(pages * PG)),
        old: *old,
        result: Outcome::Written,
        reason: None,
    });
    node.but(|snapshot| {
        let known = snapshot.guard.as_ref().map(|guard| guard.report.entries.clone());
        let entries = known.into_iter().flatten().chain(entries).collect();
        snapshot.guard = Some(Arc::new(Guard::new(example::report(entries))));
    })
}

/// What one rule finds at a first look.
pub(crate) fn findings_of(snapshot: &Snapshot, rule: &str) -> Vec<Finding> {
    let node = Node { snapshot: snapshot.clone(), containers: 0 };
    findings_through(&[node], Duration::ZERO, rule)
}

/// What one rule finds in the last of these, each so long after the one before.
pub(crate) fn findings_through(nodes: &[Node], apart: Duration, rule: &str) -> Vec<Finding> {
    let mut history = History::new(Retention::default());
    let mut findings = Vec::new();
    let mut now = Duration::ZERO;
    for node in nodes {
        let mut snapshot = node.snapshot.clone();
        snapshot.taken.since_start = now;
        snapshot.taken.wall += now;
        now += apart;
        history.update(&snapshot);
        findings = assess(&snapshot, &history, &Thresholds::default()).findings;
    }
    findings.retain(|finding| finding.name == rule);
    findings
}
