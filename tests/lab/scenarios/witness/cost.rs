//! What the witness costs, at rest and in a flood.

use std::fs;
use std::time::{Duration, Instant};

use super::kills::pause;
use super::{Bus, SECTION, Witness, killed};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::harness::agent::Agent;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

/// What a process has taken of the processors: the first figure of schedstat, in nanoseconds.
fn taken(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("its time");
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(first.expect("nanoseconds"))
}

/// How often the kernel has run the program, and for how long, by its own count.
fn run(witness: &Witness) -> (u64, Duration) {
    let directory = format!("/proc/{}/fdinfo", witness.pid());
    let files = fs::read_dir(directory).expect("descriptors").flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let text = texts.into_iter().find(|text| text.contains("run_cnt:")).expect("a program");
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse::<u64>().expect("a number")
    };
    (figure("run_cnt:"), Duration::from_nanos(figure("run_time_ns:")))
}

/// The kernel counts what programs take while this is on; it is put back.
struct Counting(String);

const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Counting {
    fn on() -> Self {
        let before = fs::read_to_string(STATS).expect("a switch");
        fs::write(STATS, "1").expect("on");
        Self(before)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        fs::write(STATS, self.0.trim()).expect("put back");
    }
}

/// Has one after the other killed for so long; each must be told before the next. How many.
fn kill_meanwhile(container: &Cgroup, agent: &Agent, length: Duration) -> u32 {
    let (began, mut deaths) = (Instant::now(), 0_u32);
    while began.elapsed() < length {
        let mut tenant = Tenant::new(container, "shared");
        tenant.map(2);
        tenant.touch_and_die(2);
        deaths += 1;
        let labels = [("pod", "db-0"), ("cause", "limit")];
        wait_for("the other's death", || {
            let count = agent.scrape().value("hugetlb_container_sigbus_total", &labels)?;
            (count == f64::from(deaths)).then_some(())
        });
        pause(Duration::from_millis(300));
    }
    deaths
}

/// A process that sends itself as many signals as it can, and another's death in the middle of it.
pub(super) fn a_flood_costs_little(lab: &Lab) {
    let seconds = if evidence::is_long() { 20 } else { 5 };
    let witness = Witness::start();
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let hostile = kubepods.pod("hostile", 4);
    let flooder = kubepods.container(&hostile, "c", &id("bad"), 0);
    let pod = kubepods.pod("db-0", 1);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = witness.agent(&kubepods, &["--poll.interval=2s"]);
    let _counting = Counting::on();
    let mut bus = Bus::new(&flooder, &["flood", &seconds.to_string()]);
    let (before, spent, began) = (run(&witness), taken(witness.pid()), Instant::now());
    bus.order();
    let deaths = kill_meanwhile(&container, &agent, Duration::from_secs(seconds) / 2);
    let sent: u64 = bus.answer().parse().expect("a count");
    let lasted = began.elapsed().as_secs_f64();
    let (after, spent) = (run(&witness), taken(witness.pid()) - spent);
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let (sent, runs) = (sent as f64, (after.0 - before.0) as f64);
    let each = (after.1 - before.1).as_secs_f64() / runs;
    let in_kernel = each * 100_000.0;
    evidence::tell(
        SECTION,
        format!(
            "A flood of {:.0} signals a second from one container: {:.0} ns each in the kernel, {:.2} % of a core for 100,000 a second; the witness itself took {:.3} %; {deaths} deaths of another container were all told meanwhile.",
            sent / lasted,
            each * 1e9,
            in_kernel * 100.0,
            spent.as_secs_f64() / lasted * 100.0,
        ),
    );
    // The kernel's measuring is in it, and a busy machine's cold caches.
    let most = if evidence::is_long() { 0.02 } else { 0.05 };
    assert!(in_kernel + spent.as_secs_f64() / lasted < most, "{in_kernel} and {spent:?}");
    let told = |cause| {
        let labels = [("pod", "hostile"), ("cause", cause)];
        agent.scrape().value("hugetlb_container_sigbus_total", &labels).unwrap_or_default()
    };
    wait_for("all of the flood to be counted", || {
        (told("other") + told("dropped") == sent).then_some(())
    });
    assert_eq!(told("other"), 20.0, "so many a minute are told of");
    let others = killed(&agent).iter().filter(|it| it["pod"] == "db-0").count();
    assert_eq!(u32::try_from(others).expect("few"), deaths);
}

/// Nothing happens.
pub(super) fn at_rest_it_costs_nothing(_lab: &Lab) {
    let length = Duration::from_secs(if evidence::is_long() { 120 } else { 10 });
    let witness = Witness::start();
    let (before, began) = (taken(witness.pid()), Instant::now());
    pause(length);
    let share = (taken(witness.pid()) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    evidence::tell(SECTION, format!("At rest: {:.4} % of a core.", share * 100.0));
    // A build without optimisations takes more.
    let most = if evidence::is_long() { 0.000_1 } else { 0.001 };
    assert!(share < most, "{share} of a core");
}
