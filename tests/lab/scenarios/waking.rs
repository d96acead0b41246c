//! What is refused makes a poll at once; what the probe is refused does not, a storm makes no more than it may, and
//! without the kernel's word it is polled as ever.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Named;
use super::figures::{Files, assert_value, compare_pools};
use super::probe::exporter;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::{Agent, program, tied};
use crate::harness::exposition::Exposition;
use crate::harness::{wait_for, wait_within};
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

pub const V2: &[Named] = &[
    ("waking::a_refusal_is_shown_at_once", a_refusal_is_shown_at_once),
    ("waking::the_probes_own_refusals_wake_nothing", own_refusals_wake_nothing),
    ("waking::a_storm_of_refusals_is_borne", a_storm_of_refusals_is_borne),
    ("waking::without_inotify_it_polls_until_there_is_some", without_inotify_it_polls),
    ("waking::what_is_touched_fast_is_polled_often", what_is_touched_fast_is_polled_often),
];

const SIZE: (&str, &str) = ("pagesize", "2Mi");
const SOURCE_UP: &str = "hugetlb_exporter_source_up";
/// So long that nothing but a refusal makes a poll.
const SELDOM: &str = "--poll.interval=30s";
const AT_ONCE: Duration = Duration::from_secs(1);

fn woken(scrape: &Exposition) -> f64 {
    scrape.value("hugetlb_exporter_woken_polls_total", &[]).expect("a count")
}

