//! What the running agent costs, and how soon it tells of a refusal, on the real kernel.
//!
//! `cargo bench --bench agent` prints one line a figure, `name value unit`, in some four minutes; it wants root and
//! memory for 1,000 huge pages, and puts everything back. The agent is the program as it is built for benchmarks
//! (`HUGETLB_EXPORTER_BINARY` names another build of it), a process of its own with its default flags.
//! docs/performance.md has the figures and what they mean.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may fail loudly"
)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod figures;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod peer;
mod refusals;
mod scraper;

use std::process::ExitCode;
use std::time::Duration;

use figures::{print, quantile, rest, status_of};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use peer::Peer;
use scraper::Scraper;
use testkit::agent::{Agent, Start};
use testkit::real::{self, Hierarchy, Inside, MemoryCgroup, Node, OnLoan};

const SETTLE: Duration = Duration::from_secs(10);
/// What is new is looked at more often at first.
const SETTLE_LONG: Duration = Duration::from_secs(60);
/// As Prometheus scrapes by default, and how often while it is measured.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);
const MEASURED: u32 = 4;
const SCRAPES: usize = 15;
const REFUSALS: usize = 250;
const MEBIBYTE: f64 = 1_048_576.0;

/// Measures something, and prints it.
type Measure = fn(&Hierarchy);

/// What is measured, by the name that asks for it alone: `cargo bench --bench agent -- memory`; whether on v1 too.
const ALL: [(&str, Measure, bool); 4] = [
    ("processor", processor_time, true),
    ("busy", busy, true),
    ("refusals", time_to_metric, false),
    ("memory", memory, true),
];

fn main() -> ExitCode {
    real::run(1000, 1000, |Inside { hierarchy, .. }| {
        let wish = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
        let is_wanted = |name: &str| wish.as_ref().is_none_or(|wish| wish == name);
        let wanted: Vec<_> = ALL.iter().filter(|(name, ..)| is_wanted(name)).collect();
        wanted.iter().for_each(|(_, measure, _)| measure(&hierarchy));
        // Last, since v2 has no controller then.
        match hierarchy.as_v1() {
            Some(v1) => {
                wanted.iter().filter(|(.., on_v1)| *on_v1).for_each(|(_, measure, _)| measure(&v1));
            }
            None => println!("# v1 is not measured: the controller is not to be had there"),
        }
    })
}

/// What the agent takes at the default interval where a few pods use huge pages, and node_exporter beside it; both are
/// scraped. The kubelet limits the other pods to none.
fn processor_time(hierarchy: &Hierarchy) {
    let mut node = Node::of_few(hierarchy, 110, 2, (5, 2));
    node.fill(10, 1);
    share(&node, &format!("agent_{}_usual", hierarchy.version()));
}

/// The same where 1,000 containers in 500 pods all use huge pages.
fn busy(hierarchy: &Hierarchy) {
    let mut node = Node::new(hierarchy, 500, 2, 2);
    node.fill(1000, 1);
    share(&node, &format!("agent_{}_1000_using", hierarchy.version()));
}

fn share(node: &Node, name: &str) {
    let agent = start(node).go();
    let mut peer = Peer::start();
    rest(SETTLE_LONG);
    let mut scraper = Scraper::new(agent.address());
    let before = (spent(&agent), peer.as_ref().map(Peer::spent));
    for _ in 0..MEASURED {
        rest(SCRAPE_INTERVAL);
        scraper.scrape();
        peer.iter_mut().for_each(Peer::scrape);
    }
    let seconds = (SCRAPE_INTERVAL * MEASURED).as_secs_f64();
    let percent =
        |now: Duration, before| 100.0 * now.saturating_sub(before).as_secs_f64() / seconds;
    let own = percent(spent(&agent), before.0);
    print(&format!("{name}_cpu"), own, "percent");
    print(&format!("{name}_resident"), status(&agent, "VmRSS:") / 1024.0, "MiB");
    match (peer, before.1) {
        (Some(peer), Some(before)) => {
            let others = percent(peer.spent(), before);
            print(&format!("{name}_node_exporter_cpu"), others, "percent");
            print(&format!("{name}_node_exporter_resident"), peer.resident() / 1024.0, "MiB");
            print(&format!("{name}_over_node_exporter_ratio"), own / others, "ratio");
        }
        _ => println!("# node_exporter is not measured: {} is not on the PATH", peer::PROGRAM),
    }
}

