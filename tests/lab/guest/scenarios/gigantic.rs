//! Pages of 1 GiB: two in the pool, one granted.

use crate::Lab;
use crate::kubepods::{Driver, Kubepods, id};
use crate::scenarios::Named;
use crate::scenarios::figures::{Files, assert_value, compare_pools};
use crate::tenant::Tenant;
use crate::truth::verdict::{self, Verdict, Who};

pub const GIGANTIC: &[Named] = &[("pages_of_1gi", pages_of_1gi)];

/// How many polls it takes until what is found is believed.
const POLLS: f64 = 3.0;

fn pages_of_1gi(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("vm-0", 0);
    pod.cgroup.set("1GB", 1 << 30);
    let container = kubepods.container(&pod, "qemu", &id("aa"), 0);
    let agent = kubepods.agent(&[]);
    let told = |mapping| Tenant::told(&container, mapping, &["--pagesize=1Gi".to_owned()]);
    let who = Who::Pod { uid: pod.uid.clone() };
    let labels = [("uid", pod.uid.as_str()), ("pagesize", "1Gi")];

    let mut tenant = told("private");
    tenant.map(1);
    tenant.touch(1);
    let scrape = agent.after_polls(POLLS);
    assert_eq!(verdict::of_size(&scrape, &who, "1Gi"), Verdict::Safe);
    Files::of(&pod.cgroup, "1GB").compare(&scrape, "pod", &labels);
    compare_pools(&scrape);
    drop(tenant);

    let mut tenant = told("shared");
    tenant.map(2);
    let scrape = agent.after_polls(POLLS);
    assert_eq!(verdict::of_size(&scrape, &who, "1Gi"), Verdict::WillCrash);
    assert_value(&scrape, "hugetlb_pod_shortfall_bytes", &labels, 1 << 30);
    Files::of(&pod.cgroup, "1GB").compare(&scrape, "pod", &labels);
    compare_pools(&scrape);
    tenant.touch(1);
    tenant.touch_and_die(2);
    let scrape = agent.fresh();
    assert_value(&scrape, "hugetlb_pod_failures_total", &labels, 1);
    Files::of(&pod.cgroup, "1GB").compare(&scrape, "pod", &labels);
}
