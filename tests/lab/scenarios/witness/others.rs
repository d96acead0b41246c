//! SIGBUS for other reasons, and where the witness can't see.

use super::{Bus, Witness, killed};
use crate::Lab;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

/// No counter moves, and no limit is near.
pub(super) fn an_empty_pool_is_told(lab: &Lab) {
    let witness = Witness::start();
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("vm-0", 400);
    let container = kubepods.container(&pod, "qemu", &id("aa"), 0);
    let ballast_pod = kubepods.pod("ballast", 500);
    let ballast_container = kubepods.container(&ballast_pod, "c", &id("bb"), 0);
    let agent = witness.agent(&kubepods, &["--poll.interval=2s"]);
    let mut victim = Tenant::new(&container, "no-reserve");
    victim.map(20);
    victim.touch(3);
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: u64 = free.expect("a count").trim().parse().expect("a count");
    let mut ballast = Tenant::new(&ballast_container, "shared");
    ballast.map(free);
    agent.fresh();
    let pid = victim.pid();
    victim.touch_and_die(20);
    let it = wait_for("the kill to be told", || killed(&agent).pop());
    assert_eq!((&it["pid"], &it["cause"]), (&pid.into(), &"pool".into()), "{it}");
    let labels = [("pod", "vm-0"), ("container", "qemu"), ("finding", "pool-empty-kill")];
    wait_for("the finding", || agent.scrape().value("hugetlb_finding", &labels));
    let scrape = agent.scrape();
    assert_eq!(scrape.with("hugetlb_finding", &[("finding", "faults-refused")]).count(), 0);
    drop(ballast);
}

/// In a container that holds huge pages and is at its limit, which is no proof of anything.
pub(super) fn what_is_not_for_huge_pages(lab: &Lab) {
    let witness = Witness::start();
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("db-0", 4);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = witness.agent(&kubepods, &[]);
    let mut holder = Tenant::new(&container, "shared");
    holder.map(4);
    holder.touch(4);
    agent.fresh();
    let count = |cause| {
        let labels = [("pod", "db-0"), ("cause", cause)];
        agent.scrape().value("hugetlb_container_sigbus_total", &labels)
    };
    assert_eq!(Bus::new(&container, &["kill"]).once().1, 7);
    let (cut, signal) = Bus::new(&container, &["cut-file"]).once();
    assert_eq!(signal, 7);
    wait_for("the cut file's", || count("other"));
    assert_eq!(Bus::new(&container, &["memory-error"]).once().1, 7);
    wait_for("the memory error's", || count("memory"));
    assert_eq!(killed(&agent).len(), 2, "what is sent by kill is nobody's fault");
    assert_eq!(killed(&agent)[0]["pid"], cut, "the cut file's came first");
    assert_eq!([count("limit"), count("pool"), count("dropped")], [None; 3]);
    let scrape = agent.after_polls(3.0);
    for finding in ["faults-refused", "pool-empty-kill"] {
        assert_eq!(scrape.with("hugetlb_finding", &[("finding", finding)]).count(), 0);
    }
}

/// It says why, once, and all else works.
pub(super) fn without_privilege_it_says_so(lab: &Lab) {
    let witness = Witness::with_capabilities("-all");
    let told = wait_for("the witness to say why", || witness.told());
    assert!(told.contains("CAP_BPF and CAP_PERFMON"), "{told}");
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("db-0", 1);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = witness.agent(&kubepods, &[]);
    let up = [("source", "witness")];
    assert_eq!(agent.scrape().value("hugetlb_exporter_source_up", &up), Some(0.0));
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(2);
    tenant.touch_and_die(2);
    wait_for("the refusal", || {
        let labels = [("finding", "faults-refused"), ("pod", "db-0")];
        agent.scrape().value("hugetlb_finding", &labels)
    });
    assert_eq!(agent.scrape().with("hugetlb_container_sigbus_total", &[]).count(), 0);
    let said: Vec<_> = agent.log().into_iter().filter(|line| line.contains("witness")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
}
