//! What has become of the story on a node of today, whose kubelet sets each pod's reservation limit to its limit: a start
//! that is refused and loops, a silent fallback, a limit that a resize took away, a child's copy. All of them at once on
//! one node, with real PostgreSQL, Prometheus and Alertmanager, beside a server that is rightly sized.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use hugetlb_exporter::{Looking, Roots, Thresholds, look, report};

use super::Named;
use super::incident::{Watch, bench, since};
use super::postgres::{BUFFERS, GRANT, HUGE, MAYBE_HUGE};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence::{self, Section};
use crate::harness::{wait_for, wait_within};
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::machine::Phase;
use crate::postgres::{Cluster, Ipc, Server};
use crate::refusals::{Heard, Said};
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("heirs::four_on_one_node", four_on_one_node),
    ("heirs::one_that_lives_30_ms_is_one_container", lives_30_ms),
];

const SECTION: Section = Section { title: "The incident of today", scenarios: "heirs::" };
/// A kubelet waits so long before it starts a container again.
const BACK_OFF: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(10), Duration::from_secs(20)];
/// What loops is reported in time, and what is about to die earlier.
const PROMPT: Duration = Duration::from_secs(20);
const EARLY: Duration = Duration::from_secs(10);

/// A pod as a kubelet since 1.29 makes it: both its limits alike, its containers without any.
struct Home<'a> {
    kubepods: &'a Kubepods<'a>,
    pod: Pod,
    instances: std::cell::Cell<u32>,
}

impl<'a> Home<'a> {
    fn new(kubepods: &'a Kubepods<'a>, name: &str, pages: u64) -> Self {
        let pod = kubepods.pod(name, pages);
        pod.cgroup.reservation_limit(pages);
        Self { kubepods, pod, instances: std::cell::Cell::new(0) }
    }

    /// The next instance of its container: the kubelet's link comes once it runs.
    fn instance(&self) -> Cgroup {
        let number = self.instances.replace(self.instances.get() + 1);
        let id = self.id(number);
        Cgroup::new(self.kubepods.lab(), &self.kubepods.container_path(&self.pod, &id))
    }

    /// That link. Those of the last dead and of the living are there, and no more.
    fn link(&self) {
        let number = self.instances.get() - 1;
        if let Some(before) = number.checked_sub(2) {
            self.kubepods.unname(&self.pod, "postgres", &self.id(before));
        }
        self.kubepods.name(&self.pod, "postgres", &self.id(number), number);
    }

    fn id(&self, number: u32) -> String {
        id(&format!("{}{number:04x}f", self.pod.uid.replace('-', "")))
    }

    fn reserved(&self) -> u64 {
        let names = ["hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes"];
        self.pod.cgroup.read(names[0], names[1]).parse::<u64>().expect("bytes") >> 21
    }
}

fn four_on_one_node(lab: &Lab) {
    let clusters = [Cluster::new(), Cluster::new(), Cluster::new(), Cluster::new()];
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let need = clusters[0].pages(&[HUGE, BUFFERS]);
    let homes = [("on", GRANT), ("try", GRANT), ("resized", 80), ("right", need)];
    let homes = homes.map(|(name, pages)| Home::new(&kubepods, &format!("db-{name}"), pages));
    let watch = Watch::over(&kubepods);
    let heard = Heard::default();
    std::thread::scope(|scope| {
        let listening = heard.listen(scope, watch.agent());
        let [on, tries, resized, right] = &homes;
        let fallen = falls_back(tries, &clusters[1]);
        let working = Working::new(right, &clusters[3]);
        let from_loop = loops(on, &clusters[0], &watch, &heard, need);
        let from_resize = loses_its_limit(resized, &clusters[2], &watch, &heard);
        working.goes_on(right, &clusters[3]);
        let silent = is_told_of_the_fallback(lab, &kubepods, tries);
        drop(listening);
        evidence::tell(
            SECTION,
            format!("{}: {from_loop}; {from_resize}; {silent}; rightly sized: silent", lab.phase),
        );
        drop(fallen);
    });
    let of = |home: &Home<'_>| heard.of(&home.pod.uid).into_keys().collect::<Vec<_>>();
    // That it runs without what it asked for is no alarm.
    let expected = [&["mapping-refused"][..], &["mapping-refused"], &["*"], &[]];
    for (home, expected) in homes.iter().zip(expected) {
        let said: Vec<Said> = of(home);
        // One finding may be of more than one severity in its life.
        let mut names: Vec<&str> = said.iter().map(|said| said.finding.as_str()).collect();
        names.dedup();
        assert!(expected == ["*"] || names == expected, "{}: {said:?}", home.pod.name);
    }
    assert!(of(&homes[1]).iter().all(|said| said.severity == "info"), "{:?}", of(&homes[1]));
    let strange = |name: &str| !["db-on", "db-resized"].contains(&name);
    let mut pages = watch.pages();
    pages.retain(|page| strange(page.label("pod")));
    assert!(pages.is_empty(), "{pages:?}");
}

