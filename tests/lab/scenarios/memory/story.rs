//! The story: a database pod whose memory was sized without its huge pages is found before it hangs, with the value; it hangs; with that
//! value it goes on; and a pod that has the value from the start is silent.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::super::figures::assert_value;
use super::{Accounting, EVIDENCE};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::tenant::Tenant;

const MI: u64 = 1 << 20;
/// Maps 40 pages, has touched 4, in 48 MiB of memory.
const PAGES: u64 = 40;
const TOUCHED: u64 = 4;
const MEMORY: u64 = 48 * MI;

/// A pod of one container, and its tenant, which goes first.
struct Database {
    tenant: Tenant,
    container: Cgroup,
    pod: Pod,
}

impl Database {
    fn new(kubepods: &Kubepods<'_>, name: &str, memory: u64) -> Self {
        let pod = kubepods.pod(name, 2 * PAGES);
        let container = kubepods.container(&pod, "postgres", &id(&name.replace('-', "")), 0);
        container.limit(2 * PAGES);
        for cgroup in [&container, &pod.cgroup] {
            set_memory(cgroup, memory);
        }
        let mut tenant = Tenant::new(&container, "shared");
        tenant.map(PAGES);
        tenant.touch(TOUCHED);
        Self { tenant, container, pod }
    }
}

fn set_memory(cgroup: &Cgroup, bytes: u64) {
    fs::write(cgroup.path().join("memory.max"), bytes.to_string()).expect("a limit of memory");
}

/// A figure of a finding of that pod, once it is there.
fn found(agent: &Agent, family: &str, finding: &str, pod: &str) -> f64 {
    let labels = [("finding", finding), ("pod", pod), ("container", "postgres")];
    wait_for(&format!("{finding} of {pod}"), || agent.scrape().value(family, &labels))
}

fn is_found(scrape: &Exposition, finding: &str, pod: &str) -> bool {
    let labels = [("finding", finding), ("pod", pod)];
    scrape.with("hugetlb_finding", &labels).next().is_some()
}

pub fn database(lab: &Lab) {
    let _on = Accounting::switch(lab, true);
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let agent = kubepods.agent(&[]);
    let mut database = Database::new(&kubepods, "db-0", MEMORY);
    let began = Instant::now();
    found(&agent, "hugetlb_finding", "memory-short", "db-0");
    let told = began.elapsed();
    let required = found(&agent, "hugetlb_finding_required_limit_bytes", "memory-short", "db-0");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a limit")]
    let required = required as u64;
    assert_value(&agent.scrape(), "hugetlb_exporter_memory_accounting", &[], 1);
    let (report, code) = kubepods.report();
    assert!(code == Some(2) && report.contains("CRITICAL memory-short"), "{report}");

    let pid = database.tenant.pid();
    let (send, answer) = mpsc::channel();
    let mut tenant = database.tenant;
    let touching = thread::spawn(move || {
        let answer = tenant.tell(&format!("touch {PAGES}"));
        let _ = send.send(answer);
        tenant
    });
    let began = Instant::now();
    found(&agent, "hugetlb_finding", "memory-hang", "db-0");
    let seen = began.elapsed();
    let (report, _) = kubepods.report();
    assert!(report.contains("CRITICAL memory-hang"), "{report}");
    assert!(answer.recv_timeout(Duration::from_millis(10)).is_err(), "{pid} hangs");

    // The value, in place, as the finding says: here and in the pod.
    for cgroup in [&database.container, &database.pod.cgroup] {
        set_memory(cgroup, required);
    }
    let freed = answer.recv_timeout(Duration::from_secs(10)).expect("it goes on");
    assert_eq!(freed, Some(format!("touched {PAGES}")));
    database.tenant = touching.join().expect("the tenant");
    wait_for("both findings to end", || {
        let scrape = agent.scrape();
        (!is_found(&scrape, "memory-short", "db-0") && !is_found(&scrape, "memory-hang", "db-0"))
            .then_some(())
    });
    drop(database);

    with_the_value(&kubepods, &agent, required);
    let line = format!(
        "a pod with {} MiB of memory and {} MiB of huge pages mapped: memory-short after {:.1} s, before it was touched, naming {} MiB; memory-hang {:.1} s after it was touched; with that value it went on at once; a second pod with that value finished, silent",
        MEMORY / MI,
        PAGES * 2,
        told.as_secs_f64(),
        required / MI,
        seen.as_secs_f64(),
    );
    evidence::tell(EVIDENCE, line);
}

/// A pod that has the value from the start is silent, and finishes.
fn with_the_value(kubepods: &Kubepods<'_>, agent: &Agent, memory: u64) {
    let mut second = Database::new(kubepods, "db-1", memory);
    let quiet = agent.after_polls(5.0);
    assert!(!is_found(&quiet, "memory-short", "db-1"), "the value is enough");
    second.tenant.touch(PAGES);
}
