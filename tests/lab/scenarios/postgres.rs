//! The story, with a real PostgreSQL.

use std::process::{Child, Stdio};

use super::Named;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::postgres::{Cluster, Ipc, Server, said};
use crate::tenant::Tenant;
use crate::truth::verdict::{self, Verdict, Who};

pub const BOTH: &[Named] = &[
    ("postgres::too_large_for_its_limit_is_found_before_it_crashes", too_large),
    ("postgres::one_that_falls_back_is_left_alone", falls_back),
    ("postgres::rightly_sized_and_full_wakes_nobody", rightly_sized),
    ("postgres::restarted_beside_its_old_segment", restarted),
    ("postgres::initdb_in_an_armed_trap", initdb_in_an_armed_trap),
];

const PAGE: f64 = 2_097_152.0;
/// Findings are raised by the second poll that sees them.
const POLLS: f64 = 4.0;
/// 128 MiB of pages.
pub(super) const GRANT: u64 = 64;
/// Maps 140 pages.
pub(super) const BUFFERS: &str = "shared_buffers=256MB";
pub(super) const HUGE: &str = "huge_pages=on";
pub(super) const MAYBE_HUGE: &str = "huge_pages=try";
/// A table's worth, 60 MB through the shared buffers; COPY and CREATE TABLE AS go around them through a small ring.
const ROWS: usize = 90_000;

/// A pod with one container, limited alike, and an agent.
struct Database<'a> {
    kubepods: Kubepods<'a>,
    pod: Pod,
    container: Cgroup,
}

impl<'a> Database<'a> {
    fn new(lab: &'a Lab, pages: u64) -> Self {
        let kubepods = Kubepods::new(lab, Driver::Systemd);
        let pod = kubepods.pod("db-0", pages);
        let container = kubepods.container(&pod, "postgres", &id("db"), 0);
        container.limit(pages);
        Self { kubepods, pod, container }
    }

    fn who(&self) -> Who {
        Who::Container { uid: self.pod.uid.clone(), name: "postgres".to_owned() }
    }

    /// A figure of the container's, in pages.
    #[track_caller]
    fn pages(&self, scrape: &Exposition, figure: &str) -> f64 {
        let family = format!("hugetlb_container_{figure}_bytes");
        let labels = [("uid", self.pod.uid.as_str()), ("pagesize", "2Mi")];
        scrape.value(&family, &labels).unwrap_or_else(|| panic!("no {family}")) / PAGE
    }

    /// All findings of its pod's.
    fn findings(&self, scrape: &Exposition) -> Vec<String> {
        let ours = [("uid", self.pod.uid.as_str())];
        let findings = scrape.with("hugetlb_finding", &ours);
        findings.map(|sample| format!("{:?}", sample.labels)).collect()
    }

    #[track_caller]
    fn expect(&self, agent: &Agent, verdict: Verdict) -> Exposition {
        let scrape = agent.after_polls(POLLS);
        verdict::expect_verdicts(&scrape);
        assert_eq!(verdict::of(&scrape, &self.who()), verdict, "{:?}", self.findings(&scrape));
        scrape
    }
}

fn too_large(lab: &Lab) {
    let database = Database::new(lab, GRANT);
    let agent = database.kubepods.agent(&[]);
    let cluster = Cluster::new();
    let server = Server::start(&cluster, &database.container, &[HUGE, BUFFERS]);
    let scrape = database.expect(&agent, Verdict::WillCrash);
    let [reserved, usage] = ["reserved", "usage"].map(|figure| database.pages(&scrape, figure));
    assert!(usage < reserved / 2.0, "it was to be found early: {usage} of {reserved} pages");
    #[expect(clippy::cast_precision_loss, reason = "a few pages")]
    let shortfall = reserved - GRANT as f64;
    assert_eq!(database.pages(&scrape, "shortfall"), shortfall);
    let (report, code) = database.kubepods.report();
    assert_eq!(code, Some(2), "{report}");
    // Its lines are wrapped, and a remedy begins with a capital letter.
    let said = report.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let [short, enough] = [shortfall, reserved].map(|pages| format!("{}mi", pages * 2.0));
    let remedy = format!("set hugepages-2mi of container postgres to at least {enough}");
    for words in ["will-crash", "pod lab/db-0", &short, &remedy] {
        assert!(said.contains(words), "{words:?} is missing: {report}");
    }
    assert!(load(&server, 6), "it survived, though {shortfall} pages are missing");
    assert!(server.has_logged("was terminated by signal 7"), "{}", server.log());
    // v1 counts at the container, whose limit it was; v2 there and above.
    let ours = [("uid", database.pod.uid.as_str()), ("pagesize", "2Mi")];
    let failures = agent.fresh().value("hugetlb_container_failures_total", &ours);
    assert!(failures >= Some(1.0), "{failures:?}");
}