/// `huge_pages=on` and too small a grant: it ends as it starts, and starts again.
fn loops(home: &Home<'_>, cluster: &Cluster, watch: &Watch, heard: &Heard, need: u64) -> String {
    let began = SystemTime::now();
    let told = BACK_OFF.into_iter().find_map(|wait| {
        let container = home.instance();
        let mut server = Server::launch(cluster, &container, &[HUGE, BUFFERS], Ipc::Shared);
        assert!(!server.wait_until_ended().success());
        wait_for("its last words", || {
            server.has_logged("could not map anonymous shared memory").then_some(())
        });
        drop(server);
        drop(container);
        home.link();
        heard_within(wait, heard, home).map(|told| (told, since(began)))
    });
    let ((said, sentence), took) = told.expect("the loop is reported");
    assert_eq!(said.finding, "mapping-refused", "{sentence}");
    assert!(took < PROMPT, "told after {took:?}");
    let page = watch.page_about("HugetlbMappingRefused", &home.pod.name);
    let labels = ["namespace", "pod", "container", "node", "pagesize", "severity"]
        .map(|label| page.label(label));
    // On v1 the pod alone counts, and an instance that no poll has seen is its pod's.
    let is_v1 = home.kubepods.lab().phase == Phase::V1;
    let container = if is_v1 { page.label("container") } else { "postgres" };
    assert_eq!(labels, ["lab", "db-on", container, "lab-node", "2Mi", "critical"], "{page:?}");
    let says = page.description();
    let value = format!("at least {}Mi", need * 2);
    let command = "postgres -C shared_memory_size_in_huge_pages";
    assert!(says.contains(&value) || says.contains(command), "{says}");
    let paged = page.at.duration_since(began).expect("later").as_secs_f64();
    format!(
        "a start that is refused: told {:.1} s after the first, paged at {paged:.1} s",
        took.as_secs_f64()
    )
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

/// `huge_pages=try` and too small a grant.
fn falls_back<'a>(home: &Home<'_>, cluster: &'a Cluster) -> (Server<'a>, Cgroup) {
    let container = home.instance();
    let server = Server::start(cluster, &container, &[MAYBE_HUGE, BUFFERS]);
    home.link();
    assert_eq!(home.reserved(), 0, "it was to fall back");
    (server, container)
}

/// The agent waits ten minutes for that; a look at the same node with the same rules and no such patience does not.
fn is_told_of_the_fallback(lab: &Lab, kubepods: &Kubepods<'_>, home: &Home<'_>) -> String {
    let roots = Roots {
        proc: "/proc".into(),
        sys: "/sys".into(),
        cgroup: None,
        pod_logs: kubepods.logs("pods").into(),
        container_logs: kubepods.logs("containers").into(),
    };
    let thresholds = Thresholds { idle_for: Duration::ZERO, ..Thresholds::default() };
    let view = look(Looking { thresholds, ..Looking::at(roots) });
    let findings = report::json(&view);
    let findings: serde_json::Value = serde_json::from_str(&findings).expect("JSON");
    let all = findings["findings"].as_array().expect("findings").iter();
    let of: Vec<_> = all.filter(|finding| finding["uid"] == *home.pod.uid).collect();
    let names: Vec<_> = of.iter().map(|finding| &finding["finding"]).collect();
    assert_eq!(names, ["silent-fallback"], "{}: {of:?}", lab.phase);
    "a fallback: told after its time".to_owned()
}

