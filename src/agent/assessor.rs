//! What is made of a snapshot: remembered, assessed, confirmed. Made anew where something is different, and every half minute.
//!
//! The same facts give the same assessment, but for what polls and time change by themselves:
//!
//! - refusals are classified by the polls after them, for 2 s at least ([`SETTLED_POLLS`], [`SETTLED`]);
//! - a finding is raised by the second poll that finds it, and some say how long ago something was: nothing is skipped until
//!   two polls have found the same in the same words;
//! - a new container is held back until it has a name or is 10 s old: nothing is skipped meanwhile;
//! - a grant has been idle for long enough, a refusal is old news, a probe is overdue, a dead pod is forgotten: that is seen
//!   at the next assessment, [`AGAIN`] after the last.
//!
//! So whatever time alone changes comes [`AGAIN`] and one poll later at most, and all else as if nothing were skipped.

use std::sync::Arc;
use std::time::Duration;

use crate::assessment::{Assessment, Changes, Findings, Thresholds, assess};
use crate::history::{History, Retention};
use crate::snapshot::Snapshot;
use crate::view::View;

/// So many polls and so long after a difference nothing is skipped.
const SETTLED_POLLS: u32 = 4;
const SETTLED: Duration = Duration::from_secs(3);

/// So often everything is assessed though nothing is different.
const AGAIN: Duration = Duration::from_secs(30);

/// The memory, and what is believed.
#[derive(Debug)]
pub(super) struct Assessor {
    history: History,
    thresholds: Thresholds,
    findings: Findings,
    /// When something was last different, and how many polls ago.
    different_at: Duration,
    polls_since: u32,
    /// When it was last assessed, and whether the poll before had found the same, in the same words.
    assessed_at: Duration,
    found_the_same: bool,
}

impl Assessor {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self {
            history: History::new(Retention::default()),
            thresholds,
            findings: Findings::default(),
            different_at: Duration::ZERO,
            polls_since: 0,
            assessed_at: Duration::ZERO,
            found_the_same: false,
        }
    }

    /// What there is to say of a snapshot, and what of it is new; `before` is the view of the poll before.
    pub(super) fn assess(
        &mut self,
        snapshot: &Snapshot,
        before: Option<&View>,
    ) -> (Arc<Assessment>, Changes) {
        let now = snapshot.taken.since_start;
        let same = before.filter(|before| are_same(&before.snapshot, snapshot));
        self.polls_since = self.polls_since.saturating_add(1);
        if same.is_none() {
            (self.different_at, self.polls_since) = (now, 0);
        }
        match same {
            Some(before) if !self.is_due(now) => {
                (Arc::clone(&before.assessment), Changes::default())
            }
            before => {
                let (assessment, changes, confirmed) = self.assess_anew(snapshot);
                let is_same = |before: &View| before.assessment.findings == assessment.findings;
                self.found_the_same = confirmed && before.is_some_and(is_same);
                (Arc::new(assessment), changes)
            }
        }
    }

    /// Whether a container waits for its name.
    pub(super) fn awaits_names(&self) -> bool {
        self.history.awaits_names()
    }

    fn is_due(&self, now: Duration) -> bool {
        self.polls_since < SETTLED_POLLS
            || now.saturating_sub(self.different_at) < SETTLED
            || now.saturating_sub(self.assessed_at) >= AGAIN
            || !self.found_the_same
            || self.awaits_names()
    }

    /// The assessment, what of it is new, and whether all that was found is believed.
    fn assess_anew(&mut self, snapshot: &Snapshot) -> (Assessment, Changes, bool) {
        self.assessed_at = snapshot.taken.since_start;
        self.history.update(snapshot);
        let mut assessment = assess(snapshot, &self.history, &self.thresholds);
        let found = assessment.findings.len();
        let changes = self.findings.confirm(&mut assessment.findings);
        let confirmed = assessment.findings.len() == found;
        (assessment, changes, confirmed)
    }
}

/// Whether two snapshots differ in nothing but their time. The reader and the slots hand on what is shared until it is
/// different, so most of it is the same in memory.
fn are_same(before: &Snapshot, now: &Snapshot) -> bool {
    let Snapshot { taken: _, pools, memory, hierarchy, cgroups, own, .. } = before;
    let Snapshot { names, declared, mappings, guard, probes, witness, sources, accounting, .. } =
        before;
    (pools, memory, hierarchy, own) == (&now.pools, &now.memory, &now.hierarchy, &now.own)
        && *accounting == now.accounting
        && (names, sources) == (&now.names, &now.sources)
        && Arc::ptr_eq(cgroups, &now.cgroups)
        && are_one(declared.as_ref(), now.declared.as_ref())
        && are_one(mappings.as_ref(), now.mappings.as_ref())
        && are_one(guard.as_ref(), now.guard.as_ref())
        && are_one(probes.as_ref(), now.probes.as_ref())
        && match (witness, &now.witness) {
            (Some(before), Some(now)) => before.says_the_same(now),
            (before, now) => before.is_none() && now.is_none(),
        }
}

