//! Pods and containers as the kubelet and a runtime make them, and huge pages that they use.
//!
//! Pages are charged to the cgroup that a process is in when it gets them and stay charged there. So one process, this
//! one, is moved from container to container and takes some pages in each: reserved and used, as a tenant that maps and
//! touches. Given back, they can be by anyone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hugetlb_exporter::Roots;
use hugetlb_exporter::host::cgroups;
use hugetlb_exporter::host::hierarchy::{Hierarchy, write};
use hugetlb_exporter::host::kubepods::{Driver, Logs, Named, UNBOUNDED};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

const PAGE: i64 = 2 << 20;
const DRIVER: Driver = Driver::Cgroupfs;

/// A node's pods; they go when it is dropped.
pub struct Node {
    hierarchy: Hierarchy,
    logs: Logs,
    containers: Vec<Container>,
    /// The cgroup that this process was in.
    home: PathBuf,
}

struct Container {
    directory: PathBuf,
    pages: File,
    /// Its first pages are given back one by one, up to this one.
    first: i64,
    end: i64,
}

impl Node {
    /// So many pods, each of which may use so many pages.
    pub fn new(hierarchy: &Hierarchy, pods: usize, containers_a_pod: usize, grant: u64) -> Self {
        Self::with(hierarchy, pods, containers_a_pod, |_| grant)
    }

    /// So many pods, of which the first few may use so many pages, and the others none.
    pub fn of_few(
        hierarchy: &Hierarchy,
        pods: usize,
        containers_a_pod: usize,
        (few, grant): (usize, u64),
    ) -> Self {
        Self::with(hierarchy, pods, containers_a_pod, |pod| if pod < few { grant } else { 0 })
    }

    fn with(
        hierarchy: &Hierarchy,
        pods: usize,
        containers_a_pod: usize,
        grant: impl Fn(usize) -> u64,
    ) -> Self {
        let logs = Logs::make().expect("log directories");
        let home = home(hierarchy);
        let mut node = Self { hierarchy: hierarchy.clone(), logs, containers: Vec::new(), home };
        for tier in DRIVER.tiers() {
            let directory = hierarchy.make(tier).expect("a tier");
            node.limit(&directory, "2MB", UNBOUNDED);
        }
        for pod in 0..pods {
            node.make_pod(pod, containers_a_pod, grant(pod));
        }
        node
    }

    fn make_pod(&mut self, number: usize, containers: usize, grant: u64) {
        let uid = format!("{number:08x}-1111-4222-8333-444444444444");
        let [_, tier] = DRIVER.tiers();
        let path = DRIVER.pod(tier, &uid);
        let pod = self.hierarchy.make(&path).expect("a pod");
        self.limit(&pod, "2MB", grant << 21);
        self.limit(&pod, "1GB", 0);
        let name = format!("db-{number}");
        let named = Named { namespace: "prod", name: &name, uid: &uid };
        for container in 0..containers {
            let id = format!("{:064x}", number * containers + container + 1);
            let directory = self.hierarchy.make(DRIVER.container(&path, &id)).expect("a container");
            self.logs.add_link(named, &format!("c{container}"), &id, 0).expect("a link");
            let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB;
            let pages = File::from(memfd_create(c"benchmark", flags).expect("a file"));
            self.containers.push(Container { directory, pages, first: 0, end: 0 });
        }
    }

    fn limit(&self, directory: &Path, size: &str, bytes: u64) {
        let file = self.hierarchy.limit(directory, size);
        // Not every machine has pages of 1 GiB.
        if file.exists() {
            write(&file, bytes).expect("a limit");
        }
    }

    /// Has the first so many containers use that many pages each.
    pub fn fill(&mut self, containers: usize, pages: u32) {
        for container in self.containers.iter_mut().take(containers) {
            enter(&container.directory);
            (container.first, container.end) = (0, i64::from(pages));
            fallocate(&container.pages, FallocateFlags::empty(), 0, PAGE * container.end)
                .expect("pages");
        }
        enter(&self.home);
    }

    /// Has each container that uses more than one page give one back; false where they have no more to give.
    pub fn give_some_back(&mut self) -> bool {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let mut gave = false;
        for container in self.containers.iter_mut().filter(|it| it.end - it.first > 1) {
            fallocate(&container.pages, hole, PAGE * container.first, PAGE).expect("given back");
            container.first += 1;
            gave = true;
        }
        gave
    }

    /// The directory of a container's cgroup.
    pub fn container(&self, number: usize) -> &Path {
        self.containers.get(number).map(|container| &*container.directory).expect("there is one")
    }

    /// How many cgroups there are of it.
    pub fn cgroups(&self, pods: usize) -> usize {
        2 + pods + self.containers.len()
    }

    /// Where a reader finds it.
    pub fn roots(&self) -> Roots {
        Roots {
            proc: "/proc".into(),
            sys: "/sys".into(),
            cgroup: Some(self.hierarchy.root.clone()),
            pod_logs: self.logs.pods(),
            container_logs: self.logs.containers(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.containers.clear();
        enter(&self.home);
        if let Err(error) = cgroups::remove(&self.hierarchy.root.join("kubepods")) {
            eprintln!("{error:#}");
        }
    }
}

/// Moves this process.
fn enter(directory: &Path) {
    fs::write(directory.join("cgroup.procs"), "0").expect("in another cgroup");
}

/// Where this process is now.
fn home(hierarchy: &Hierarchy) -> PathBuf {
    let text = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
    let of_hierarchy = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let wanted = if hierarchy.v1 { controllers == "hugetlb" } else { controllers.is_empty() };
        wanted.then(|| hierarchy.root.join(path.trim_start_matches('/')))
    };
    text.lines().find_map(of_hierarchy).expect("it is one of them")
}
