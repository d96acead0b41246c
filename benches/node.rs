//! A node of files, as the kernel and the kubelet write them.

use std::fs;
use std::path::Path;

use hugetlb_exporter::Roots;

/// What runs on the node. Of every pod that was granted huge pages the first containers use them; the last such
/// pod's first container has mapped more than it may touch.
#[derive(Clone, Copy)]
pub struct Node {
    pub pods: usize,
    pub containers_a_pod: usize,
    /// How many of the pods were granted huge pages; the others may have none.
    pub granted: usize,
    /// How many of a granted pod's containers use them.
    pub using: usize,
}

/// Pages of each container that uses some, and what the one that is short has mapped.
const USED: u64 = 10;
const MAPPED: u64 = 20;

impl Node {
    /// Writes its files into this directory, and tells where they are.
    pub fn build(self, root: &Path) -> Roots {
        let pages = USED * self.using as u64;
        write_pool(root);
        write(&root.join("cgroup"), &[("cgroup.controllers", "hugetlb\n".to_owned())]);
        let mapped = pages * self.granted as u64 + MAPPED - USED;
        write(&root.join("cgroup/kubepods"), &hugetlb("max", mapped, pages * self.granted as u64));
        fs::create_dir_all(root.join("containers")).expect("a directory");
        for pod in 0..self.pods {
            self.build_pod(root, pod);
        }
        let at = |path: &str| root.join(path);
        Roots {
            proc: at("proc"),
            sys: at("sys"),
            cgroup: Some(at("cgroup")),
            pod_logs: at("pods"),
            container_logs: at("containers"),
        }
    }

    fn build_pod(self, root: &Path, pod: usize) {
        let granted = pod < self.granted;
        let short = pod + 1 == self.granted;
        let uid = format!("{pod:08x}-1111-4222-8333-444444444444");
        let directory = root.join(format!("cgroup/kubepods/pod{uid}"));
        let used = if granted { USED * self.using as u64 } else { 0 };
        let limit = (used << 21).to_string();
        write(&directory, &hugetlb(&limit, used + if short { MAPPED - USED } else { 0 }, used));
        for container in 0..self.containers_a_pod {
            let id = format!("{:064x}", pod * self.containers_a_pod + container + 1);
            let used = if granted && container < self.using { USED } else { 0 };
            let mapped = if short && container == 0 { MAPPED } else { used };
            write(&directory.join(&id), &hugetlb("max", mapped, used));
            let link = root.join(format!("containers/db-{pod}_prod_c{container}-{id}.log"));
            let target = format!("/var/log/pods/prod_db-{pod}_{uid}/c{container}/0.log");
            std::os::unix::fs::symlink(target, link).expect("a link");
        }
    }
}

fn write_pool(root: &Path) {
    let pool = ["nr", "free", "resv", "surplus", "nr_overcommit"]
        .map(|name| (format!("{name}_hugepages"), "100000\n".to_owned()));
    let pool: Vec<(&str, String)> =
        pool.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    write(&root.join("sys/kernel/mm/hugepages/hugepages-2048kB"), &pool);
}

fn hugetlb(limit: &str, reserved: u64, used: u64) -> [(&'static str, String); 6] {
    let bytes = |pages: u64| format!("{}\n", pages << 21);
    [
        ("hugetlb.2MB.current", bytes(used)),
        ("hugetlb.2MB.rsvd.current", bytes(reserved)),
        ("hugetlb.2MB.max", format!("{limit}\n")),
        ("hugetlb.2MB.rsvd.max", "max\n".to_owned()),
        ("hugetlb.2MB.events", "max 0\n".to_owned()),
        ("hugetlb.2MB.events.local", "max 0\n".to_owned()),
    ]
}

fn write(directory: &Path, files: &[(&str, String)]) {
    fs::create_dir_all(directory).expect("a directory");
    for (name, text) in files {
        fs::write(directory.join(name), text).expect("a file");
    }
}
