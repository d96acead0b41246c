//! Everything that can happen to a pod, in any order, on a kernel made of numbers.

use proptest::prelude::*;

use super::*;
use crate::guard::facts::Level;

/// A pod of three containers as the kernel has it.
#[derive(Debug, Clone)]
struct Pod {
    own: Level,
    containers: Vec<Level>,
    was_granted: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Map(usize, u64),
    Touch(usize, u64),
    End(usize),
    /// Somebody else sets a fault limit, where the kernel lets him.
    Limit(usize, u64),
    ReservationLimit(usize, Option<u64>),
}

fn event() -> impl Strategy<Value = Event> {
    let (who, pages) = (0_usize..4, 0_u64..12);
    prop_oneof![
        (0_usize..3, pages.clone()).prop_map(|(who, pages)| Event::Map(who, pages)),
        (0_usize..3, pages.clone()).prop_map(|(who, pages)| Event::Touch(who, pages)),
        (0_usize..3).prop_map(Event::End),
        (who.clone(), pages.clone()).prop_map(|(who, pages)| Event::Limit(who, pages)),
        (who, prop::option::of(pages)).prop_map(|(who, pages)| Event::ReservationLimit(who, pages)),
    ]
}

impl Pod {
    fn level(&mut self, index: usize) -> &mut Level {
        if index == 3 { &mut self.own } else { &mut self.containers[index] }
    }

    /// What happens, if the kernel lets it; true if somebody dies of it.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Map(who, number) => {
                let more = pages(number);
                let fits = |level: &Level| {
                    Limit::At(Bytes(level.reserved.0 + more.0)) <= level.reservation_limit
                };
                if fits(&self.own) && fits(&self.containers[who]) {
                    self.own.reserved.0 += more.0;
                    self.containers[who].reserved.0 += more.0;
                }
                false
            }
            Event::Touch(who, number) => {
                let more = Bytes(pages(number).0.min(self.containers[who].outstanding().0));
                let fits = |level: &Level| Limit::At(Bytes(level.usage.0 + more.0)) <= level.limit;
                if !(fits(&self.own) && fits(&self.containers[who])) {
                    self.happen(Event::End(who));
                    return true;
                }
                self.own.usage.0 += more.0;
                self.containers[who].usage.0 += more.0;
                false
            }
            Event::End(who) => {
                let Level { usage, reserved, .. } = self.containers[who];
                self.own.usage.0 -= usage.0;
                self.own.reserved.0 -= reserved.0;
                (self.containers[who].usage, self.containers[who].reserved) = (pages(0), pages(0));
                false
            }
            Event::Limit(who, limit) => {
                let level = self.level(who);
                if level.usage <= pages(limit) {
                    level.limit = at(limit);
                }
                false
            }
            Event::ReservationLimit(who, limit) => {
                let level = self.level(who);
                let limit = limit.map_or(Limit::Unlimited, at);
                if Limit::At(level.reserved) <= limit {
                    level.reservation_limit = limit;
                }
                false
            }
        }
    }

    fn facts(&mut self) -> PodFacts {
        self.was_granted |= matches!(self.own.granted(), Limit::At(limit) if limit > Bytes::ZERO);
        PodFacts {
            page_size: size(),
            pod: self.own.clone(),
            containers: self.containers.clone(),
            was_granted: self.was_granted,
            since_rescue: None,
        }
    }

    /// Makes a write, and records it as the guard does. False where the kernel refuses it.
    fn write(&mut self, write: &Write) -> bool {
        let level = self.level(match write.place {
            Place::Pod => 3,
            Place::Container(index) => index,
        });
        let (value, record, least) = match write.which {
            Which::Fault => (&mut level.limit, &mut level.ours.limit, level.usage),
            Which::Reservation => {
                (&mut level.reservation_limit, &mut level.ours.reservation, level.reserved)
            }
        };
        assert_eq!(*value, write.from, "{write:?}");
        if Limit::At(least) > write.to {
            return false;
        }
        let ours = record.filter(|ours| ours.new == write.from);
        let old = ours.map_or(write.from, |ours| ours.old);
        let why = ours.filter(|_| write.why == Action::Restore).map_or(write.why, |ours| ours.why);
        let repeated = write.repeats || ours.is_some_and(|ours| ours.repeated);
        *value = write.to;
        *record = (!write.ends).then_some(Change { why, old, new: write.to, repeated });
        true
    }

    /// Lets the rules decide until they are silent; killed after so many writes, if that is sooner.
    fn settle(&mut self, policy: &Policy, mut kill_after: usize) {
        for round in 0.. {
            assert!(round < 4, "the rules are never silent: {self:?}");
            let facts = self.facts();
            let decision = decide(&facts, Some(&around()), policy, Leave::Granted);
            if decision.plans.is_empty() {
                return;
            }
            check(&facts, &decision);
            for (place, which) in decision.forgotten {
                let level = self.level(match place {
                    Place::Pod => 3,
                    Place::Container(index) => index,
                });
                match which {
                    Which::Fault => level.ours.limit = None,
                    Which::Reservation => level.ours.reservation = None,
                }
            }
            for plan in decision.plans {
                for write in plan {
                    if kill_after == 0 {
                        return;
                    }
                    kill_after -= 1;
                    if !self.write(&write) {
                        break;
                    }
                }
            }
        }
    }
}

