//! The story to its end, with real parts: the page arrives while PostgreSQL is still up, and only then.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use super::postgres::{BUFFERS, GRANT, HUGE, MAYBE_HUGE, load, load_rows};
use super::{Named, panels};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence::{self, Section};
use crate::harness::agent::Agent;
use crate::harness::{wait_for, wait_within};
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::monitoring::{Alerting, Alertmanager, Message, Pager, Prometheus, Receiver};
use crate::picture::{self, Timeline};
use crate::postgres::{Cluster, Server};
use crate::sampler::Sampler;
use crate::tenant::Tenant;

pub const BOTH: &[Named] =
    &[("incident::the_page_comes_before_the_crash", the_page_comes_before_the_crash)];
pub const V2: &[Named] = &[
    ("incident::healthy_servers_wake_nobody", healthy_servers_wake_nobody),
    ("incident::loaded_as_fast_as_it_can", loaded_as_fast_as_it_can),
];

const SECTION: Section = Section { title: "The incident", scenarios: "incident::" };
/// Scraped and evaluated so often, the page is there within...
const INTERVAL: Duration = Duration::from_secs(5);
/// ...this, after the server was started.
const PROMPT: Duration = Duration::from_secs(20);
pub(super) const LATE: Duration = Duration::from_secs(60);
/// Tables of 60 MB: more than the limit holds, less than the buffers.
const TABLES: usize = 4;

/// An agent as it is shipped, and those it tells.
pub(super) struct Watch {
    agent: Agent,
    prometheus: Prometheus,
    pager: Pager,
    _alertmanager: Alertmanager,
}

impl Watch {
    pub(super) fn over(kubepods: &Kubepods<'_>) -> Self {
        let agent = kubepods.agent(&["--poll.interval=2s", "--probe.target=scratch"]);
        let pager = Pager::new();
        let alertmanager = Alertmanager::paging(&pager);
        let alerting = Alerting { interval: INTERVAL, alertmanager: &alertmanager };
        let prometheus = Prometheus::alerting(agent.address(), &alerting);
        // What is said from now on is said of what happens from now on.
        prometheus.query("tenant:hugetlb_finding:max or hugetlb_exporter_build_info");
        Self { agent, prometheus, pager, _alertmanager: alertmanager }
    }

    /// All that woke somebody.
    pub(super) fn pages(&self) -> Vec<Message> {
        let received = self.pager.received().into_iter();
        received.filter(|message| message.receiver == Receiver::Pager).collect()
    }

    pub(super) fn page_about(&self, alert: &str, pod: &str) -> Message {
        self.pager.wait_for(alert, pod, LATE)
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Waits until a page about something that began then would have come.
    fn listen_from(&self, began: SystemTime) -> Vec<Message> {
        wait_within("the time a page may take", LATE, || since(began).checked_sub(PROMPT));
        self.pager.received()
    }
}

/// A pod with one container of that name, limited alike.
struct Home {
    name: &'static str,
    _pod: Pod,
    container: Cgroup,
}

impl Home {
    fn new(kubepods: &Kubepods<'_>, name: &'static str, pages: u64) -> Self {
        let pod = kubepods.pod(name, pages);
        let short = name.replace(|letter: char| !letter.is_ascii_hexdigit(), "e");
        let container = kubepods.container(&pod, "postgres", &id(&short), 0);
        container.limit(pages);
        Self { name, _pod: pod, container }
    }

    fn file(&self, [v2, v1]: [&str; 2]) -> PathBuf {
        let names = [v2, v1].map(|name| self.container.path().join(name));
        names.into_iter().find(|path| path.exists()).expect("a counter")
    }

