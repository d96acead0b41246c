//! What was refused, told from what else happened.

use super::*;
use crate::history::chain::Room;
use crate::snapshot::example::{hugetlb, page_size};

const PAGE: u64 = 2 << 20;

/// A watch, and the time.
struct Story {
    watch: Watch,
    now: Duration,
    /// From one poll to the next.
    apart: Duration,
    at_refusal: Option<u64>,
    limit: u64,
    given_back: u64,
}

impl Story {
    fn begin() -> Self {
        Self::with_polls(Duration::from_secs(2))
    }

    fn with_polls(apart: Duration) -> Self {
        Self {
            watch: Watch::new(true),
            now: Duration::ZERO,
            apart,
            at_refusal: None,
            limit: 0,
            given_back: 0,
        }
    }

    /// A poll: pages used, pages of room, the counters.
    fn poll(
        &mut self,
        used: u64,
        room: u64,
        failures: Failures,
        may_refuse_mappings: bool,
    ) -> (u64, u64, u64) {
        self.poll_reading(Reading::Present(Bytes(used * PAGE)), room, failures, may_refuse_mappings)
    }

    fn poll_reading(
        &mut self,
        usage: Reading<Bytes>,
        room: u64,
        failures: Failures,
        may_refuse_mappings: bool,
    ) -> (u64, u64, u64) {
        self.now += self.apart;
        let now = Now { wall: SystemTime::UNIX_EPOCH + self.now, since_start: self.now };
        let hugetlb = Hugetlb { failures, usage, reserved: usage, ..hugetlb(0, 0) };
        assert_eq!(hugetlb.page_size, page_size());
        let limit = Reading::Present(Limit::At(Bytes(room * PAGE)));
        let room = Room::Bytes(Bytes(room * PAGE));
        let chain =
            Chain { limit, room, may_refuse_mappings, ..Chain::own(&hugetlb, (usage, usage)) };
        let at_refusal = self.at_refusal.take().map(|used: u64| {
            let usage = Reading::Present(Bytes(used * PAGE));
            let left = self.limit.saturating_sub(used);
            let room = Room::Bytes(Bytes(left * PAGE));
            Chain {
                usage,
                reserved: usage,
                room,
                given_back: Bytes(self.given_back * PAGE),
                ..chain
            }
        });
        self.take_in(&hugetlb, chain, at_refusal, now)
    }

    fn take_in(
        &mut self,
        hugetlb: &Hugetlb,
        chain: Chain,
        at_refusal: Option<Chain>,
        now: Now,
    ) -> (u64, u64, u64) {
        let figures =
            Figures { hugetlb, chain, at_refusal, explained: 0, is_pod: false, is_deserted: false };
        self.watch.take_in(&figures, now);
        self.told()
    }

    /// So many pages were used when the next refusal was heard of, under a limit of so many.
    fn heard_at(&mut self, used: u64, limit: u64) {
        (self.at_refusal, self.limit) = (Some(used), limit);
    }

    fn told(&self) -> (u64, u64, u64) {
        let Refusals { faults, reservations, ambiguous, .. } = self.watch.refusals;
        (faults, reservations, ambiguous)
    }
}

fn v2(count: u64) -> Failures {
    Failures::V2 { hierarchical: Reading::Present(count), local: Reading::Absent }
}

fn v1(faults: u64, reservations: u64) -> Failures {
    Failures::V1 { faults: Reading::Present(faults), reservations: Reading::Present(reservations) }
}

#[test]
fn without_a_reservation_limit_only_touches_are_refused() {
    let mut story = Story::begin();
    story.poll(10, 5, v2(0), false);
    assert_eq!(story.poll(10, 5, v2(3), false), (3, 0, 0));
    assert_eq!(story.watch.fault.expect("the last").at, Duration::from_secs(4));
}

#[test]
fn a_refused_touch_is_told_with_what_held_before_it() {
    // With these the limit is as large as the room.
    let mut story = Story::begin();
    story.poll(50, 64, v2(0), false);
    story.poll(3, 100, v2(1), false);
    let fault = story.watch.fault.as_deref().copied().expect("one");
    assert_eq!(fault.limit, Reading::Present(Limit::At(Bytes(64 * PAGE))), "raised since");
    assert_eq!(fault.mapped, Some(Bytes(50 * PAGE)));
    story.poll(3, 100, v2(1), false);
    assert_eq!(story.watch.fault.as_deref(), Some(&fault), "as long as nothing else is refused");
    // Nobody knows what held before a cgroup's first poll.
    let mut young = Story::begin();
    young.poll(7, 8, v2(1), false);
    let fault = young.watch.fault.expect("one");
    assert_eq!(fault.limit, Reading::Present(Limit::At(Bytes(8 * PAGE))));
    // What is decided later is told with what held then.
    let mut waited = Story::begin();
    waited.poll(50, 64, v2(0), true);
    waited.poll(50, 70, v2(1), true);
    waited.poll(3, 80, v2(1), true);
    let fault = waited.watch.fault.expect("a touch, since usage fell");
    assert_eq!(fault.limit, Reading::Present(Limit::At(Bytes(64 * PAGE))));
    assert_eq!(fault.at, Duration::from_secs(4));
}

