//! Every exported figure is the kernel's.

use std::fs;

use super::Named;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::machine::POOL_PAGES;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("seed", seed),
    ("every_figure_is_the_kernels", every_figure_is_the_kernels),
    ("refused_at_touch", refused_at_touch),
    ("refused_at_mmap", refused_at_mmap),
];

pub const V2: &[Named] = &[("a_wrapped_numa_stat_is_left_out", a_wrapped_numa_stat_is_left_out)];

pub const V1: &[Named] = &[("a_reset_failcnt_loses_nothing", a_reset_failcnt_loses_nothing)];

const SIZE: (&str, &str) = ("pagesize", "2Mi");
const PAGE: u64 = 2 << 20;

#[track_caller]
pub fn assert_value(scrape: &Exposition, family: &str, labels: &[(&str, &str)], expected: u64) {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let expected = expected as f64;
    assert_eq!(scrape.value(family, labels), Some(expected), "{family} {labels:?}");
}

/// The story: pool 500, limit 64, map 100, touch 64.
fn seed(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("db-0", 64);
    let container = kubepods.container(&pod, "postgres", &id("aa"), 0);
    container.limit(64);
    let agent = kubepods.agent(&[]);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(100);
    tenant.touch(64);
    let scrape = agent.fresh();
    let who =
        [("namespace", "lab"), ("pod", "db-0"), ("container", "postgres"), ("uid", &pod.uid), SIZE];
    assert_value(&scrape, "hugetlb_container_limit_bytes", &who, 134_217_728);
    assert_value(&scrape, "hugetlb_container_reserved_bytes", &who, 209_715_200);
    assert_value(&scrape, "hugetlb_container_usage_bytes", &who, 134_217_728);
    assert_value(&scrape, "hugetlb_container_failures_total", &who, 0);
    assert_value(&scrape, "hugetlb_pool_size_bytes", &[SIZE], POOL_PAGES * PAGE);
    assert_value(&scrape, "hugetlb_pool_free_bytes", &[SIZE], 436 * PAGE);
    assert_value(&scrape, "hugetlb_pool_reserved_bytes", &[SIZE], 36 * PAGE);
    assert_value(&scrape, "hugetlb_pool_available_bytes", &[SIZE], 400 * PAGE);
    let gigantic = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
    let gigantic = fs::read_to_string(gigantic).expect(gigantic);
    let gigantic = gigantic.trim().parse::<u64>().expect("a number") << 30;
    assert_value(&scrape, "hugetlb_memory_bytes", &[], POOL_PAGES * PAGE + gigantic);
    tenant.touch_and_die(65);
    let scrape = agent.fresh();
    assert_value(&scrape, "hugetlb_container_usage_bytes", &who, 0);
    assert_value(&scrape, "hugetlb_container_failures_total", &who, 1);
    assert_value(&scrape, "hugetlb_container_peak_usage_bytes", &who, 134_217_728);
}

/// A cgroup's figures as the test reads them, with other code than the agent's.
pub struct Files {
    usage: u64,
    reserved: u64,
    limit: Option<u64>,
    reservation_limit: Option<u64>,
    failures: u64,
}

impl Files {
    /// Of one page size.
    pub fn of(cgroup: &Cgroup, size: &str) -> Self {
        let read = |v2: &str, v1: &str| {
            cgroup.read(&format!("hugetlb.{size}.{v2}"), &format!("hugetlb.{size}.{v1}"))
        };
        let number = |v2: &str, v1: &str| read(v2, v1).parse::<u64>().expect("a number");
        let limit = |v2: &str, v1: &str| match read(v2, v1).as_str() {
            "max" => None,
            number => number.parse::<u64>().ok().filter(|bytes| *bytes < 1 << 62),
        };
        let events = |v2: &str, v1: &str| {
            read(v2, v1).trim_start_matches("max ").parse::<u64>().expect("a count")
        };
        let has_events = cgroup.path().join(format!("hugetlb.{size}.events")).exists();
        Self {
            usage: number("current", "usage_in_bytes"),
            reserved: number("rsvd.current", "rsvd.usage_in_bytes"),
            limit: limit("max", "limit_in_bytes"),
            reservation_limit: limit("rsvd.max", "rsvd.limit_in_bytes"),
            failures: events("events", "failcnt")
                + if has_events { 0 } else { events("", "rsvd.failcnt") },
        }
    }

    /// Compares all of them with what is exported of a pod or a container.
    #[track_caller]
    pub fn compare(&self, scrape: &Exposition, kind: &str, labels: &[(&str, &str)]) {
        let family = |name: &str| format!("hugetlb_{kind}_{name}");
        assert_value(scrape, &family("usage_bytes"), labels, self.usage);
        assert_value(scrape, &family("reserved_bytes"), labels, self.reserved);
        assert_value(scrape, &family("failures_total"), labels, self.failures);
        for (name, limit) in
            [("limit_bytes", self.limit), ("reservation_limit_bytes", self.reservation_limit)]
        {
            match limit {
                Some(limit) => assert_value(scrape, &family(name), labels, limit),
                None => assert_eq!(
                    scrape.value(&family(name), labels),
                    None,
                    "{name}: unlimited is absent"
                ),
            }
        }
    }
}