    fn bytes(&self, [v2, v1]: [&str; 2]) -> u64 {
        self.container.read(v2, v1).parse().expect("bytes")
    }
}

const USAGE: [&str; 2] = ["hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes"];
const RESERVED: [&str; 2] = ["hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes"];

pub(super) fn since(began: SystemTime) -> Duration {
    began.elapsed().expect("time goes on")
}

fn the_page_comes_before_the_crash(lab: &Lab) {
    let runs = if evidence::is_long() { 5 } else { 1 };
    let mut before = Vec::new();
    for run in 1..=runs {
        let timeline = incident(lab);
        let [ready, paged, loading, crashed] =
            [timeline.ready, timeline.paged, timeline.loading, timeline.crashed]
                .map(|at| timeline.after_start(at));
        evidence::tell(
            SECTION,
            format!(
                "{}, run {run} of {runs}: started at 0, ready at {ready:.1} s, paged at {paged:.1} s, loading from {loading:.1} s, killed by signal 7 at {crashed:.1} s: paged {:.1} s before the crash",
                lab.phase,
                crashed - paged,
            ),
        );
        before.push(crashed - paged);
    }
    assert!(before.iter().all(|lead| *lead > 0.0), "{before:?}");
}

/// From the server's start to its crash, and on to one that was given what the page said.
fn incident(lab: &Lab) -> Timeline {
    let cluster = Cluster::new();
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let home = Home::new(&kubepods, "db-0", GRANT);
    let _service = service(lab);
    let watch = Watch::over(&kubepods);
    let started = SystemTime::now();
    let touched = Sampler::of(home.file(USAGE));
    let server = Server::start(&cluster, &home.container, &[HUGE, BUFFERS]);
    let ready = SystemTime::now();
    let page = watch.page_about("HugetlbWillCrash", home.name);
    assert!(!server.has_logged("signal 7"), "it came too late: {}", server.log());
    let took = page.at.duration_since(started).expect("later");
    assert!(took < PROMPT, "the page took {took:?}");
    let enough = right(&page, &home);
    eprintln!("the page: {}", page.description());
    let loading = SystemTime::now();
    assert!(load_and_show(&watch, &home, &server), "it survived with {GRANT} pages");
    let crashed = SystemTime::now();
    assert!(server.has_logged("was terminated by signal 7"), "{}", server.log());
    watch.pager.wait_for("HugetlbFaultsRefused", home.name, LATE);
    let timeline = Timeline { started, ready, paged: page.at, loading, crashed };
    panels::all_have_data(&watch.prometheus);
    let touched = touched.values();
    let peak = touched.iter().map(|(_, bytes)| bytes >> 21).max().expect("values");
    assert!(peak.abs_diff(GRANT) <= 1, "killed at the limit of {GRANT} pages, seen up to {peak}");
    if evidence::is_long() {
        picture::draw(&watch.prometheus, &timeline, &touched);
    }
    drop(server);
    given_what_it_said(&cluster, &watch, &Home::new(&kubepods, "db-1", enough));
    let complaints = watch.prometheus.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    timeline
}

/// Somebody outside all pods who uses huge pages, too.
fn service(lab: &Lab) -> (Tenant, Cgroup) {
    let service = Cgroup::new(lab, "lab-service");
    let mut tenant = Tenant::new(&service, "memfd");
    tenant.map(5);
    tenant.touch(2);
    (tenant, service)
}

/// Checks that a page is about that pod, and reads the value it says to set, in pages.
fn right(page: &Message, home: &Home) -> u64 {
    let labels = ["namespace", "pod", "container", "node", "pagesize", "severity"]
        .map(|label| page.label(label));
    assert_eq!(labels, ["lab", home.name, "postgres", "lab-node", "2Mi", "critical"], "{page:?}");
    assert_eq!(page.label("uid"), "", "a pod made again would be a new page");
    let mapped = home.bytes(RESERVED) >> 20;
    let said = page.description();
    let short =
        format!("has mapped {}MiB of 2Mi pages more than it may touch", mapped - (GRANT << 1));
    let enough = format!("Set hugepages-2Mi of that container to at least {mapped}Mi, ");
    assert!(said.contains(&short) && said.contains(&enough), "{said}, not {short} and {enough}");
    mapped >> 1
}

/// Loads until it crashes; where there is time, little by little, each bit seen by Prometheus before the next.
fn load_and_show(watch: &Watch, home: &Home, server: &Server<'_>) -> bool {
    if !evidence::is_long() {
        return load(server, TABLES);
    }
    (0..TABLES * 4).any(|_| {
        let crashed = load_rows(server, 20_000);
        if !crashed {
            let usage = home.bytes(USAGE);
            let seen = format!("hugetlb_container_usage_bytes{{pod='db-0'}} >= {usage}");
            watch.prometheus.query(&seen);
        }
        crashed
    })
}

/// A pod with the limit that the page named takes the same load, and nobody is woken.
fn given_what_it_said(cluster: &Cluster, watch: &Watch, home: &Home) {
    let began = SystemTime::now();
    let server = Server::start(cluster, &home.container, &[HUGE, BUFFERS]);
    assert!(!load(&server, TABLES), "{}", server.log());
    let mut heard = watch.listen_from(began);
    heard.retain(|message| message.label("pod") == home.name);
    assert!(heard.is_empty(), "{heard:?}");
}

/// Two servers with just what they need and one that falls back to ordinary pages, at work.
fn healthy_servers_wake_nobody(lab: &Lab) {
    let minutes = if evidence::is_long() { 10 } else { 2 };
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let clusters = [Cluster::new(), Cluster::new(), Cluster::new()];
    let settings = [HUGE, BUFFERS];
    let need = clusters[0].pages(&settings);
    let homes = [
        Home::new(&kubepods, "db-0", need),
        Home::new(&kubepods, "db-1", need),
        Home::new(&kubepods, "db-2", GRANT),
    ];
    homes[2].container.reservation_limit(GRANT);
    let watch = Watch::over(&kubepods);
    let servers = [
        Server::start(&clusters[0], &homes[0].container, &settings),
        Server::start(&clusters[1], &homes[1].container, &settings),
        Server::start(&clusters[2], &homes[2].container, &[MAYBE_HUGE, BUFFERS]),
    ];
    assert_eq!(homes[2].bytes(RESERVED), 0, "it was to fall back");
    for server in &servers {
        assert!(!load(server, TABLES), "{}", server.log());
    }
    let seconds = (minutes * 60).to_string();
    let mut working: Vec<_> = servers.iter().map(|server| bench(server, &seconds)).collect();
    for (working, server) in working.iter_mut().zip(&servers) {
        assert!(working.wait().expect("its end").success(), "{}", server.log());
    }
    let full = homes[0].bytes(USAGE) >> 21;
    evidence::tell(
        SECTION,
        format!(
            "{}: two servers with the {need} pages they need ({full} of them in use) and one that fell back, {minutes} minutes of pgbench: {} pages",
            lab.phase,
            watch.pages().len(),
        ),
    );
    silent_and_not_deaf(&watch, &kubepods, servers);
}

/// Nobody was told of anything but the fallback, which takes a quarter of an hour to be told, and the chain that
/// was silent pages when there is something to page about.
fn silent_and_not_deaf(watch: &Watch, kubepods: &Kubepods<'_>, servers: [Server<'_>; 3]) {
    let mut heard = watch.pager.received();
    heard.retain(|message| message.label("alertname") != "HugetlbSilentFallback");
    assert!(heard.is_empty(), "{heard:?}");
    drop(servers);
    let small = Home::new(kubepods, "db-3", GRANT);
    let cluster = Cluster::new();
    let _server = Server::start(&cluster, &small.container, &[HUGE, BUFFERS]);
    watch.page_about("HugetlbWillCrash", small.name);
}

