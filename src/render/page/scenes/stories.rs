//! Nodes on which something has happened.

use std::sync::Arc;

use super::{Pod, crashing_pods, seen, snapshot, usual_pods};
use crate::identity::Owner;
use crate::snapshot::{
    Cgroup, CgroupMemory, CgroupMount, Limit, MemoryAccounting, MemoryEvents, MemoryStat, Reading,
    Snapshot,
};
use crate::units::Bytes;
use crate::view::View;

/// A database that is seen poll by poll, and the others.
struct Story {
    pods: Vec<Pod>,
    snapshots: Vec<Snapshot>,
    seconds: u64,
}

impl Story {
    fn begin() -> Self {
        Self { pods: crashing_pods(), snapshots: Vec::new(), seconds: 0 }
    }

    /// A poll, so many seconds after the last one.
    fn poll(&mut self, seconds: u64, change: impl FnOnce(&mut Pod)) {
        self.seconds += seconds;
        change(&mut self.pods[0]);
        self.snapshots.push(snapshot(self.seconds, &self.pods));
    }

    /// It touches what it may not, is killed, and maps the same again.
    fn crash(&mut self) {
        for used in [120, 160, 210, 250, 300, 340, 390, 430, 470, 512] {
            self.poll(2, |pod| pod.used = used);
        }
        self.poll(2, |pod| (pod.used, pod.reserved, pod.refused) = (0, 0, 1));
        self.poll(2, |pod| (pod.used, pod.reserved) = (37, 564));
        self.poll(2, |_| {});
    }
}

/// It fills up, and is not there yet.
pub(in super::super) fn filling_up() -> View {
    let mut story = Story::begin();
    for used in (37..=410).step_by(13).chain([410]) {
        story.poll(2, |pod| pod.used = used);
    }
    seen(&story.snapshots)
}

/// Soon after the start, and just now.
pub(in super::super) fn after_a_crash() -> View {
    let mut story = Story::begin();
    story.poll(100, |pod| pod.used = 37);
    story.crash();
    seen(&story.snapshots)
}

/// Then its limit is set to what it maps, and it takes all of it.
pub(in super::super) fn fixed_since() -> View {
    let mut story = Story::begin();
    story.poll(100, |pod| pod.used = 37);
    story.crash();
    for poll in 0..20 {
        story.poll(2, |pod| pod.used = 37 + 20 * poll);
    }
    story.poll(2, |pod| (pod.limit, pod.used, pod.reserved) = (600, 0, 0));
    for used in [37, 200, 400, 564, 564, 564] {
        story.poll(2, |pod| (pod.used, pod.reserved) = (used, 564));
    }
    seen(&story.snapshots)
}

/// It filled up for half an hour before.
pub(in super::super) fn long_run_up() -> View {
    let mut story = Story::begin();
    for poll in 0..900 {
        story.poll(2, |pod| pod.used = 20 + poll / 10);
    }
    story.crash();
    seen(&story.snapshots)
}

/// Huge pages count as memory, and the first database's memory was sized without them.
pub(in super::super) fn memory_short() -> View {
    let snapshots = [60, 62].map(|seconds| {
        let mut snapshot = snapshot(seconds, &usual_pods());
        let options = ["rw", "nsdelegate", "memory_hugetlb_accounting"].map(str::to_owned);
        let mount = CgroupMount { point: "/sys/fs/cgroup".to_owned(), options: options.to_vec() };
        snapshot.accounting = MemoryAccounting::On(mount);
        for cgroup in snapshot.cgroups_mut() {
            cgroup.memory = memory(cgroup).map(Arc::new);
        }
        snapshot
    });
    seen(&snapshots)
}

fn memory(cgroup: &Cgroup) -> Option<CgroupMemory> {
    let Owner::Container(container) = &*cgroup.owner else { return None };
    let is_first = container.pod.uid.as_str().starts_with("00000001");
    let (used, anon) = (cgroup.hugetlb[0].usage.present()?, 96 << 20);
    let stat = MemoryStat {
        anon: Bytes(anon),
        kernel: Reading::Present(Bytes(0)),
        ..MemoryStat::default()
    };
    Some(CgroupMemory {
        limit: Reading::Present(Limit::At(Bytes(if is_first { 1 << 30 } else { 2 << 30 }))),
        usage: Reading::Present(Bytes(used.0 + anon)),
        events: Reading::Present(MemoryEvents { max: 0, oom: 0, oom_kill: 0 }),
        stat: if is_first { Reading::Present(stat) } else { Reading::Absent },
        swap_room: Reading::Absent,
    })
}