/// How long a refusal stays unknown.
fn time_to_metric(hierarchy: &Hierarchy) {
    let node = Node::new(hierarchy, 110, 2, 1);
    let agent = start(&node).go();
    rest(SETTLE);
    let container = node.container(0);
    let pod = container.parent().and_then(|pod| pod.file_name()).expect("a pod");
    let uid = pod.to_string_lossy().trim_start_matches("pod").to_owned();
    let times = refusals::latencies(&agent, container, &uid, REFUSALS);
    print("refusal_to_metric_median", quantile(&times, 0.5), "ms");
    print("refusal_to_metric_99th_percentile", quantile(&times, 0.99), "ms");
    print("refusal_to_metric_longest", quantile(&times, 1.0), "ms");
}

/// What the agent holds where 1,000 containers use huge pages, and what the kernel holds for it.
fn memory(hierarchy: &Hierarchy) {
    let mut node = Node::new(hierarchy, 500, 2, 2);
    node.fill(1000, 1);
    let cgroup = MemoryCgroup::make();
    let mut start = start(&node);
    if let Some(cgroup) = &cgroup {
        start = start.in_cgroup(cgroup.directory());
    } else {
        println!("# kernel memory is not measured: the memory controller is not to be had here");
    }
    let agent = start.go();
    rest(SETTLE);
    let name = format!("agent_{}_1000_using", hierarchy.version());
    print_memory(&name, &agent, cgroup.as_ref());
    let mut scraper = Scraper::new(agent.address());
    for _ in 0..SCRAPES {
        scraper.scrape();
        // Long enough for another view.
        rest(Duration::from_millis(2100));
    }
    print_memory(&format!("{name}_scraped"), &agent, cgroup.as_ref());
    print(&format!("{name}_descriptors"), agent.descriptors() as f64, "descriptors");
}

fn print_memory(name: &str, agent: &Agent, cgroup: Option<&MemoryCgroup>) {
    let print = |of: &str, mebibytes| print(&format!("{name}_{of}"), mebibytes, "MiB");
    let resident = status(agent, "VmRSS:") / 1024.0;
    print("resident", resident);
    print("resident_anonymous", status(agent, "RssAnon:") / 1024.0);
    print("resident_file", status(agent, "RssFile:") / 1024.0);
    let of_cgroup = |read: fn(&MemoryCgroup) -> Option<u64>| cgroup.and_then(read);
    if let Some(kernel) = of_cgroup(MemoryCgroup::kernel) {
        print("kernel", kernel as f64 / MEBIBYTE);
        print("resident_and_kernel", resident + kernel as f64 / MEBIBYTE);
    }
    if let Some(charged) = of_cgroup(MemoryCgroup::charged) {
        print("charged", charged as f64 / MEBIBYTE);
    }
}

/// An agent as it is by default, in the environment that the image gives it.
fn start(node: &Node) -> Start {
    let roots = node.roots();
    let flags = [
        format!("--path.pod-logs={}", roots.pod_logs.display()),
        format!("--path.container-logs={}", roots.container_logs.display()),
        "--poll.interval=2s".to_owned(),
    ];
    Start::new(&flags).tied_to_us().with_variable("MALLOC_ARENA_MAX", "1")
}

/// The processor time of all its threads.
fn spent(agent: &Agent) -> Duration {
    let process = Pid::from_raw(agent.pid().try_into().expect("an id"));
    let clock = clock_getcpuclockid(process).expect("its clock");
    clock_gettime(clock).expect("its time").into()
}

/// A line of its status that is in kB.
fn status(agent: &Agent, line: &str) -> f64 {
    status_of(agent.pid(), line)
}