pub(super) fn bench(server: &Server<'_>, seconds: &str) -> Child {
    let mut prepare = server.client("pgbench");
    let prepared = prepare.args(["-i", "-q", "-s", "10"]).stderr(Stdio::null()).status();
    assert!(prepared.expect("pgbench").success(), "{}", server.log());
    let mut pgbench = server.client("pgbench");
    pgbench.args(["-c", "4", "-T", seconds]).stdout(Stdio::null()).stderr(Stdio::null());
    pgbench.spawn().expect("pgbench")
}

/// The worst case: no time passes between the start and the load. What comes first is told, not promised.
fn loaded_as_fast_as_it_can(lab: &Lab) {
    let full = Cluster::new();
    let dump = dump(lab, &full);
    for way in ["restored with pg_restore -j 4", "filled by INSERT"] {
        let cluster = Cluster::new();
        let kubepods = Kubepods::new(lab, Driver::Systemd);
        let home = Home::new(&kubepods, "db-0", GRANT);
        let watch = Watch::over(&kubepods);
        let started = SystemTime::now();
        let server = Server::start(&cluster, &home.container, &[HUGE, BUFFERS]);
        let crashed = if way.starts_with("restored") {
            restore(&server, &dump)
        } else {
            load(&server, TABLES)
        };
        let took = since(started).as_secs_f64();
        let end = if crashed { "killed by signal 7" } else { "all loaded and alive" };
        let page = watch.page_about("HugetlbWillCrash", home.name);
        let paged = page.at.duration_since(started).expect("later").as_secs_f64();
        evidence::tell(
            SECTION,
            format!(
                "{}: {way} as soon as it was ready: {end} {took:.1} s after its start, paged at {paged:.1} s",
                lab.phase
            ),
        );
    }
}

/// A dump of as many tables as are loaded elsewhere, with an index each.
fn dump(lab: &Lab, cluster: &Cluster) -> tempfile::NamedTempFile {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let home = Home::new(&kubepods, "db-9", 0);
    let server = Server::start(cluster, &home.container, &["huge_pages=off", BUFFERS]);
    assert!(!load(&server, TABLES), "{}", server.log());
    for table in 1..=TABLES {
        let copy = format!("create table t{table} as table t; create index on t{table} (n, text)");
        assert!(server.sql(&copy).status.success(), "{}", server.log());
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut pg_dump = server.client("pg_dump");
    let dumped = pg_dump.arg("-Fc").arg("-f").arg(file.path()).status();
    assert!(dumped.expect("pg_dump").success());
    file
}

/// Whether the server crashed of it.
fn restore(server: &Server<'_>, dump: &tempfile::NamedTempFile) -> bool {
    let mut pg_restore = server.client("pg_restore");
    pg_restore.args(["-d", "postgres", "-j", "4"]).arg(dump.path());
    let restored = pg_restore.stderr(Stdio::null()).status().expect("pg_restore").success();
    if !restored {
        wait_for("the postmaster to tell of the crash", || {
            server.has_logged("terminated by signal 7").then_some(())
        });
    }
    !restored
}