/// What no decision may do.
fn check(facts: &PodFacts, decision: &Decision) {
    for write in decision.plans.iter().flatten() {
        let level = facts.level(write.place).expect("a level");
        match (write.which, write.why) {
            (Which::Fault, Action::Rescue) => {
                assert!(write.to > write.from, "a rescue raises: {write:?}");
                let granted = level.granted().finite().expect("it had a limit");
                let added = write.to.finite().expect("and has one").less(granted);
                assert!(
                    added <= facts.pod.reserved,
                    "more than the pool holds for the pod: {write:?}"
                );
                if write.place != Place::Pod {
                    assert_eq!(write.to, Limit::At(level.reserved), "{write:?}");
                }
            }
            (Which::Fault, Action::Restore) => {
                assert!(level.is_rescued() && Limit::At(level.reserved) <= write.to, "{write:?}");
            }
            (Which::Fault, why) => panic!("{why:?} writes no fault limit"),
            (Which::Reservation, Action::Refuse) => {
                let is_ours = level.our_reservation().is_some();
                assert!(is_ours || write.to < write.from, "a refusal raises nothing: {write:?}");
                assert!(Limit::At(level.reserved) <= write.to, "EBUSY: {write:?}");
            }
            (Which::Reservation, Action::Bound) => assert!(write.to < write.from, "{write:?}"),
            (Which::Reservation, _) => {}
        }
    }
}

fn fresh() -> Pod {
    let unlimited = || level(Limit::Unlimited, 0, 0);
    Pod {
        own: unlimited(),
        containers: vec![unlimited(), unlimited(), unlimited()],
        was_granted: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The rules end, whatever happens, and wherever they are killed.
    #[test]
    fn the_rules_are_silent_in_the_end(
        events in prop::collection::vec((event(), 0_usize..8), 1..40),
        refuse in prop_oneof![Just(Refuse::Off), Just(Refuse::Ungranted), Just(Refuse::All)],
        rescue: bool,
    ) {
        let mut pod = fresh();
        let policy = policy(refuse, rescue);
        for (event, kill_after) in events {
            pod.happen(event);
            pod.settle(&policy, kill_after);
            pod.settle(&policy, usize::MAX);
        }
        // Everyone ends: then nothing is raised any more, and nothing is bound.
        for who in 0..3 {
            pod.happen(Event::End(who));
        }
        pod.settle(&policy, usize::MAX);
        for level in pod.containers.iter().chain([&pod.own]) {
            prop_assert!(!level.is_rescued(), "{level:?}");
            let bound = level.our_reservation().filter(|ours| ours.why != Action::Refuse);
            prop_assert_eq!(bound, None);
        }
    }

    /// Rescued in time, nobody dies of what was mapped, as long as nobody else sets limits.
    #[test]
    fn nobody_dies_who_is_rescued_in_time(
        limits in prop::collection::vec(0_u64..12, 4),
        events in prop::collection::vec(event(), 1..40),
        bound: bool,
    ) {
        let mut pod = fresh();
        for (who, limit) in limits.into_iter().enumerate() {
            pod.happen(Event::Limit(who, limit));
        }
        let policy = Policy { rescue_bound: bound, ..policy(Refuse::Off, true) };
        for event in events {
            if matches!(event, Event::Limit(..) | Event::ReservationLimit(..)) {
                continue;
            }
            prop_assert!(!pod.happen(event), "{event:?}: {pod:?}");
            pod.settle(&policy, usize::MAX);
        }
    }

    /// With refuse=all nobody comes to have reserved more than the limit.
    #[test]
    fn nobody_who_is_refused_in_time_dies(
        limits in prop::collection::vec(0_u64..12, 4),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut pod = fresh();
        for (who, limit) in limits.into_iter().enumerate() {
            pod.happen(Event::Limit(who, limit));
        }
        let policy = policy(Refuse::All, false);
        pod.settle(&policy, usize::MAX);
        for event in events {
            if matches!(event, Event::Limit(..) | Event::ReservationLimit(..)) {
                continue;
            }
            prop_assert!(!pod.happen(event), "{event:?}: {pod:?}");
            pod.settle(&policy, usize::MAX);
        }
    }
}