fn are_one<T>(before: Option<&Arc<T>>, now: Option<&Arc<T>>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        (before, now) => before.is_none() && now.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::incidents::Incidents;
    use crate::snapshot::{Limit, Reading, example};
    use crate::units::{Bytes, Pages};
    use crate::view::Poll;

    const PAGE: u64 = 2 << 20;

    /// What happens before a poll.
    #[derive(Debug, Clone)]
    enum Event {
        Nothing,
        Use(u64),
        Reserve(u64),
        Limit(u64),
        Refuse,
        /// The container goes, or comes back.
        Swap,
        Pool(u64),
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let event = prop_oneof![
            12 => Just(Event::Nothing),
            1 => (0..20_u64).prop_map(Event::Use),
            1 => (0..20_u64).prop_map(Event::Reserve),
            1 => (0..20_u64).prop_map(Event::Limit),
            1 => Just(Event::Refuse),
            1 => Just(Event::Swap),
            1 => (0..20_u64).prop_map(Event::Pool),
        ];
        proptest::collection::vec((50..6000_u64, event), 1..100)
    }

    /// So long after time alone has changed what is found, the two may differ.
    const LATE: Duration = Duration::from_secs(AGAIN.as_secs() + 2 * 6);

    /// A node with one container, and what was said of it poll by poll by one that skips and by one that does not.
    struct Both {
        lazy: Assessor,
        eager: Assessor,
        before: Option<View>,
        /// What the eager one said of the same facts, and when.
        said: Vec<(Duration, String)>,
        /// What it found last, and when time alone changed that.
        found: Vec<&'static str>,
        moved_at: Option<Duration>,
        skipped: u32,
        snapshot: Snapshot,
        is_there: bool,
        figures: (u64, u64, u64, u64),
    }

    impl Both {
        fn new() -> Self {
            let thresholds = Thresholds {
                idle_for: Duration::from_secs(40),
                refused_for: Duration::from_secs(30),
                ..Thresholds::default()
            };
            let mut snapshot = example::node(Duration::ZERO);
            snapshot.pools.push(example::pool(500, 0));
            Self {
                lazy: Assessor::new(thresholds.clone()),
                eager: Assessor::new(thresholds),
                before: None,
                said: Vec::new(),
                found: Vec::new(),
                moved_at: None,
                skipped: 0,
                snapshot,
                is_there: true,
                figures: (0, 0, 10, 0),
            }
        }

        fn happen(&mut self, event: &Event) {
            match *event {
                Event::Nothing => return,
                Event::Use(pages) => self.figures.0 = pages,
                Event::Reserve(pages) => self.figures.1 = pages,
                Event::Limit(pages) => self.figures.2 = pages,
                Event::Refuse => self.figures.3 += 1,
                Event::Swap => self.is_there ^= true,
                Event::Pool(pages) => self.snapshot.pools[0].free = Reading::Present(Pages(pages)),
            }
            let (used, reserved, limit, refused) = self.figures;
            let mut figures = example::hugetlb(used * PAGE, refused);
            figures.reserved = Reading::Present(Bytes(reserved * PAGE));
            figures.limit = Reading::Present(Limit::At(Bytes(limit * PAGE)));
            self.snapshot.cgroups = Arc::default();
            if self.is_there {
                self.snapshot = self.snapshot.clone().with_container("u", 1, figures);
            }
        }

        fn poll(&mut self, milliseconds: u64) {
            let now = self.snapshot.taken.since_start + Duration::from_millis(milliseconds);
            self.snapshot.taken = example::node(now).taken;
            let is_same =
                self.before.as_ref().is_some_and(|it| are_same(&it.snapshot, &self.snapshot));
            if !is_same {
                self.said.clear();
            }
            let (eager, ..) = self.eager.assess_anew(&self.snapshot);
            let found: Vec<_> = eager.findings.iter().map(|finding| finding.name).collect();
            if is_same && self.found != found {
                self.moved_at = Some(now);
            }
            self.found = found;
            let assessed_at = self.lazy.assessed_at;
            let (mut lazy, _) = self.lazy.assess(&self.snapshot, self.before.as_ref());
            self.said.push((now, format!("{eager:?}")));
            let is_late = self.moved_at.is_some_and(|at| now.saturating_sub(at) < LATE);
            if is_same && self.lazy.assessed_at == assessed_at {
                self.skipped += 1;
                let text = format!("{lazy:?}");
                let recent = |at: &Duration| now.saturating_sub(*at) < AGAIN;
                assert!(is_late || self.said.iter().any(|(at, it)| recent(at) && *it == text));
            } else if is_late {
                let findings = std::mem::take(&mut Arc::make_mut(&mut lazy).findings);
                let eager = Assessment { findings: Vec::new(), ..eager };
                assert_eq!(format!("{lazy:?}"), format!("{eager:?}"));
                Arc::make_mut(&mut lazy).findings = findings;
            } else {
                assert_eq!(format!("{lazy:?}"), format!("{eager:?}"));
            }
            let poll = Poll {
                number: 0,
                woken: 0,
                duration: Duration::ZERO,
                next: Duration::ZERO,
                log_lines_lost: 0,
                events: None,
                process: Reading::Absent,
            };
            let (snapshot, incidents) = (self.snapshot.clone(), Incidents::default());
            self.before = Some(View { node: None, snapshot, assessment: lazy, incidents, poll });
        }
    }

    proptest! {
        #[test]
        fn what_is_not_assessed_anew_is_what_was_found_a_moment_ago(events in events()) {
            let mut both = Both::new();
            for (milliseconds, event) in &events {
                both.happen(event);
                both.poll(*milliseconds);
            }
            (0..60).for_each(|_| both.poll(2000));
            prop_assert!(both.skipped > 0);
        }
    }

    #[test]
    fn after_a_difference_nothing_is_skipped_until_all_is_decided() {
        let mut both = Both::new();
        both.happen(&Event::Use(1));
        (0..20).for_each(|_| both.poll(2000));
        both.happen(&Event::Use(2));
        both.skipped = 0;
        (0..4).for_each(|_| both.poll(2000));
        assert_eq!(both.skipped, 0);
        both.poll(2000);
        assert_eq!(both.skipped, 1);
    }
}
