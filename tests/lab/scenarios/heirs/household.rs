//! The four heirs under one maker of containers: each is let do what it does, and what is said of it is judged.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use super::super::incident::{Watch, since};
use super::super::postgres::{HUGE, MAYBE_HUGE};
use super::home::{Home, Maker, Shell};
use crate::evidence;
use crate::harness::{wait_for, wait_within};
use crate::kubepods::Kubepods;
use crate::machine::Phase;
use crate::postgres::{Cluster, Server, said};
use crate::refusals::{Heard, Said};
use crate::suite::Suite;

/// Maps some 45 pages of 2 MiB.
pub const BUFFERS: &str = "shared_buffers=64MB";
/// Less than that.
pub const GRANT: u64 = 20;
/// What the one has that is resized.
const MAPPED: u64 = 16;
/// A kubelet waits so long before it starts a container again.
const BACK_OFF: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(10), Duration::from_secs(20)];
/// What loops is reported and paged in time, and what is about to die earlier.
const PROMPT: Duration = Duration::from_secs(20);
const EARLY: Duration = Duration::from_secs(10);
/// A grant has lain idle long enough after ten minutes, of which some have passed when it is waited for.
const IDLE: [Duration; 2] = [Duration::from_secs(540), Duration::from_secs(660)];

/// The data of the servers: of one that never starts, of one that falls back, of one that is at work.
pub type Clusters = [Cluster; 3];

/// Four pods with the same PostgreSQL, made in the same way.
pub struct Household<'a> {
    pub maker: Maker,
    pub on: Home<'a>,
    pub tries: Home<'a>,
    pub resized: Home<'a>,
    pub right: Home<'a>,
    clusters: &'a Clusters,
    need: u64,
}

/// Those that see it.
pub struct Witnesses<'a> {
    pub phase: Phase,
    pub watch: &'a Watch,
    pub heard: &'a Heard,
}

impl<'a> Household<'a> {
    pub fn new(kubepods: &'a Kubepods<'a>, maker: Maker, clusters: &'a Clusters) -> Self {
        let need = clusters[0].pages(&[HUGE, BUFFERS]);
        assert!(need > GRANT, "{maker}: {need} pages");
        let home = |name, pages| Home::new(kubepods, maker, &format!("{name}-{maker}"), pages);
        let [on, tries] = ["on", "try"].map(|name| home(name, GRANT));
        let [resized, right] = [home("resized", MAPPED), home("right", need)];
        Self { maker, on, tries, resized, right, clusters, need }
    }

    /// `huge_pages=try` and too small a grant: it runs without.
    pub fn falls_back(&self) -> (Server<'a>, Shell) {
        let (mut server, shell) = self.tries.server(&self.clusters[1], &[MAYBE_HUGE, BUFFERS]);
        server.wait_until_ready();
        self.tries.link();
        assert_eq!(self.tries.reserved(), 0, "{}: it was to fall back", self.maker);
        self.says(&server, "off");
        (server, shell)
    }

    /// `huge_pages=on` and too small a grant: it ends as it starts, and starts again.
    pub fn loops(&self, of: &Witnesses<'_>) -> String {
        let began = SystemTime::now();
        let told = BACK_OFF.into_iter().find_map(|wait| {
            let (mut server, shell) = self.on.server(&self.clusters[0], &[HUGE, BUFFERS]);
            assert!(!server.wait_until_ended().success());
            wait_for("its last words", || {
                server.has_logged("could not map anonymous shared memory").then_some(())
            });
            drop(server);
            drop(shell);
            self.on.link();
            heard_within(wait, of.heard, &self.on).map(|told| (told, since(began)))
        });
        let ((said, sentence), took) = told.expect("the loop is reported");
        assert_eq!(said.finding, "mapping-refused", "{sentence}");
        assert!(took < PROMPT, "{}: told after {took:?}", self.maker);
        let name = &self.on.pod.name;
        let page = of.watch.page_about("HugetlbMappingRefused", name);
        let labels = ["namespace", "pod", "container", "node", "pagesize", "severity"]
            .map(|label| page.label(label));
        // On v1 the pod alone counts, and an instance that no poll has seen is its pod's.
        let container = if of.phase == Phase::V1 { page.label("container") } else { "postgres" };
        assert_eq!(labels, ["lab", name, container, "lab-node", "2Mi", "critical"], "{page:?}");
        let says = page.description();
        let value = format!("at least {}Mi", self.need * 2);
        let command = "postgres -C shared_memory_size_in_huge_pages";
        assert!(says.contains(&value) || says.contains(command), "{says}");
        let paged = page.at.duration_since(began).expect("later");
        assert!(paged < PROMPT, "{}: paged after {paged:?}", self.maker);
        format!(
            "a start that is refused: told {:.1} s after the first, paged at {:.1} s",
            took.as_secs_f64(),
            paged.as_secs_f64()
        )
    }

