//! How long it takes to assess a node with 1,000 containers, every second one of which uses huge pages.
//!
//! `cargo bench --bench assess` prints one line a figure, `name value unit`: the median of 201 runs, and how
//! it compares with a walk over as many file names in memory, so that two machines can be compared.

#![allow(clippy::expect_used, reason = "a benchmark may fail loudly")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use hugetlb_exporter::Roots;
use hugetlb_exporter::bench::Assessing;

const PODS: usize = 500;
const CONTAINERS_A_POD: usize = 2;
const RUNS: usize = 201;

fn main() {
    let root = tempfile::tempdir().expect("a directory");
    build(root.path());
    let at = |path: &str| root.path().join(path);
    let mut node = Assessing::new(Roots {
        proc: at("proc"),
        sys: at("sys"),
        cgroup: Some(at("cgroup")),
        pod_logs: at("pods"),
        container_logs: at("containers"),
    });
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

/// A node of files. The last pod's first container has mapped more than it may touch.
fn build(root: &Path) {
    let write = |path: &str, files: &[(&str, String)]| {
        let directory = root.join(path);
        fs::create_dir_all(&directory).expect("a directory");
        for (name, text) in files {
            fs::write(directory.join(name), text).expect("a file");
        }
    };
    let pool = ["nr", "free", "resv", "surplus", "nr_overcommit"]
        .map(|name| (format!("{name}_hugepages"), "100000\n".to_owned()));
    let pool: Vec<(&str, String)> =
        pool.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    write("sys/kernel/mm/hugepages/hugepages-2048kB", &pool);
    write("cgroup", &[("cgroup.controllers", "hugetlb\n".to_owned())]);
    let figures = |limit: &str, reserved: u64, used: u64| {
        let bytes = |pages: u64| format!("{}\n", pages << 21);
        [
            ("hugetlb.2MB.current", bytes(used)),
            ("hugetlb.2MB.rsvd.current", bytes(reserved)),
            ("hugetlb.2MB.max", format!("{limit}\n")),
            ("hugetlb.2MB.rsvd.max", "max\n".to_owned()),
            ("hugetlb.2MB.events", "max 0\n".to_owned()),
            ("hugetlb.2MB.events.local", "max 0\n".to_owned()),
        ]
    };
    let pods = PODS as u64;
    write("cgroup/kubepods", &figures("max", pods * 10 + 10, pods * 10));
    fs::create_dir_all(root.join("containers")).expect("a directory");
    for pod in 0..PODS {
        let uid = format!("{pod:08x}-1111-4222-8333-444444444444");
        let reserved = if pod + 1 == PODS { 20 } else { 10 };
        write(&format!("cgroup/kubepods/pod{uid}"), &figures("20971520", reserved, 10));
        for container in 0..CONTAINERS_A_POD {
            let id = format!("{:064x}", pod * CONTAINERS_A_POD + container + 1);
            let (reserved, used) = if container == 0 { (reserved, 10) } else { (0, 0) };
            write(&format!("cgroup/kubepods/pod{uid}/{id}"), &figures("max", reserved, used));
            let link = root.join(format!("containers/db-{pod}_prod_c{container}-{id}.log"));
            let target = format!("/var/log/pods/prod_db-{pod}_{uid}/c{container}/0.log");
            std::os::unix::fs::symlink(target, link).expect("a link");
        }
    }
}
