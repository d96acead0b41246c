//! Kills of every kind, each held against what the witness made of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::postgres::{BUFFERS, GRANT, HUGE, load};
use super::{Bus, SECTION, Witness, killed};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::harness::agent::Agent;
use crate::harness::{wait_for, wait_within};
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::postgres::{Cluster, Server};
use crate::tenant::Tenant;

const TENANT: &str = "hugetlb-exporte";

/// One container, and who must have been killed in it.
struct Home {
    name: String,
    pod: Pod,
    container: Cgroup,
    killed: Vec<(u32, &'static str)>,
    seen: f64,
}

impl Home {
    fn new(kubepods: &Kubepods<'_>, number: usize, pages: u64) -> Self {
        let name = format!("home-{number}");
        let pod = kubepods.pod(&name, pages);
        let container = kubepods.container(&pod, "c", &id(&format!("{:02x}", number + 16)), 0);
        Self { name, pod, container, killed: Vec::new(), seen: 0.0 }
    }

    /// How long /metrics takes to show one more than before.
    fn shown_within(&mut self, agent: &Agent, pid: u32, comm: &'static str) -> Duration {
        let began = Instant::now();
        self.killed.push((pid, comm));
        self.seen = wait_for("the kill to be counted", || {
            let labels = [("pod", self.name.as_str()), ("container", "c"), ("cause", "limit")];
            let count = agent.scrape().value("hugetlb_container_sigbus_total", &labels)?;
            (count > self.seen).then_some(count)
        });
        began.elapsed()
    }
}

/// Waits for no more than time.
pub(super) fn pause(length: Duration) {
    let until = Instant::now() + length;
    wait_within("a while", length + Duration::from_secs(20), || {
        (Instant::now() >= until).then_some(())
    });
}

/// Tenants and children of forks by turns.
fn kill_many(homes: &mut [Home], agent: &Agent, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..count {
        let (place, round) = (number % homes.len(), number / homes.len());
        let home = &mut homes[place];
        let (pid, comm, _still) = if round % 2 == 0 {
            let mut tenant = Tenant::new(&home.container, "shared");
            tenant.map(3);
            tenant.touch_and_die(3);
            (tenant.pid(), TENANT, None)
        } else {
            // Its parent touched two of two pages; the child's first copy is a third.
            let mut bus = Bus::new(&home.container, &["fork", "2"]);
            let (pid, signal) = bus.once();
            assert_eq!(signal, 7);
            (pid, "python3", Some(bus))
        };
        times.push(home.shown_within(agent, pid, comm));
        // Polls that events make take a fiftieth of a core at most: what follows at once waits for that, not for the witness.
        pause(Duration::from_millis(400));
    }
    times
}

/// Real backends, by what PostgreSQL's log says of each.
fn kill_backends(home: &mut Home, agent: &Agent, count: usize) {
    let cluster = Cluster::new();
    let server = Server::start(&cluster, &home.container, &[HUGE, BUFFERS]);
    for number in 1..=count {
        assert!(load(&server, 6), "it survived: {}", server.log());
        let died = wait_for("PostgreSQL to say it", || {
            let log = server.log();
            let died = log.lines().filter(|line| line.contains("was terminated by signal 7"));
            let died: Vec<u32> = died.filter_map(process_of).collect();
            (died.len() == number).then_some(died)
        });
        home.shown_within(agent, died[number - 1], "postgres");
        wait_for("its recovery", || {
            let ready = server.log().matches("ready to accept connections").count();
            (ready > number).then_some(())
        });
    }
}

/// `server process (PID 4711) was terminated by signal 7: Bus error`
pub(super) fn process_of(line: &str) -> Option<u32> {
    line.split("(PID ").nth(1)?.split(')').next()?.parse().ok()
}

/// initdb where nothing is granted: each of its servers is killed. The kernel's own count is the judge.
fn kill_initdb(home: &Home, agent: &Agent) -> u64 {
    let (_, output) = Cluster::initdb(&home.container);
    assert!(!output.status.success());
    let counted = home.container.read("hugetlb.2MB.events.local", "hugetlb.2MB.failcnt");
    let counted: u64 = counted.trim_start_matches("max ").parse().expect("a count");
    assert!(counted > 0, "nothing was refused");
    wait_for("all of initdb's to be counted", || {
        let scrape = agent.scrape();
        let of_pod = [("pod", home.name.as_str())];
        let all: f64 =
            scrape.with("hugetlb_container_sigbus_total", &of_pod).map(|it| it.value).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        (all == counted as f64).then_some(())
    });
    counted
}

/// One, on whatever kernel this is.
pub(super) fn a_kill_is_named(lab: &Lab) {
    let witness = Witness::privileged();
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let mut home = Home::new(&kubepods, 0, 2);
    let agent = witness.agent(&kubepods, &[]);
    let mut tenant = Tenant::new(&home.container, "shared");
    tenant.map(3);
    tenant.touch_and_die(3);
    home.shown_within(&agent, tenant.pid(), TENANT);
    let it = wait_for("who was killed", || killed(&agent).pop());
    assert_eq!((&it["pid"], &it["comm"]), (&tenant.pid().into(), &TENANT.into()), "{it}");
    assert_eq!((&it["pod"], &it["container"]), (&"home-0".into(), &"c".into()), "{it}");
    let told = witness.told().expect("what it wrote");
    let above = if told.contains(r#""above":[]"#) { "not told" } else { "told" };
    evidence::tell(
        SECTION,
        format!(
            "The kernel took the program, and a kill was named; the cgroups above are {above}."
        ),
    );
}

/// What the witness named, held against who was killed.
struct Judged {
    all: usize,
    named: usize,
    of_initdb: usize,
}

fn judge(told: &[Value], homes: &[Home], initdb: &Home) -> Judged {
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let mut by_pod: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for it in told {
        assert_eq!(
            (text(it, "container"), text(it, "cause")),
            ("c".into(), "limit".into()),
            "{it}"
        );
        let process = (it["pid"].as_u64().expect("a number"), text(it, "comm"));
        by_pod.entry(text(it, "pod")).or_default().push(process);
    }
    let (mut named, mut all) = (0, 0);
    for home in homes {
        let of_pod = by_pod.remove(&home.name).unwrap_or_default();
        let wanted = home.killed.iter().map(|(pid, comm)| (u64::from(*pid), (*comm).to_owned()));
        all += home.killed.len();
        named += wanted.filter(|it| of_pod.contains(it)).count();
        let is_wrong = |it: &(u64, String)| {
            !home.killed.iter().any(|(pid, comm)| (u64::from(*pid), *comm) == (it.0, &it.1))
        };
        assert!(!of_pod.iter().any(is_wrong), "{} has {of_pod:?}", home.name);
    }
    let initdbs = by_pod.remove(&initdb.name).unwrap_or_default();
    assert!(initdbs.iter().all(|(_, comm)| comm == "postgres"), "{initdbs:?}");
    assert!(by_pod.is_empty(), "of nobody: {by_pod:?}");
    Judged { all, named, of_initdb: initdbs.len() }
}

pub(super) fn every_kill_is_named(lab: &Lab) {
    let (count, backends, places) = if evidence::is_long() { (234, 16, 14) } else { (24, 2, 4) };
    let witness = Witness::start();
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let mut homes: Vec<Home> = (0..places).map(|it| Home::new(&kubepods, it, 2)).collect();
    let mut database = Home::new(&kubepods, 100, GRANT);
    let initdb = Home::new(&kubepods, 101, 0);
    let agent = witness.agent(&kubepods, &["--poll.interval=2s"]);
    let mut times = kill_many(&mut homes, &agent, count);
    kill_backends(&mut database, &agent, backends);
    let counted = kill_initdb(&initdb, &agent);
    homes.push(database);
    let Judged { all, named, of_initdb } = judge(&killed(&agent), &homes, &initdb);
    for home in &homes {
        let labels = [("uid", home.pod.uid.as_str()), ("cause", "dropped")];
        assert_eq!(agent.scrape().value("hugetlb_container_sigbus_total", &labels), None);
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    evidence::tell(
        SECTION,
        format!(
            "{all} kills (tenants, children of forks, PostgreSQL's backends) and {counted} of an initdb: {named} of {all} named with process and container, {of_initdb} of initdb's by name and the rest counted, 0 wrong; in /metrics after {:.1} ms in the middle, {:.1} ms at most.",
            median.as_secs_f64() * 1e3,
            most.as_secs_f64() * 1e3,
        ),
    );
    assert!(named * 100 >= all * 99, "{named} of {all}");
    assert!(median < Duration::from_millis(50), "{median:?} in the middle: {times:?}");
}
