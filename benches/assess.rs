//! How long it takes to assess a node with 1,000 containers, every second one of which uses huge pages.
//!
//! `cargo bench --bench assess` prints one line a figure, `name value unit`: the median of 201 runs, and how
//! it compares with a walk over as many file names in memory, so that two machines can be compared.

#![allow(clippy::expect_used, reason = "a benchmark may fail loudly")]

mod node;

use std::hint::black_box;
use std::time::Instant;

use hugetlb_exporter::bench::Assessing;
use node::Node;

const PODS: usize = 500;
const CONTAINERS_A_POD: usize = 2;
const RUNS: usize = 201;

fn main() {
    let root = tempfile::tempdir().expect("a directory");
    let node = Node { pods: PODS, containers_a_pod: CONTAINERS_A_POD, granted: PODS, using: 1 };
    let mut node = Assessing::new(node.build(root.path()));
    let shown = node.assess();
    assert_eq!(shown.containers.len(), PODS * CONTAINERS_A_POD, "all are shown");
    assert_eq!(shown.findings.len(), 1, "one will crash");
    print("assess_containers", (PODS * CONTAINERS_A_POD) as f64, "containers");
    // As in the agent, where the last view is there until the next one is.
    let mut last = shown;
    let assess = median(|| last = black_box(node.assess()));
    drop(last);
    print("assess_median", assess, "us");
    print("remember_median", median(|| node.remember()), "us");
    // The floor: the same number of labels, allocated and compared.
    let labels = median(|| {
        let labels = (0..PODS * CONTAINERS_A_POD * 4).map(|number| format!("label-{number:036}"));
        drop(black_box(labels.collect::<Vec<String>>()));
    });
    print("assess_over_labels_ratio", assess / labels, "ratio");
}

fn print(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.1} {unit}");
}

/// In microseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(RUNS / 2).copied().unwrap_or_default()
}