#[test]
fn usage_that_falls_by_half_was_somebody_killed() {
    for polls_later in 0..=2 {
        let mut story = Story::begin();
        story.poll(10, 5, v2(0), true);
        for _ in 0..polls_later {
            assert_eq!(story.poll(10, 5, v2(1), true), (0, 0, 0), "not yet told");
        }
        assert_eq!(story.poll(5, 10, v2(1), true), (1, 0, 0), "{polls_later} polls later");
    }
}

#[test]
fn with_more_room_than_is_used_a_mapping_was_refused() {
    for (room, told) in [(11, (0, 2, 0)), (10, (0, 0, 2))] {
        let mut story = Story::begin();
        story.poll(10, room, v2(0), true);
        story.poll(10, room, v2(2), true);
        story.poll(10, room, v2(2), true);
        assert_eq!(story.poll(6, room, v2(2), true), told, "a child may have copied ten pages");
    }
}

#[test]
fn where_nothing_was_held_a_mapping_was_refused() {
    for (limit, told) in [(50, (0, 1, 0, 0)), (0, (0, 0, 1, 0))] {
        let mut story = Story::begin();
        for count in [0, 1, 1, 1] {
            story.poll(0, limit, v2(count), true);
        }
        let Refusals { faults, reservations, ungranted, ambiguous, .. } = story.watch.refusals;
        assert_eq!((faults, reservations, ungranted, ambiguous), told, "under {limit}");
    }
}

#[test]
fn without_room_or_without_knowing_it_may_be_either() {
    for rooms in [[0, 1], [1, 0]] {
        let mut story = Story::begin();
        let [before, after] = rooms;
        story.poll(10, before, v2(0), true);
        for _ in 0..2 {
            story.poll(10, after, v2(1), true);
        }
        assert_eq!(story.poll(10, after, v2(1), true), (0, 0, 1), "{rooms:?}");
        assert_eq!(story.watch.refusals.last_ambiguous, Some(Duration::from_secs(4)));
    }
    let mut old = Story { watch: Watch::new(false), ..Story::begin() };
    assert_eq!(old.poll(10, 9, v2(7), true), (0, 0, 7), "before we came");
    assert_eq!(old.watch.refusals.last_ambiguous, None);
}

#[test]
fn usage_that_can_not_be_read_has_not_fallen() {
    for unreadable in 0..3 {
        let mut story = Story::begin();
        story.poll(10, 5, v2(0), true);
        for poll in 0..3 {
            if poll == unreadable {
                story.poll_reading(Reading::Failed, 5, v2(1), true);
            } else {
                story.poll(10, 5, v2(1), true);
            }
        }
        assert_eq!(story.told(), (0, 0, 1), "at {unreadable}");
    }
    let mut story = Story::begin();
    story.poll(10, 5, v2(0), true);
    story.poll_reading(Reading::Failed, 5, v2(1), true);
    assert_eq!(story.poll(4, 5, v2(1), true), (1, 0, 0), "it fell behind our back");
}

#[test]
fn v1_counts_touches_apart() {
    let mut story = Story::begin();
    story.poll(10, 11, v1(0, 0), true);
    story.poll(10, 11, v1(1, 2), true);
    story.poll(10, 11, v1(1, 2), true);
    assert_eq!(story.poll(10, 11, v1(1, 2), true), (1, 2, 0));
    assert_eq!(story.watch.total, 3);
}

#[test]
fn a_container_that_ends_was_killed_if_it_was_full() {
    for (used, room, told) in
        [(9, 0, (1, 0, 0)), (9, 4, (0, 0, 1)), (4, 9, (0, 1, 0)), (0, 9, (0, 1, 0))]
    {
        let mut story = Story::begin();
        story.poll(used, room, v2(0), true);
        story.poll(used, room, v2(1), true);
        story.watch.end(true);
        assert_eq!(story.told(), told, "{used} {room}");
    }
}

#[test]
fn a_stream_of_refusals_is_told_all_the_same() {
    let mut story = Story::begin();
    for count in 0..100 {
        story.poll(4, 5, v2(count), true);
    }
    let (faults, reservations, ambiguous) = story.told();
    assert_eq!((faults, ambiguous), (0, 0));
    assert!(reservations >= 90, "{reservations}");
}

#[test]
fn a_poll_that_the_refusal_made_is_too_soon_to_decide() {
    let mut story = Story::with_polls(Duration::from_millis(100));
    story.poll(60, 4, v2(0), true);
    for _ in 0..5 {
        assert_eq!(story.poll(60, 4, v2(1), true), (0, 0, 0), "its pages are not back yet");
    }
    assert_eq!(story.poll(0, 64, v2(1), true), (1, 0, 0));
}

#[test]
fn refusals_without_end_are_decided_all_the_same() {
    let mut story = Story::with_polls(Duration::from_millis(100));
    story.poll(10, 0, v2(0), true);
    let told: Vec<_> = (1..=50).map(|count| story.poll(10, 0, v2(count), true)).collect();
    let (_, _, ambiguous) = told.last().copied().unwrap_or_default();
    assert!(ambiguous >= 25, "{told:?}");
}

mod moments;