/// Two pods, three containers, a service, two page sizes, limits and none: all as the kernel has it, and every
/// sum fits.
fn every_figure_is_the_kernels(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let (one, two) = (kubepods.pod("one", 120), kubepods.pod("two", 40));
    one.cgroup.reservation_limit(150);
    let a = kubepods.container(&one, "a", &id("a1"), 0);
    a.limit(100);
    let b = kubepods.container(&one, "b", &id("b1"), 0);
    b.reservation_limit(30);
    let c = kubepods.container(&two, "c", &id("c1"), 0);
    let service = Cgroup::new(lab, "lab-service");
    let agent = kubepods.agent(&["--collector.idle"]);

    let mut tenants =
        [(&a, 100, 60), (&b, 20, 20), (&c, 40, 7), (&service, 9, 3)].map(|(cgroup, map, touch)| {
            let mut tenant = Tenant::new(cgroup, "private");
            tenant.map(map);
            tenant.touch(touch);
            tenant
        });
    assert_eq!(
        tenants[1].tell("map 31").as_deref(),
        Some("refused ENOMEM"),
        "beyond b's reservation limit"
    );
    tenants[1].map(11);
    let scrape = agent.fresh();
    for (pod, containers) in [(&one, vec![("a", &a), ("b", &b)]), (&two, vec![("c", &c)])] {
        for (size, label) in [("2MB", "2Mi"), ("1GB", "1Gi")] {
            let labels = [
                ("uid", pod.uid.as_str()),
                ("pod", &pod.name),
                ("namespace", "lab"),
                ("pagesize", label),
            ];
            Files::of(&pod.cgroup, size).compare(&scrape, "pod", &labels);
            for (name, cgroup) in &containers {
                let labels = [("uid", pod.uid.as_str()), ("container", name), ("pagesize", label)];
                Files::of(cgroup, size).compare(&scrape, "container", &labels);
            }
        }
    }
    let who = [("cgroup", "/lab-service"), SIZE];
    assert_value(&scrape, "hugetlb_cgroup_usage_bytes", &who, 3 * PAGE);
    assert_value(&scrape, "hugetlb_cgroup_reserved_bytes", &who, 9 * PAGE);
    compare_pools(&scrape);
    compare_sums(&scrape);
}

/// What the pool lacks is what pods and services hold; what a pod holds is what its containers hold.
#[track_caller]
pub fn compare_sums(scrape: &Exposition) {
    let sum = |family: &str| scrape.with(family, &[SIZE]).map(|sample| sample.value).sum::<f64>();
    let pool = |family: &str| scrape.value(family, &[SIZE]).expect("a pool");
    let used = pool("hugetlb_pool_size_bytes") - pool("hugetlb_pool_free_bytes");
    assert_eq!(
        sum("hugetlb_pod_usage_bytes") + sum("hugetlb_cgroup_usage_bytes"),
        used,
        "nobody else uses any"
    );
    assert_eq!(sum("hugetlb_container_usage_bytes"), sum("hugetlb_pod_usage_bytes"));
    assert_eq!(sum("hugetlb_container_reserved_bytes"), sum("hugetlb_pod_reserved_bytes"));
}

/// The numbers of this machine's NUMA nodes.
pub fn numa_nodes() -> Vec<String> {
    let entries = fs::read_dir("/sys/devices/system/node").expect("NUMA nodes");
    let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
    let numbers: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix("node")?.to_owned())).collect();
    assert!(!numbers.is_empty(), "this machine has a NUMA node");
    numbers
}

/// The node's pools are what sysfs says.
#[track_caller]
pub fn compare_pools(scrape: &Exposition) {
    for (size, label, bytes) in [("2048", "2Mi", 2 << 20), ("1048576", "1Gi", 1 << 30)] {
        let file = |path: &str| {
            fs::read_to_string(path).expect(path).trim().parse::<u64>().expect("a number") * bytes
        };
        let pool =
            |name: &str| file(&format!("/sys/kernel/mm/hugepages/hugepages-{size}kB/{name}"));
        let node = |node: &str, name: &str| {
            let node = format!("/sys/devices/system/node/node{node}");
            file(&format!("{node}/hugepages/hugepages-{size}kB/{name}"))
        };
        let labels = [("pagesize", label)];
        assert_value(scrape, "hugetlb_page_size_bytes", &labels, bytes);
        for (family, name) in [
            ("size", "nr_hugepages"),
            ("free", "free_hugepages"),
            ("reserved", "resv_hugepages"),
            ("surplus", "surplus_hugepages"),
            ("overcommit_limit", "nr_overcommit_hugepages"),
        ] {
            assert_value(scrape, &format!("hugetlb_pool_{family}_bytes"), &labels, pool(name));
        }
        for ((family, name), number) in
            [("size", "nr_hugepages"), ("free", "free_hugepages"), ("surplus", "surplus_hugepages")]
                .into_iter()
                .flat_map(|figure| numa_nodes().into_iter().map(move |number| (figure, number)))
        {
            let labels = [("pagesize", label), ("numa_node", &number)];
            let expected = node(&number, name);
            assert_value(scrape, &format!("hugetlb_numa_pool_{family}_bytes"), &labels, expected);
        }
    }
    let vmstat = fs::read_to_string("/proc/vmstat").expect("vmstat");
    let success = vmstat
        .lines()
        .find_map(|line| line.strip_prefix("htlb_buddy_alloc_success "))
        .expect("a field");
    assert_value(
        scrape,
        "hugetlb_buddy_allocation_successes_total",
        &[],
        success.parse().expect("a number"),
    );
}

