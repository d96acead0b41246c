//! Containers come, restart, die and are remembered.

use std::os::unix::fs::MetadataExt;

use super::Named;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("a_younger_cgroup_has_a_greater_inode_number", a_younger_cgroup_has_a_greater_inode_number),
    ("two_instances_are_one_series", two_instances_are_one_series),
    ("cgroups_that_come_and_go_are_no_failure", cgroups_that_come_and_go_are_no_failure),
];

pub const V2: &[Named] = &[("a_container_refused_in_its_short_life_is_remembered", short_life)];

const SIZE: (&str, &str) = ("pagesize", "2Mi");

/// The rule that tells a container's newest instance.
fn a_younger_cgroup_has_a_greater_inode_number(lab: &Lab) {
    let inodes: Vec<u64> = (0..50)
        .map(|number| {
            let cgroup = Cgroup::new(lab, &format!("lab-inode-{number}"));
            std::fs::metadata(cgroup.path()).expect("a directory").ino()
        })
        .collect();
    assert!(inodes.is_sorted(), "{inodes:?}");
}

fn two_instances_are_one_series(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 100);
    let first = kubepods.container(&pod, "c", &id("aa"), 0);
    first.limit(20);
    let agent = kubepods.agent(&[]);
    let pages = |family: &str| {
        agent
            .fresh()
            .value(family, &[("container", "c"), SIZE])
            .map(|bytes| bytes / f64::from(2 << 20))
    };
    let mut old = Tenant::new(&first, "private");
    old.map(10);
    old.touch(10);
    assert_eq!(pages("hugetlb_container_usage_bytes"), Some(10.0));
    let second = kubepods.container(&pod, "c", &id("bb"), 1);
    second.limit(30);
    let mut new = Tenant::new(&second, "private");
    new.map(5);
    new.touch(5);
    wait_for("both as one", || {
        (pages("hugetlb_container_usage_bytes") == Some(15.0)).then_some(())
    });
    assert_eq!(pages("hugetlb_container_limit_bytes"), Some(30.0), "the newest's");
    old.stop();
    first.remove();
    wait_for("the newest alone", || {
        (pages("hugetlb_container_usage_bytes") == Some(5.0)).then_some(())
    });
    assert_eq!(
        pages("hugetlb_container_peak_usage_bytes"),
        Some(10.0),
        "the most of all instances"
    );
}

/// A crash loop's container lives for less than a poll: v2's hierarchical events keep it, in the pod.
fn short_life(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let pod = kubepods.pod("init", 0);
    let agent = kubepods.agent(&[]);
    for round in 0..3 {
        let container = kubepods.container(&pod, "initdb", &id(&format!("c{round}")), round);
        let mut tenant = Tenant::new(&container, "shared");
        tenant.map(1);
        tenant.touch_and_die(1);
    }
    let who = [("pod", "init"), ("namespace", "lab"), SIZE];
    assert_eq!(agent.fresh().value("hugetlb_pod_failures_total", &who), Some(3.0));
    pod.cgroup.remove();
    let scrape = agent.fresh();
    assert_eq!(scrape.value("hugetlb_pod_failures_total", &who), Some(3.0), "it outlives the pod");
    assert_eq!(scrape.value("hugetlb_pod_usage_bytes", &who), None, "what is gone uses nothing");
}

fn cgroups_that_come_and_go_are_no_failure(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 100);
    let agent = kubepods.agent(&[]);
    for number in 0..1500 {
        let container =
            Cgroup::new(lab, &kubepods.container_path(&pod, &id(&format!("{number:x}f"))));
        container.limit(1);
    }
    let scrape = agent.fresh();
    assert_eq!(scrape.value("hugetlb_exporter_source_up", &[("source", "cgroups")]), Some(1.0));
    let complaints: Vec<_> = agent.log().into_iter().filter(|line| line.contains("WARN")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(
        scrape.value("hugetlb_pod_limit_bytes", &[("pod", "db-0"), SIZE]),
        Some(209_715_200.0)
    );
}