/// Loads so many tables' worth of rows, and says whether the server crashed of it.
#[track_caller]
pub(super) fn load(server: &Server<'_>, tables: usize) -> bool {
    (0..tables).any(|_| load_rows(server, ROWS))
}

/// The same of so many rows.
#[track_caller]
pub(super) fn load_rows(server: &Server<'_>, rows: usize) -> bool {
    let output = server.sql(&format!(
        "create table if not exists t (n int, text text);
        insert into t select n, repeat('x', 600) from generate_series(1, {rows}) n"
    ));
    let crashed = !output.status.success();
    if crashed {
        // The client may hear of it first.
        wait_for("the postmaster to tell of the crash", || {
            server.has_logged("terminated by signal").then_some(())
        });
    }
    crashed
}

fn falls_back(lab: &Lab) {
    let database = Database::new(lab, GRANT);
    database.container.reservation_limit(GRANT);
    database.pod.cgroup.reservation_limit(GRANT);
    let agent = database.kubepods.agent(&[]);
    let cluster = Cluster::new();
    let server = Server::start(&cluster, &database.container, &[MAYBE_HUGE, BUFFERS]);
    let scrape = database.expect(&agent, Verdict::Safe);
    assert_eq!(database.pages(&scrape, "reserved"), 0.0, "it fell back to ordinary pages");
    assert!(!load(&server, 6), "{}", server.log());
    let scrape = database.expect(&agent, Verdict::Safe);
    let critical: Vec<_> = scrape.with("hugetlb_finding", &[("severity", "critical")]).collect();
    assert!(critical.is_empty(), "{critical:?}");
}

fn rightly_sized(lab: &Lab) {
    let cluster = Cluster::new();
    let settings = [HUGE, BUFFERS];
    let pages = cluster.pages(&settings);
    let database = Database::new(lab, pages);
    let agent =
        database.kubepods.agent(&["--collector.mappings", "--collector.mappings-interval=200ms"]);
    let server = Server::start(&cluster, &database.container, &settings);
    let _idle = idle_clients(&server, 50);
    let bench = |arguments: &[&str]| {
        let mut pgbench = server.client("pgbench");
        pgbench.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut pgbench = pgbench.spawn().expect("pgbench");
        let mut scrapes = Vec::new();
        while pgbench.try_wait().expect("its status").is_none() {
            scrapes.push(agent.fresh());
        }
        assert!(pgbench.wait().expect("its end").success(), "{}", server.log());
        scrapes
    };
    let mut scrapes = bench(&["-i", "-q", "-s", "20"]);
    assert!(!load(&server, 5), "{}", server.log());
    scrapes.extend(bench(&["-c", "8", "-T", "10"]));
    scrapes.push(database.expect(&agent, Verdict::Safe));
    let full = scrapes.last().map(|scrape| database.pages(scrape, "usage")).expect("a scrape");
    #[expect(clippy::cast_precision_loss, reason = "a few pages")]
    let limit = pages as f64;
    eprintln!("{full} of {limit} pages in use, {} scrapes", scrapes.len());
    assert!(full >= limit * 0.95, "{full} of {limit} pages in use: it was to be full");
    for scrape in &scrapes {
        let findings = database.findings(scrape);
        assert!(findings.is_empty(), "{findings:?}");
    }
}

