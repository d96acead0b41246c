//! What a poll costs (to read, to parse, to build the snapshot) on the real kernel, and what its files alone cost.
//!
//! `cargo bench --bench poll` prints one line a figure, `name value unit`; it wants root and memory for 3,000 huge pages
//! (for all figures 5,000), and puts everything back. Costs are the thread's processor time, as the median of the
//! rounds. The floor reads the same files through descriptors that it keeps, into one buffer on the stack, and
//! parses nothing; rounds of both take turns. docs/performance.md has the figures and what they mean.

#![allow(clippy::expect_used, reason = "a benchmark may fail loudly")]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod figures;
mod floor;

use std::process::ExitCode;
use std::time::Duration;

use figures::{cost, median, print};
use floor::Floor;
use hugetlb_exporter::bench::{Resident, Snapshot};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testkit::real::{self, Hierarchy, Inside, Node, OnLoan};

const PODS: usize = 500;
const CONTAINERS: usize = 1000;
const PAGES: u32 = 3;
const ROUNDS: usize = 21;
const INTERVAL: Duration = Duration::from_secs(2);
/// In this time everything is seen whole once, and by the time before that it is looked at as rarely as ever.
const SWEEP: Duration = Duration::from_secs(3600);
const SETTLED: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    let least = (CONTAINERS * PAGES as usize) as u64;
    real::run(least, 5000, |inside| {
        // The floor keeps its files open.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("descriptors");
        let Inside { hierarchy, pool } = inside;
        compare(&hierarchy);
        for cgroups in [10, 100, 1_000, 10_000] {
            grow(&hierarchy, cgroups, pool);
        }
        match hierarchy.as_v1() {
            Some(v1) => compare(&v1),
            None => println!("# v1 is not measured: the controller is not to be had there"),
        }
    })
}

/// A reader that has seen the node a few times, with what it saw last, as in the agent.
struct Reading {
    reader: Resident,
    now: Duration,
    last: Snapshot,
}

impl Reading {
    fn new(node: &Node) -> Self {
        let mut reader = Resident::new(node.roots());
        let last = reader.read(Duration::ZERO);
        let mut reading = Self { reader, now: Duration::ZERO, last };
        reading.poll();
        reading
    }

    /// One poll, at a time at which nothing is to be looked at anew.
    fn poll(&mut self) -> f64 {
        cost(|| self.last = self.reader.read(self.now))
    }

    /// The mean of polls at the default interval, each with its part of the slow sweep.
    fn settled(&mut self) -> f64 {
        let mut costs = Vec::new();
        while self.now < SETTLED + SWEEP {
            self.now += INTERVAL;
            let poll = self.poll();
            if self.now >= SETTLED {
                costs.push(poll);
            }
        }
        costs.iter().sum::<f64>() / costs.len() as f64
    }
}

/// 1,000 containers of which all use huge pages, or ten.
fn compare(hierarchy: &Hierarchy) {
    let version = hierarchy.version();
    let print = |name: &str, value, unit| print(&format!("poll_{version}_{name}"), value, unit);
    let grant = 2 * u64::from(PAGES);
    let mut node = Node::new(hierarchy, PODS, CONTAINERS / PODS, grant);
    node.fill(10, 1);
    let mut reading = Reading::new(&node);
    let few: Vec<f64> = (0..ROUNDS).map(|_| reading.poll()).collect();
    let few_settled = reading.settled();
    drop(reading);

    node.fill(CONTAINERS, PAGES);
    let mut reading = Reading::new(&node);
    let floor = Floor::of_used(&hierarchy.root);
    let (mut all, mut same) = (Vec::new(), Vec::new());
    let (mut all_changed, mut changed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        same.push(cost(|| floor.read()));
        all.push(reading.poll());
        change(&mut node);
        changed.push(cost(|| floor.read()));
        change(&mut node);
        all_changed.push(reading.poll());
    }
    print("files", floor.files() as f64, "files");
    let [floor, floor_changed] = [median(&same), median(&changed)];
    let [all, all_changed, few] = [median(&all), median(&all_changed), median(&few)];
    print("1000_using_floor", floor, "us");
    print("1000_using", all, "us");
    print("1000_using_over_floor_ratio", all / floor, "ratio");
    print("1000_changing_floor", floor_changed, "us");
    print("1000_changing", all_changed, "us");
    print("1000_changing_over_floor_ratio", all_changed / floor_changed, "ratio");
    print("10_using", few, "us");
    print("10_over_1000_using_ratio", few / all, "ratio");
    print("1000_using_with_sweep", reading.settled(), "us");
    print("10_using_with_sweep", few_settled, "us");
}

/// Has every container use more or less than before.
fn change(node: &mut Node) {
    if !node.give_some_back() {
        node.fill(CONTAINERS, PAGES);
    }
}

/// What so many cgroups cost, if all use huge pages and if none does: pods of one container.
fn grow(hierarchy: &Hierarchy, cgroups: usize, pool: usize) {
    let pods = (cgroups - 2) / 2;
    let mut node = Node::new(hierarchy, pods, 1, 1);
    assert_eq!(node.cgroups(pods), cgroups);
    let print = |name: &str, value| print(&format!("poll_{cgroups}_cgroups_{name}"), value, "us");
    let mut reading = Reading::new(&node);
    let costs: Vec<f64> = (0..ROUNDS).map(|_| reading.poll()).collect();
    print("unused", median(&costs));
    print("unused_with_sweep", reading.settled());
    drop(reading);
    if pods > pool {
        println!("# {cgroups} cgroups that use huge pages are not measured: the pool has {pool}");
        return;
    }
    node.fill(pods, 1);
    let first = cost(|| drop(Resident::new(node.roots()).read(Duration::ZERO)));
    print("using_first", first);
    let mut reading = Reading::new(&node);
    let costs: Vec<f64> = (0..ROUNDS).map(|_| reading.poll()).collect();
    print("using", median(&costs));
}
