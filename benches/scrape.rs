//! What a scrape costs, and what one of node_exporter's does on the same machine.
//!
//! `cargo bench --bench scrape` prints one line a figure, `name value unit`. Costs are processor time of the
//! server's threads from request to answer over a kept connection, gzipped, as the mean of a round's scrapes in
//! the median of the rounds; node_exporter's is that of its process. Rounds of all take turns.

#![allow(clippy::expect_used, reason = "a benchmark may fail loudly")]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod figures;
mod node;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod peer;
mod scraper;

use std::time::Duration;

use figures::{median, microseconds, print};
use hugetlb_exporter::bench::{Assessing, Serving};
use hugetlb_exporter::metrics;
use nix::time::{ClockId, clock_gettime};
use node::Node;
use peer::Peer;
use scraper::Scraper;

const ROUNDS: usize = 11;
const SCRAPES: u32 = 20;

/// A usual node, and the largest that there is a promise for.
const USUAL: Node = Node { pods: 110, containers_a_pod: 2, granted: 20, using: 2 };
const LARGE: Node = Node { pods: 500, containers_a_pod: 2, granted: 500, using: 2 };

fn main() {
    let mut usual = Served::new(USUAL);
    let mut large = Served::new(LARGE);
    usual.print_sizes("usual");
    large.print_sizes("large");
    let mut peer = Peer::start();
    if peer.is_none() {
        println!("# {} is not installed: nothing to compare with", peer::PROGRAM);
    }
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.usual.push(usual.round(true));
        rounds.usual_again.push(usual.round(false));
        rounds.large.push(large.round(true));
        rounds.large_again.push(large.round(false));
        rounds.peer.extend(peer.as_mut().map(|peer| peer.round(SCRAPES)));
    }
    rounds.print();
}

/// What each round's scrapes took, in microseconds.
#[derive(Default)]
struct Rounds {
    usual: Vec<f64>,
    usual_again: Vec<f64>,
    large: Vec<f64>,
    large_again: Vec<f64>,
    peer: Vec<f64>,
}

impl Rounds {
    fn print(self) {
        let [usual, large] = [self.usual, self.large].map(|costs| median(&costs));
        print("scrape_usual_new_view", usual, "us");
        print("scrape_usual_same_view", median(&self.usual_again), "us");
        print("scrape_large_new_view", large, "us");
        print("scrape_large_same_view", median(&self.large_again), "us");
        if !self.peer.is_empty() {
            let peer = median(&self.peer);
            print("scrape_node_exporter", peer, "us");
            print("scrape_usual_over_node_exporter_ratio", usual / peer, "ratio");
            print("scrape_large_over_node_exporter_ratio", large / peer, "ratio");
        }
    }
}

/// A node, and a server that shows it.
struct Served {
    node: Assessing,
    serving: Serving,
    scraper: Scraper,
    polls: u64,
}

impl Served {
    fn new(node: Node) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let assessing = Assessing::new(node.build(root.path()));
        let shown = assessing.assess().containers.len();
        assert_eq!(shown, node.granted * node.containers_a_pod, "all that were granted some");
        let serving = Serving::start().expect("a server");
        let scraper = Scraper::new(serving.address());
        let mut served = Self { node: assessing, serving, scraper, polls: 0 };
        served.poll();
        served
    }

    /// Shows a view that was not encoded yet.
    fn poll(&mut self) {
        self.polls += 1;
        self.serving.show(self.node.view(self.polls));
    }

    fn print_sizes(&mut self, name: &str) {
        let text = metrics::encode(&self.node.view(1));
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        print(&format!("scrape_{name}_series"), series as f64, "series");
        print(&format!("scrape_{name}_text"), text.len() as f64, "bytes");
        print(&format!("scrape_{name}_gzip"), self.scraper.scrape() as f64, "bytes");
    }

    /// The mean of some scrapes, each of a new view or all of the one that is there.
    fn round(&mut self, of_new_views: bool) -> f64 {
        let mut total = Duration::ZERO;
        for _ in 0..SCRAPES {
            if of_new_views {
                self.poll();
            }
            let before = others();
            self.scraper.scrape();
            total += others().saturating_sub(before);
        }
        microseconds(total) / f64::from(SCRAPES)
    }
}

/// Processor time of all threads but this one.
fn others() -> Duration {
    let all = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock"));
    let own = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
    all.saturating_sub(own.into())
}