/// Clients of one process that hold so many connections and do nothing. Dropping them ends them.
struct Idle(
    Child,
    #[expect(dead_code, reason = "it is there while they are")] tempfile::NamedTempFile,
);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn idle_clients(server: &Server<'_>, number: usize) -> Idle {
    use std::io::Write;
    let mut script = tempfile::NamedTempFile::new().expect("a file");
    script.write_all(b"select 1;\n\\sleep 600 s\n").expect("written");
    let mut pgbench = server.client("pgbench");
    pgbench.args(["-n", "-T", "600", "-c", &number.to_string(), "-f"]).arg(script.path());
    let child = pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbench");
    let idle = Idle(child, script);
    wait_for("the idle clients", || {
        let count = server.sql("select count(*) from pg_stat_activity where state = 'idle'");
        let count = String::from_utf8_lossy(&count.stdout).trim().parse::<usize>();
        (count.expect("a number") >= number).then_some(())
    });
    idle
}

/// A backend at work does not notice that its postmaster is gone, and keeps the segment. PostgreSQL sees that
/// and does not start, unless the new server has an IPC namespace of its own and can't see it.
fn restarted(lab: &Lab) {
    let cluster = Cluster::new();
    let settings = [HUGE, BUFFERS];
    let database = Database::new(lab, cluster.pages(&settings));
    let agent = database.kubepods.agent(&[]);
    let mut server = Server::start(&cluster, &database.container, &settings);
    let mut busy = server.client("psql");
    let busy = busy.args(["-c", "select count(*) from generate_series(1, 1000000000000)"]);
    let busy = Busy(
        busy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql"),
        &database.container,
    );
    let active = "select count(*) from pg_stat_activity where query like '%1000000000000)' and pid <> pg_backend_pid()";
    wait_for("the busy backend", || {
        (said(&server.sql(active)).trim().ends_with('1')).then_some(())
    });
    server.kill_postmaster();
    let mut refused = Server::launch(&cluster, &database.container, &settings, Ipc::Shared);
    assert!(!refused.wait_until_ended().success());
    // Its last words may be read a moment after its end.
    wait_for("its reason not to start", || refused.has_logged("is still in use").then_some(()));
    database.expect(&agent, Verdict::Safe);

    let mut second = Server::launch(&cluster, &database.container, &settings, Ipc::OfItsOwn);
    second.wait_until_ready();
    let scrape = database.expect(&agent, Verdict::WillCrash);
    eprintln!("two segments: {} pages reserved", database.pages(&scrape, "reserved"));
    assert!(load(&second, 6), "it survived beside the old segment: {}", second.log());
    assert!(second.has_logged("was terminated by signal 7"), "{}", second.log());
    drop((second, busy));
    let reserved =
        || database.container.read("hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes");
    wait_for("the old segment to go", || (reserved() == "0").then_some(()));
    database.expect(&agent, Verdict::Safe);
}

/// A client and the backend that works for it and knows of no postmaster.
struct Busy<'a>(Child, &'a Cgroup);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        self.1.kill_all();
    }
}

fn initdb_in_an_armed_trap(lab: &Lab) {
    let database = Database::new(lab, 0);
    // As every pod has one: a pod without a process is taken for what is left of one.
    let _pause = Tenant::new(&database.container, "private");
    let agent = database.kubepods.agent(&[]);
    let scrape = agent.after_polls(POLLS);
    let count = |scrape: &Exposition, finding| verdict::findings(scrape, finding).count();
    assert!(count(&scrape, "trap-armed") > 0, "nothing was said before");
    assert_eq!(count(&scrape, "faults-refused"), 0);
    let (_cluster, output) = Cluster::initdb(&database.container);
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Bus error"), "{}", said(&output));
    let scrape = agent.after_polls(POLLS);
    let refused: Vec<_> = verdict::findings(&scrape, "faults-refused").collect();
    assert!(refused.iter().any(|sample| sample.labels["uid"] == database.pod.uid), "{refused:?}");
    assert!(refused.iter().all(|sample| sample.labels["severity"] == "critical"), "{refused:?}");
}