/// A touch, a mapping, and a touch by a container that has come since the last poll.
fn a_refusal_is_shown_at_once(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 4);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = kubepods.agent(&[SELDOM]);
    assert_eq!(woken(&agent.scrape()), 0.0);
    let shows = |uid: &str, failures: f64| {
        wait_within("a refusal to be shown", AT_ONCE, || {
            let scrape = agent.scrape();
            let shown = scrape.value("hugetlb_pod_failures_total", &[("uid", uid), SIZE]);
            (shown == Some(failures)).then(|| woken(&scrape))
        })
    };
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(5);
    tenant.touch_and_die(5);
    let first = shows(&pod.uid, 1.0);
    pod.cgroup.reservation_limit(4);
    let mut tenant = Tenant::new(&container, "shared");
    assert_eq!(tenant.tell("map 5").as_deref(), Some("refused ENOMEM"));
    let second = shows(&pod.uid, 2.0);
    let young = kubepods.pod("young", 0);
    let container = kubepods.container(&young, "c", &id("bb"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(1);
    tenant.touch_and_die(1);
    let third = shows(&young.uid, 1.0);
    assert!(1.0 <= first && first < second && second < third, "{first}, {second}, {third}");
}

/// They climb to kubepods like anybody's, and are somebody's news only when they are not the exporter's.
fn own_refusals_wake_nothing(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let counted = || -> u64 {
        let text = fs::read_to_string(lab.root.join("kubepods/hugetlb.2MB.events"));
        text.expect("events").trim().trim_start_matches("max ").parse().expect("a count")
    };
    let pod = kubepods.pod("db-0", 0);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let limits = [(None, None), (Some(0), None)];
    let (_own_pod, _own, agent) = exporter(&kubepods, "exporter", limits, &[SELDOM]);
    let before = counted();
    wait_for("ten refused probes", || (counted() >= before + 10).then_some(()));
    assert_eq!(woken(&agent.scrape()), 0.0);
    // It was listening all the time.
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(1);
    tenant.touch_and_die(1);
    wait_within("somebody else's refusal", AT_ONCE, || {
        let scrape = agent.scrape();
        (scrape.value("hugetlb_pod_failures_total", &[("pod", "db-0"), SIZE])? == 1.0).then_some(())
    });
    assert_eq!(woken(&agent.scrape()), 1.0);
}

/// What a process has taken of the processors, in seconds.
fn cpu(agent: &Agent) -> f64 {
    agent.scrape().value("process_cpu_seconds_total", &[]).expect("its time")
}

/// Thousands of mappings refused a second, for a while, on a node with many cgroups.
fn a_storm_of_refusals_is_borne(lab: &Lab) {
    const LENGTH: Duration = Duration::from_secs(5);
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("storm", 4);
    pod.cgroup.reservation_limit(1);
    let containers = ["a1", "a2", "a3", "a4"].map(|digits| {
        let name = format!("c-{digits}");
        kubepods.container(&pod, &name, &id(digits), 0)
    });
    let bystanders: Vec<_> =
        (0..100).map(|number| kubepods.pod(&format!("bystander-{number}"), 0)).collect();
    let agent = kubepods.agent(&["--poll.interval=2s"]);
    let mut tenants = containers.each_ref().map(|container| Tenant::new(container, "private"));
    let (before, spent) = (woken(&agent.scrape()), cpu(&agent));
    let began = Instant::now();
    let mut refused: u64 = 0;
    while began.elapsed() < LENGTH {
        for tenant in &mut tenants {
            assert_eq!(tenant.tell("map 2").as_deref(), Some("refused ENOMEM"));
            refused += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let (polls, share) =
        ((woken(&agent.scrape()) - before) / seconds, (cpu(&agent) - spent) / seconds);
    println!(
        "{refused} refusals, {polls:.1} woken polls a second, {:.1} % of a core",
        share * 100.0
    );
    assert!(refused > 5_000, "{refused} refusals are no storm");
    assert!((0.2..=20.5).contains(&polls), "{polls} woken polls a second");
    assert!(share < 0.05, "{share} of a core");
    wait_for("the last of them", || {
        let shown =
            agent.scrape().value("hugetlb_pod_failures_total", &[("pod", "storm"), SIZE])?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let all = refused as f64;
        (shown == all).then_some(())
    });
    drop(bystanders);
}

/// An agent to whose user the kernel gives no instance of inotify: in a user namespace, so that nobody else's limit
/// changes.
fn agent_without_inotify(kubepods: &Kubepods<'_>) -> Agent {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]);
    // The kernel takes the wish to end with us away from whoever enters another user namespace.
    let then = tied("sh");
    command.arg(then.get_program()).args(then.get_args());
    let script = r#"echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@""#;
    command.args(["-c", script]).arg(program());
    let more = ["--web.listen-address=127.0.0.1:0", "--poll.interval=100ms"];
    command.args(kubepods.flags(&more));
    Agent::started_by(command)
}

fn without_inotify_it_polls(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 40);
    let first = kubepods.container(&pod, "first", &id("aa"), 0);
    first.limit(20);
    let mut one = Tenant::new(&first, "shared");
    one.map(12);
    one.touch(7);
    let agent = agent_without_inotify(&kubepods);
    let source = [("source", "inotify")];
    assert_value(&agent.fresh(), SOURCE_UP, &source, 0);
    let service = Cgroup::new(lab, "lab-new");
    let mut served = Tenant::new(&service, "private");
    served.map(2);
    served.touch(1);
    let of_service = [("cgroup", "/lab-new"), SIZE];
    assert_value(&agent.fresh(), "hugetlb_cgroup_usage_bytes", &of_service, 2 << 20);
    let second = kubepods.container(&pod, "second", &id("bb"), 0);
    let mut two = Tenant::new(&second, "private");
    two.map(3);
    two.touch(2);
    wait_for("the new one's name", || {
        let labels = [("container", "second"), SIZE];
        agent.scrape().value("hugetlb_container_usage_bytes", &labels)
    });
    first.limit(30);
    second.limit(2);
    two.touch_and_die(3);
    let mut two = Tenant::new(&second, "private");
    two.map(2);
    two.touch(1);
    let scrape = agent.fresh();
    let of_pod = [("uid", pod.uid.as_str()), SIZE];
    Files::of(&pod.cgroup, "2MB").compare(&scrape, "pod", &of_pod);
    for (name, cgroup) in [("first", &first), ("second", &second)] {
        let labels = [("container", name), ("namespace", "lab"), SIZE];
        Files::of(cgroup, "2MB").compare(&scrape, "container", &labels);
    }
    compare_pools(&scrape);
    assert_value(&scrape, SOURCE_UP, &source, 0);
    assert_value(&scrape, SOURCE_UP, &[("source", "cgroups")], 1);
    assert_eq!(woken(&scrape), 0.0);
    let said = || agent.log().into_iter().filter(|line| line.contains("inotify"));
    let said_first: Vec<_> = said().collect();
    assert_eq!(said_first.len(), 1, "{said_first:?}");
    assert!(said_first[0].contains("fs.inotify.max_user_instances"), "{said_first:?}");
    give_inotify(&agent);
    second.limit(1);
    two.touch_and_die(2);
    wait_for("a poll that a refusal makes", || (woken(&agent.scrape()) > 0.0).then_some(()));
    assert_eq!(said().count(), 2, "that it is up again");
}

/// Raises the limit of the agent's user namespace, and waits until it has an instance.
fn give_inotify(agent: &Agent) {
    let mut command = Command::new("nsenter");
    command.arg("--user").arg("--target").arg(agent.pid().to_string());
    command.args(["sh", "-c", "echo 8 > /proc/sys/user/max_inotify_instances"]);
    assert!(command.status().expect("nsenter").success());
    let source = [("source", "inotify")];
    wait_for("an instance", || agent.fresh().value(SOURCE_UP, &source).filter(|up| *up == 1.0));
}

fn what_is_touched_fast_is_polled_often(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("db-0", 450);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = kubepods.agent(&["--poll.interval=1s"]);
    let mut tenant = Tenant::new(&container, "private");
    tenant.map(450);
    let interval =
        || agent.scrape().value("hugetlb_exporter_poll_interval_seconds", &[]).expect("a time");
    assert_eq!(interval(), 1.0);
    let mut touched = 0;
    wait_for("polls to be more frequent", || {
        touched += 1;
        assert!(touched < 450, "all is touched and nothing was noticed");
        tenant.touch(touched);
        (interval() == 0.25).then_some(())
    });
    wait_for("polls to be as they were", || (interval() == 1.0).then_some(()));
}