    /// The kubelet's in-place resize of CPU: 0 for every size (kubernetes#141991).
    pub fn loses_its_limit(&self, of: &Witnesses<'_>) -> String {
        let Home { pod, .. } = &self.resized;
        let mut residing = self.resized.tenant();
        self.resized.link();
        residing.tenant().map(MAPPED);
        std::thread::park_timeout(Duration::from_secs(5));
        assert!(of.heard.of(&pod.uid).is_empty(), "{:?}", of.heard.of(&pod.uid));
        pod.cgroup.limit(0);
        assert!(pod.cgroup.try_reservation_limit(0).is_err(), "what is mapped keeps it");
        let resized = Instant::now();
        let (said, sentence) =
            wait_within("the report of the resize", EARLY, || is_critical(of.heard, &self.resized));
        let told = resized.elapsed();
        eprintln!("{said:?}: {sentence}");
        residing.tenant().touch_and_die(1);
        let before = of.heard.of(&pod.uid);
        assert!(!before.keys().any(|said| said.finding == "faults-refused"), "{before:?}");
        wait_within("the report of the death", EARLY, || {
            let said = of.heard.of(&pod.uid).into_keys();
            said.into_iter().find(|said| {
                (said.finding.as_str(), said.severity.as_str()) == ("faults-refused", "critical")
            })
        });
        drop(residing);
        let small = [HUGE, "shared_buffers=16MB"];
        let (mut server, shell) = self.resized.server(&self.clusters[0], &small);
        let ended = server.wait_until_ended();
        assert!(!ended.success(), "a restart does not help: {}", server.log());
        drop((server, shell));
        self.resized.link();
        of.watch.page_about("HugetlbFaultsRefused", &pod.name);
        let told = told.as_secs_f64();
        format!("a limit that was set to 0: {} told {told:.1} s after it", said.finding)
    }

    /// A server with what it needs works, is started again, and works.
    pub fn works(&self) -> String {
        let (times, seconds) = if evidence::is_long() { (6, 100) } else { (2, 4) };
        for _ in 0..times {
            let (mut server, shell) = self.right.server(&self.clusters[2], &[HUGE, BUFFERS]);
            server.wait_until_ready();
            self.right.link();
            assert!(self.right.reserved() + 2 > self.need, "{}: it has them", self.maker);
            self.says(&server, "on");
            pgbench(&server, &["-i", "-q", "-s", "5"]);
            // As many transactions as two busy cores can do for all servers at once.
            pgbench(&server, &["-c", "4", "-R", "50", "-T", &seconds.to_string()]);
            drop(server);
            drop(shell);
        }
        format!("rightly sized, {} s of pgbench, started {times} times: silent", times * seconds)
    }

    /// PostgreSQL tells whether it has huge pages, since 17.
    fn says(&self, server: &Server<'_>, status: &str) {
        if self.maker.suite() != Suite::Own {
            let answer = said(&server.sql("show huge_pages_status"));
            assert!(answer.ends_with(status), "{}: {answer}", self.maker);
        }
    }

    /// What it was granted lies idle, and when that is told.
    pub fn lies_idle(&self, of: &Witnesses<'_>) -> String {
        let [earliest, latest] = IDLE;
        let began = Instant::now();
        wait_within("the report of the fallback", latest, || {
            let said = of.heard.of(&self.tries.pod.uid).into_keys();
            said.into_iter().find(|said| said.finding == "silent-fallback")
        });
        let took = began.elapsed();
        assert!(took > earliest, "{}: told after {took:?}", self.maker);
        format!("a fallback: told after {:.0} s", took.as_secs_f64())
    }

    /// Nothing was said but what is to be said.
    pub fn is_judged(&self, heard: &Heard) {
        let of = |home: &Home<'_>| heard.of(&home.pod.uid).into_keys().collect::<Vec<Said>>();
        let is = |said: &Said, finding: &str, severity: &str| {
            (said.finding.as_str(), said.severity.as_str()) == (finding, severity)
        };
        let right = of(&self.right);
        assert!(right.is_empty(), "{}: {right:?}", self.maker);
        let on = of(&self.on);
        let refused = on.iter().all(|said| said.finding == "mapping-refused");
        assert!(!on.is_empty() && refused, "{}: {on:?}", self.maker);
        // That it runs without what it asked for is no alarm; that it still does after its time is a warning.
        let tries = of(&self.tries);
        let of_fallback = |said: &Said| {
            is(said, "mapping-refused", "info")
                || evidence::is_long() && is(said, "silent-fallback", "warning")
        };
        assert!(!tries.is_empty() && tries.iter().all(of_fallback), "{}: {tries:?}", self.maker);
    }
}

fn pgbench(server: &Server<'_>, arguments: &[&str]) {
    let mut pgbench = server.client("pgbench");
    pgbench.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(pgbench.status().expect("pgbench").success(), "{}", server.log());
}

/// The same as soon as it is there, if it is in time.
fn heard_within(time: Duration, heard: &Heard, home: &Home<'_>) -> Option<(Said, String)> {
    let began = Instant::now();
    loop {
        let told = is_critical(heard, home);
        if told.is_some() || began.elapsed() > time {
            return told;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A critical finding about a pod's.
fn is_critical(heard: &Heard, home: &Home<'_>) -> Option<(Said, String)> {
    heard.of(&home.pod.uid).into_iter().find(|(said, _)| said.severity == "critical")
}
