//! What has become of the story on a node of today, whose kubelet sets each pod's reservation limit to its limit: a start
//! that is refused and loops, a silent fallback, a limit that a resize took away, a child's copy. All of them at once on
//! one node, with real PostgreSQL, Prometheus and Alertmanager, beside a server that is rightly sized; in containers of
//! this system's runtimes and of newer ones, with their PostgreSQL.

mod home;
mod household;

use std::time::{Duration, Instant};

use hugetlb_exporter::{Looking, Roots, Thresholds, look, report};
use serde_json::Value;

use super::Named;
use super::incident::Watch;
use crate::Lab;
use crate::evidence::{self, Section};
use crate::kubepods::{Driver, Kubepods};
use crate::machine::{LargerPool, Phase};
use crate::monitoring::Message;
use crate::postgres::Cluster;
use crate::refusals::Heard;
use home::{Home, Maker};
use household::{Clusters, GRANT, Household, Witnesses};

pub const BOTH: &[Named] = &[
    ("heirs::four_on_one_node", four_on_one_node),
    ("heirs::one_that_lives_30_ms_is_one_container", lives_30_ms),
];

const SECTION: Section = Section { title: "The incident of today", scenarios: "heirs::" };

fn four_on_one_node(lab: &Lab) {
    let makers = Maker::all();
    let _pool = LargerPool::of(1_000);
    let clusters = clusters(&makers);
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let made = makers.iter().zip(&clusters);
    let households: Vec<_> =
        made.map(|(maker, clusters)| Household::new(&kubepods, *maker, clusters)).collect();
    let watch = Watch::over(&kubepods);
    let heard = Heard::default();
    let witnesses = Witnesses { phase: lab.phase, watch: &watch, heard: &heard };
    std::thread::scope(|scope| {
        let listening = heard.listen(scope, watch.agent());
        let fallen: Vec<_> = households.iter().map(Household::falls_back).collect();
        let witnesses = &witnesses;
        let lives = |household| scope.spawn(move || live(household, witnesses));
        let living: Vec<_> = households.iter().map(lives).collect();
        for (living, maker) in living.into_iter().zip(&makers) {
            let lived = living.join().unwrap_or_else(|_| panic!("{maker}: see above"));
            evidence::tell(SECTION, format!("{}, {}: {lived}", lab.phase, maker.versions()));
        }
        if !evidence::is_long() {
            let told = is_told_of_fallbacks(&kubepods, &households);
            evidence::tell(SECTION, format!("{}: {told}", lab.phase));
        }
        drop(listening);
        drop(fallen);
    });
    households.iter().for_each(|household| household.is_judged(&heard));
    let pages = watch.pages();
    let about = |page: &Message| {
        (
            page.label("pod").to_owned(),
            page.label("alertname").to_owned(),
            page.alert["labels"].to_string(),
        )
    };
    let mut about: Vec<_> = pages.iter().map(about).collect();
    about.sort();
    about.dedup();
    for Household { on, .. } in &households {
        let of: Vec<_> = about.iter().filter(|(pod, ..)| *pod == on.pod.name).collect();
        assert!(matches!(of[..], [(_, alert, _)] if alert == "HugetlbMappingRefused"), "{of:?}");
    }
    about.retain(|(pod, ..)| !["on-", "resized-"].iter().any(|name| pod.starts_with(name)));
    assert!(about.is_empty(), "{about:?}");
}

/// Made at the same time.
fn clusters(makers: &[Maker]) -> Vec<Clusters> {
    let make = |maker: &Maker| {
        let suite = maker.suite();
        std::thread::spawn(move || std::array::from_fn(|_| Cluster::of(suite)))
    };
    let made: Vec<_> = makers.iter().map(make).collect();
    made.into_iter().map(|made| made.join().expect("data directories")).collect()
}

/// Each in its own time.
fn live(household: &Household<'_>, witnesses: &Witnesses<'_>) -> String {
    std::thread::scope(|scope| {
        let at_work = scope.spawn(|| household.works());
        let resized = scope.spawn(|| household.loses_its_limit(witnesses));
        let idle = evidence::is_long().then(|| scope.spawn(|| household.lies_idle(witnesses)));
        let looped = household.loops(witnesses);
        let others = [resized, at_work].into_iter().chain(idle);
        let others = others.map(|story| story.join().expect("its story"));
        [looped].into_iter().chain(others).collect::<Vec<_>>().join("; ")
    })
}

/// The agent waits ten minutes for that; a look at the same node with the same rules and no such patience does not.
fn is_told_of_fallbacks(kubepods: &Kubepods<'_>, households: &[Household<'_>]) -> String {
    let roots = Roots {
        proc: "/proc".into(),
        sys: "/sys".into(),
        cgroup: None,
        pod_logs: kubepods.logs("pods").into(),
        container_logs: kubepods.logs("containers").into(),
    };
    let thresholds = Thresholds { idle_for: Duration::ZERO, ..Thresholds::default() };
    let view = report::json(&look(Looking { thresholds, ..Looking::at(roots) }));
    let view: Value = serde_json::from_str(&view).expect("JSON");
    let findings = view["findings"].as_array().expect("findings");
    for Household { maker, tries, .. } in households {
        let of = findings.iter().filter(|finding| finding["uid"] == *tries.pod.uid);
        let names: Vec<_> = of.map(|finding| &finding["finding"]).collect();
        assert_eq!(names, ["silent-fallback"], "{maker}: {findings:?}");
    }
    "a fallback: told after its time".to_owned()
}

/// Two hundred instances, each gone before its name is there.
fn lives_30_ms(lab: &Lab) {
    const TIMES: u32 = 200;
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let home = Home::new(&kubepods, Maker::Lab, "db-on", GRANT);
    let agent = kubepods.agent(&["--poll.interval=2s", "--probe.target=off"]);
    agent.fresh();
    for _ in 0..TIMES {
        let began = Instant::now();
        let mut residing = home.tenant();
        let answer = residing.tenant().tell(&format!("map {}", GRANT + 1));
        assert_eq!(answer.as_deref(), Some("refused ENOMEM"));
        std::thread::park_timeout(Duration::from_millis(30).saturating_sub(began.elapsed()));
        drop(residing);
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