/// A pod with a limit at the pod alone, as stock containerd leaves it.
fn pod_limited(kubepods: &Kubepods<'_>, limit: u64) -> (Pod, Cgroup, Agent) {
    let pod = kubepods.pod("db-0", limit);
    let container = kubepods.container(&pod, "postgres", &id("aa"), 0);
    let agent = kubepods.agent(&[]);
    (pod, container, agent)
}

/// v2 counts at the task's own cgroup and above, v1 at the cgroup whose limit was hit: the pod.
fn refused_at_touch(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let (pod, container, agent) = pod_limited(&kubepods, 10);
    for failures in 1..=2 {
        let mut tenant = Tenant::new(&container, "no-reserve");
        tenant.map(20);
        tenant.touch(10);
        tenant.touch_and_die(11);
        let scrape = agent.fresh();
        assert_value(&scrape, "hugetlb_pod_failures_total", &[("uid", &pod.uid), SIZE], failures);
        let by_the_container =
            if pod.cgroup.path().join("hugetlb.2MB.events").exists() { failures } else { 0 };
        assert_value(
            &scrape,
            "hugetlb_container_failures_total",
            &[("container", "postgres"), SIZE],
            by_the_container,
        );
        let when =
            scrape.value("hugetlb_pod_last_failure_timestamp_seconds", &[SIZE]).expect("a time");
        let now = scrape.value("hugetlb_exporter_snapshot_timestamp_seconds", &[]).expect("a time");
        assert!((0.0..10.0).contains(&(now - when)), "{now} - {when}");
    }
}

fn refused_at_mmap(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let (pod, container, agent) = pod_limited(&kubepods, 10);
    pod.cgroup.reservation_limit(10);
    let mut tenant = Tenant::new(&container, "shared");
    assert_eq!(tenant.tell("map 11").as_deref(), Some("refused ENOMEM"));
    tenant.map(10);
    let scrape = agent.fresh();
    let who = [("uid", pod.uid.as_str()), SIZE];
    assert_value(&scrape, "hugetlb_pod_failures_total", &who, 1);
    assert_value(&scrape, "hugetlb_pod_reservation_limit_bytes", &who, 10 * PAGE);
    assert_value(&scrape, "hugetlb_pod_reserved_bytes", &who, 10 * PAGE);
}

/// A dead container's file in an emptyDir: the pages stay the pod's, and freeing them takes the pod's part of
/// the node below zero.
fn a_wrapped_numa_stat_is_left_out(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let (pod, container, agent) = pod_limited(&kubepods, 50);
    let mount = super::mappings::Hugetlbfs::new();
    let mut tenant = Tenant::with_file(&container, &mount.file("data"));
    tenant.map(4);
    tenant.touch(4);
    tenant.stop();
    container.remove();
    assert_value(&agent.fresh(), "hugetlb_pod_usage_bytes", &[("uid", &pod.uid), SIZE], 4 * PAGE);
    fs::remove_file(mount.file("data")).expect("removed");
    let numa_stat = wait_for("the pages to be freed", || {
        let text = pod.cgroup.read("hugetlb.2MB.numa_stat", "");
        text.starts_with("total=0 ").then_some(text)
    });
    let node =
        numa_stat.split("N0=").nth(1).and_then(|text| text.split(' ').next()).expect("a node");
    let node: u64 = node.parse().expect("a number");
    assert!(node == 0 || node > 1 << 62, "{numa_stat}");
    let scrape = agent.fresh();
    assert_value(&scrape, "hugetlb_exporter_source_up", &[("source", "cgroups")], 1);
    assert_value(&scrape, "hugetlb_pod_usage_bytes", &[("uid", &pod.uid), SIZE], 0);
}

fn a_reset_failcnt_loses_nothing(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let (pod, container, agent) = pod_limited(&kubepods, 1);
    let who = [("uid", pod.uid.as_str()), SIZE];
    let refuse = || {
        let mut tenant = Tenant::new(&container, "no-reserve");
        tenant.map(2);
        tenant.touch_and_die(2);
    };
    refuse();
    refuse();
    assert_value(&agent.fresh(), "hugetlb_pod_failures_total", &who, 2);
    fs::write(pod.cgroup.path().join("hugetlb.2MB.failcnt"), "0").expect("reset");
    agent.fresh();
    refuse();
    assert_value(&agent.fresh(), "hugetlb_pod_failures_total", &who, 3);
}
