//! Nodes on which something has happened.

use super::{Pod, crashing_pods, seen, snapshot};
use crate::view::View;

/// A database that is seen poll by poll, and the others.
struct Story {
    pods: Vec<Pod>,
    snapshots: Vec<crate::snapshot::Snapshot>,
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
