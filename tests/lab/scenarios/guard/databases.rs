//! Real PostgreSQL on a guarded node.

use std::time::{Duration, Instant};

use super::keeper::{limit, wait_for_limit, wait_for_reservation_limit};
use super::{Keeper, Places, SECTION};
use crate::Lab;
use crate::evidence;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::machine::Phase;
use crate::postgres::{Cluster, Ipc, Server, said};
use crate::scenarios::postgres::{BUFFERS, GRANT, HUGE, MAYBE_HUGE, load};

/// A pod whose limits the kubelet sets, of one container without any, as stock containerd makes it.
pub fn initdb(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &[]);
    let pod = kubepods.pod("db-0", 0);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    wait_for_reservation_limit(&pod.cgroup, Some(0));
    let (_cluster, output) = Cluster::initdb(&container);
    assert!(output.status.success(), "{}", said(&output));
    places.wait_for_count("refuse", "written", 1);
    evidence::tell(SECTION, format!("{}: initdb at limit 0 succeeds", lab.phase));
}

pub fn falls_back(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &["--guard.refuse=all"]);
    let pod = kubepods.pod("db-0", GRANT);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    container.limit(GRANT);
    wait_for_reservation_limit(&pod.cgroup, Some(GRANT));
    wait_for_reservation_limit(&container, Some(GRANT));
    let cluster = Cluster::new();
    let server = Server::start(&cluster, &container, &[MAYBE_HUGE, BUFFERS]);
    let reserved = container.read("hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes");
    assert_eq!(reserved, "0", "it fell back to ordinary pages");
    assert!(!load(&server, 6), "{}", server.log());
    drop(server);
    let mut server = Server::launch(&cluster, &container, &[HUGE, BUFFERS], Ipc::Shared);
    assert!(!server.wait_until_ended().success());
    crate::harness::wait_for("its reason", || {
        server
            .has_logged("could not map anonymous shared memory: Cannot allocate memory")
            .then_some(())
    });
    evidence::tell(
        SECTION,
        format!(
            "{}: huge_pages=try that needs more than its limit falls back under refuse=all and passes the load; =on refuses to start",
            lab.phase
        ),
    );
}

/// It maps 140 pages of the 64 that it was granted, and fills them as soon as it takes connections.
pub fn inserts_at_once(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &["--guard.refuse=off", "--guard.rescue=on"]);
    let pod = kubepods.pod("db-0", GRANT);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    let runs = if evidence::is_long() { 100 } else { 3 };
    let cluster = Cluster::new();
    let (mut lived, mut soonest) = (0, Duration::MAX);
    for _ in 0..runs {
        let began = Instant::now();
        let mut server = Server::launch(&cluster, &container, &[HUGE, BUFFERS], Ipc::Shared);
        // After a kill it recovers first, which touches pages before it takes connections.
        if comes_up(&mut server) {
            soonest = soonest.min(began.elapsed());
            if !load(&server, 3) {
                lived += 1;
            }
            let usage = container.read("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes");
            let usage = usage.parse::<u64>().expect("bytes") >> 21;
            assert!(usage > GRANT, "it was to fill more than its limit: {usage} pages");
            assert!(limit(&pod.cgroup) > Some(GRANT));
        } else {
            assert!(server.has_logged("signal 7: Bus error"), "{}", server.log());
        }
        drop(server);
        // What it lived by goes back when it is gone.
        wait_for_limit(&pod.cgroup, GRANT);
        wait_for_reservation_limit(&pod.cgroup, None);
    }
    evidence::tell(
        SECTION,
        format!(
            "{}: a server that maps 140 pages of the 64 it was granted and inserts at once lives under rescue in {lived} of {runs} \
             (it takes connections {} ms after its start at the soonest)",
            lab.phase,
            soonest.as_millis()
        ),
    );
    // A start that recovers touches sooner, and v1's figures leave open for longer who will touch the rest: then nothing is raised.
    let least = if lab.phase == Phase::V2 { runs / 2 } else { 0 };
    assert!(lived > least, "{lived} of {runs}");
}

/// Whether it takes connections; it does not where it has ended before.
fn comes_up(server: &mut Server<'_>) -> bool {
    wait_for("PostgreSQL to be ready or to end", || {
        let is_ready = server.has_logged("ready to accept connections");
        is_ready.then_some(true).or_else(|| server.ended().map(|_| false))
    })
}
