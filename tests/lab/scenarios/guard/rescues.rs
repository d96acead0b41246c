//! Limits raised to what is reserved: who lives by it, and where none is raised.

use std::time::{Duration, Instant};

use super::keeper::{limit, reservation_limit, wait_for_limit, wait_for_reservation_limit};
use super::{Keeper, Places, SECTION};
use crate::Lab;
use crate::evidence;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::machine::POOL_PAGES;
use crate::scenarios::mappings::Hugetlbfs;
use crate::tenant::Tenant;
use crate::truth::blame;

const RESCUE: [&str; 2] = ["--guard.refuse=off", "--guard.rescue=on"];

/// An in-place resize as the kubelet writes it (kubernetes#141991): 0 for every size. What is mapped and untouched would die
/// at its next touch; what is touched makes the kernel refuse the resize.
pub fn resized(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    let pod = kubepods.pod("db-0", 64);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(40);
    pod.cgroup.limit(0);
    wait_for_limit(&pod.cgroup, 40);
    tenant.touch(40);
    assert_eq!(reservation_limit(&pod.cgroup), Some(40), "it is bound");
    tenant.stop();
    wait_for_limit(&pod.cgroup, 0);
    wait_for_reservation_limit(&pod.cgroup, None);
    evidence::tell(
        SECTION,
        format!(
            "{}: a pod resized in place to 0, its 40 pages mapped and untouched, is rescued and touches all of them",
            lab.phase
        ),
    );
}

/// From a mapping that is too large to the raised limit.
pub fn how_soon(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    let pod = kubepods.pod("db-0", 64);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    let runs = if evidence::is_long() { 200 } else { 20 };
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..runs {
        let mut tenant = Tenant::new(&container, "shared");
        let began = Instant::now();
        tenant.map(100);
        while limit(&pod.cgroup) != Some(100) {
            assert!(began.elapsed() < Duration::from_secs(5), "no rescue came");
            std::thread::yield_now();
        }
        times.push(began.elapsed());
        tenant.touch(100);
        tenant.stop();
        wait_for_limit(&pod.cgroup, 64);
    }
    times.sort();
    let of = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    evidence::tell(
        SECTION,
        format!(
            "{}: R, from a mapping that is too large to the raised limit, of {runs}: median {:.1} ms, 99 % {:.1} ms, most {:.1} ms \
             (--guard.rescue-interval=20ms)",
            lab.phase,
            of(50),
            of(99),
            of(100)
        ),
    );
}

/// A sibling that is idle and then touches all that it was granted, beside one that over-commits its own limit.
pub fn sibling(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    let pod = kubepods.pod("two", 100);
    let [a, b] = ["aa", "bb"].map(|name| {
        let container = kubepods.container(&pod, name, &id(name), 0);
        container.limit(50);
        container
    });
    let mut idle = Tenant::new(&b, "shared");
    let mut over = Tenant::new(&a, "shared");
    over.map(80);
    wait_for_limit(&a, 80);
    assert_eq!((limit(&pod.cgroup), limit(&b)), (Some(130), Some(50)));
    over.touch(80);
    idle.map(50);
    idle.touch(50);
    over.stop();
    wait_for_limit(&a, 50);
    wait_for_limit(&pod.cgroup, 100);
    evidence::tell(
        SECTION,
        format!(
            "{}: a sibling that is idle and then touches all it was granted lives beside one that was rescued",
            lab.phase
        ),
    );
}

/// A file reserved by one pod and touched by another: who will touch the rest can't be told.
pub fn crossed(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let hugetlbfs = Hugetlbfs::new();
    let [one, two] = ["one", "two"].map(|name| kubepods.pod(name, 8));
    let [a, b] =
        [(&one, "aa"), (&two, "bb")].map(|(pod, name)| kubepods.container(pod, name, &id(name), 0));
    let file = hugetlbfs.file("data");
    let mut first = Tenant::with_file(&a, &file);
    first.map(12);
    let mut second = Tenant::with_file(&b, &file);
    second.map(12);
    second.touch(3);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    places.wait_for_count("rescue", "skipped", 1);
    let told = places.told();
    assert_eq!(told["entries"][0]["reason"], "uncertain", "{told}");
    assert_eq!((limit(&one.cgroup), limit(&two.cgroup)), (Some(8), Some(8)));
    evidence::tell(
        SECTION,
        format!(
            "{}: what is reserved in one pod and touched in another is not rescued (uncertain)",
            lab.phase
        ),
    );
}

/// The pool was made smaller than what is outstanding: free pages are short.
pub fn empty_pool(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("db-0", 8);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    // Pages that nobody has reserved are taken by those who reserve none, up to the last: the kernel keeps what was promised.
    let ballast = kubepods.pod("ballast", POOL_PAGES);
    let holder = kubepods.container(&ballast, "holder", &id("ba"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(12);
    let mut rest = Tenant::new(&holder, "no-reserve");
    let free = blame::available();
    rest.map(free);
    rest.touch(free);
    assert_eq!(blame::available(), 0);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    // What is outstanding is covered to the page, so it is raised, and all of it is there.
    wait_for_limit(&pod.cgroup, 12);
    tenant.touch(12);
    evidence::tell(
        SECTION,
        format!(
            "{}: with not a page to spare, what is reserved is rescued and is there",
            lab.phase
        ),
    );
}

/// Somebody lowers what was raised, as a resize or an update does.
pub fn contested(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &RESCUE);
    let pod = kubepods.pod("db-0", 64);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(100);
    wait_for_limit(&pod.cgroup, 100);
    let began = Instant::now();
    pod.cgroup.limit(10);
    places.wait_for_count("rescue", "skipped", 1);
    assert_eq!(places.told()["entries"][0]["reason"], "too-soon");
    wait_for_limit(&pod.cgroup, 100);
    assert!(began.elapsed() > Duration::from_secs(8), "{:?}", began.elapsed());
    wait_for("the word for it", || {
        (places.told()["entries"][0]["result"] == "contested").then_some(())
    });
    tenant.touch(100);
    tenant.stop();
    wait_for_limit(&pod.cgroup, 10);
}

/// A server that forks within what it was granted, rescued, bound and unbound.
pub fn bound(lab: &Lab) {
    for (flag, expected) in [("on", Some(100)), ("off", None)] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let places = Places::new();
        let bound = format!("--guard.rescue-bound={flag}");
        let _keeper = Keeper::start(&kubepods, &places, &[&RESCUE[..], &[&bound]].concat());
        let pod = kubepods.pod("db-0", 64);
        let container = kubepods.container(&pod, "postgres", &id("db"), 0);
        let mut tenant = Tenant::new(&container, "shared");
        tenant.map(100);
        wait_for_limit(&pod.cgroup, 100);
        assert_eq!(reservation_limit(&pod.cgroup), expected);
        // One more mapping: bound, it is refused; unbound, the limit follows.
        let mut more = Tenant::new(&container, "shared");
        let answer = more.tell("map 5").expect("an answer");
        if flag == "on" {
            assert_eq!(answer, "refused ENOMEM");
        } else {
            assert_eq!(answer, "mapped");
            wait_for_limit(&pod.cgroup, 105);
            more.touch(5);
        }
        tenant.touch(100);
        // One that maps without a reservation is refused at its touch by a bound, and by the raised limit alike.
        let mut unreserved = Tenant::new(&container, "no-reserve");
        unreserved.map(1);
        assert!(!unreserved.survives_touching(1));
    }
}