/// The kubelet's in-place resize of CPU: 0 for every size (kubernetes#141991).
fn loses_its_limit(home: &Home<'_>, cluster: &Cluster, watch: &Watch, heard: &Heard) -> String {
    let container = home.instance();
    let mut tenant = Tenant::new(&container, "shared");
    home.link();
    tenant.map(80);
    std::thread::park_timeout(Duration::from_secs(5));
    assert!(heard.of(&home.pod.uid).is_empty(), "{:?}", heard.of(&home.pod.uid));
    home.pod.cgroup.limit(0);
    assert!(home.pod.cgroup.try_reservation_limit(0).is_err(), "what is mapped keeps it");
    let resized = Instant::now();
    let (said, sentence) =
        wait_within("the report of the resize", EARLY, || is_critical(heard, home));
    let told = resized.elapsed();
    eprintln!("{said:?}: {sentence}");
    tenant.touch_and_die(1);
    let before: BTreeMap<_, _> = heard.of(&home.pod.uid);
    assert!(!before.keys().any(|said| said.finding == "faults-refused"), "{before:?}");
    wait_within("the report of the death", EARLY, || {
        let said = heard.of(&home.pod.uid).into_keys();
        said.into_iter().find(|said| {
            (said.finding.as_str(), said.severity.as_str()) == ("faults-refused", "critical")
        })
    });
    drop((tenant, container));
    let container = home.instance();
    let mut server =
        Server::launch(cluster, &container, &[HUGE, "shared_buffers=16MB"], Ipc::Shared);
    assert!(!server.wait_until_ended().success(), "a restart does not help: {}", server.log());
    home.link();
    watch.page_about("HugetlbFaultsRefused", &home.pod.name);
    format!("a limit that was set to 0: {} told {:.1} s after it", said.finding, told.as_secs_f64())
}

/// A server with what it needs, at work.
struct Working<'a>(Server<'a>, Cgroup);

impl<'a> Working<'a> {
    fn new(home: &Home<'_>, cluster: &'a Cluster) -> Self {
        let container = home.instance();
        let server = Server::start(cluster, &container, &[HUGE, BUFFERS]);
        home.link();
        Self(server, container)
    }

    /// Works, is started again, and works.
    fn goes_on(self, home: &Home<'_>, cluster: &Cluster) {
        let seconds = if evidence::is_long() { 100 } else { 4 };
        let mut working = self;
        for _ in 0..if evidence::is_long() { 6 } else { 2 } {
            let mut pgbench = bench(&working.0, &seconds.to_string());
            assert!(pgbench.wait().expect("its end").success(), "{}", working.0.log());
            let Working(server, container) = working;
            drop(server);
            container.kill_all();
            drop(container);
            working = Working::new(home, cluster);
        }
    }
}

/// Two hundred instances, each gone before its name is there.
fn lives_30_ms(lab: &Lab) {
    const TIMES: u32 = 200;
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let home = Home::new(&kubepods, "db-on", GRANT);
    let agent = kubepods.agent(&["--poll.interval=2s", "--probe.target=off"]);
    agent.fresh();
    for _ in 0..TIMES {
        let container = home.instance();
        let began = Instant::now();
        let mut tenant = Tenant::new(&container, "shared");
        assert_eq!(tenant.tell(&format!("map {}", GRANT + 1)).as_deref(), Some("refused ENOMEM"));
        std::thread::park_timeout(Duration::from_millis(30).saturating_sub(began.elapsed()));
        drop((tenant, container));
        home.link();
    }
    let ours = [("uid", home.pod.uid.as_str()), ("pagesize", "2Mi")];
    let scrape = agent.after_polls(5.0);
    // An instance that no poll has seen is counted with its pod.
    let failures = scrape.value("hugetlb_pod_failures_total", &ours);
    assert_eq!(failures, Some(f64::from(TIMES)));
    let containers: Vec<_> = scrape
        .samples()
        .iter()
        .filter(|sample| sample.labels.get("uid") == Some(&home.pod.uid))
        .filter_map(|sample| sample.labels.get("container"))
        .filter(|container| !["", "postgres"].contains(&container.as_str()))
        .collect();
    assert!(containers.is_empty(), "{containers:?}");
    let findings: Vec<_> =
        scrape.with("hugetlb_finding", &ours).map(|sample| sample.labels.clone()).collect();
    let [finding] = &findings[..] else { panic!("one finding: {findings:?}") };
    let named = ["finding", "severity", "container"].map(|label| finding[label].as_str());
    let is_v1 = lab.phase == Phase::V1;
    let container = if is_v1 { finding["container"].as_str() } else { "postgres" };
    assert_eq!(named, ["mapping-refused", "critical", container]);
    evidence::tell(
        SECTION,
        format!("{}: {TIMES} instances that live 30 ms: one series, one finding", lab.phase),
    );
}
