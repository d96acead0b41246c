//! Cases that have a name, and a certain answer.

use super::case::{Allowed, Case, has};
use super::verdict::{self, Verdict, Who};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::machine::POOL_PAGES;
use crate::scenarios::Named;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("truth::a_sibling_over_its_limit_leaves_the_healthy_one_alone", sibling),
    ("truth::a_dead_containers_file_counts_for_its_pod", dead_file_counts),
    ("truth::a_dead_containers_file_that_fits_is_safe", dead_file_fits),
    ("truth::two_page_sizes_in_one_pod", two_sizes),
    ("truth::no_reserve_under_a_reservation_limit", no_reserve_under_a_reservation_limit),
    ("truth::no_reserve_and_a_pool_short_of_one_page", no_reserve_and_a_short_pool),
    ("truth::a_limit_lowered_under_a_running_pod", lowered),
];

fn mapped(cgroup: &Cgroup, mapping: &str, pages: u64) -> Tenant {
    let mut tenant = Tenant::new(cgroup, mapping);
    tenant.map(pages);
    tenant
}

fn sibling(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let [a, b] = ["a", "b"].map(|name| case.container(&pod, name, Some(4)));
    let (mut greedy, mut healthy) = (mapped(&a, "shared", 9), mapped(&b, "shared", 4));
    case.ask();
    case.touch(&b, &mut healthy, 4);
    case.ask();
    case.touch(&a, &mut greedy, 9);
    case.compare(Allowed::Foretold, &["container a"]);
}

/// A container's file in an emptyDir after that container's end: reserved 6 pages, touched 2 of them.
fn with_dead_file(case: &mut Case<'_>, pod: &crate::kubepods::Pod) -> std::path::PathBuf {
    let file = case.node.files.file("data");
    let old = case.container(pod, "old", None);
    let mut tenant = Tenant::with_file(&old, &file);
    tenant.map(6);
    case.touch(&old, &mut tenant, 2);
    tenant.stop();
    old.remove();
    file
}

/// The new container's own mapping has no room beside the file.
fn dead_file_counts(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let file = with_dead_file(&mut case, &pod);
    let new = case.container(&pod, "new", None);
    let mut reader = Tenant::with_file(&new, &file);
    reader.map(6);
    let mut own = mapped(&new, "shared", 4);
    case.ask();
    case.touch(&new, &mut own, 1);
    case.ask();
    case.touch(&new, &mut own, 4);
    case.touch(&new, &mut reader, 6);
    case.compare(Allowed::Foretold, &["the pod"]);
}

/// The new container touches the rest of it: the pod has paid for it already.
fn dead_file_fits(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let file = with_dead_file(&mut case, &pod);
    let new = case.container(&pod, "new", None);
    let mut reader = Tenant::with_file(&new, &file);
    reader.map(6);
    case.touch(&new, &mut reader, 3);
    case.ask();
    case.touch(&new, &mut reader, 6);
    case.compare(Allowed::Foretold, &[]);
}

/// No page of 1 GiB is needed: the limit 0 refuses before the pool is asked.
fn two_sizes(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(4));
    let container = case.container(&pod, "c", None);
    let mut small = mapped(&container, "shared", 4);
    let huge = ["--pagesize=1Gi".to_owned()];
    let mut refused = Tenant::told(&container, "shared", &huge);
    assert_eq!(refused.tell("map 1").as_deref(), Some("refused ENOMEM"), "there are no such pages");
    let who = Who::Pod { uid: pod.uid.clone() };
    for (_, scrape) in case.ask() {
        assert_eq!(verdict::of_size(&scrape, &who, "1Gi"), Verdict::Safe);
    }
    let mut large = Tenant::told(&container, "no-reserve", &huge);
    large.map(1);
    case.touch(&container, &mut small, 1);
    for (sees_mappings, scrape) in case.ask() {
        let expected = if sees_mappings { Verdict::WillCrash } else { Verdict::Safe };
        assert_eq!(verdict::of_size(&scrape, &who, "1Gi"), expected);
    }
    large.touch_and_die(1);
    case.touch(&container, &mut small, 4);
    case.compare(Allowed::Foretold, &[]);
}

/// What was not reserved at mmap is reserved at the fault, and refused there.
fn no_reserve_under_a_reservation_limit(lab: &Lab) {
    for at_the_pod in [false, true] {
        let mut case = Case::new(lab);
        case.unseen_without_mappings = true;
        let pod = case.pod("p", Some(8));
        let container = case.container(&pod, "c", Some(8));
        let limited = if at_the_pod { &pod.cgroup } else { &container };
        limited.reservation_limit(4);
        let mut tenant = mapped(&container, "no-reserve", 6);
        case.ask();
        case.touch_unreserved(&container, &mut tenant, 1);
        case.ask();
        case.touch_unreserved(&container, &mut tenant, 6);
        let killed = if at_the_pod { "the pod" } else { "container c" };
        case.compare(Allowed::Foretold, &[killed]);
    }
}

fn no_reserve_and_a_short_pool(lab: &Lab) {
    let mut case = Case::new(lab);
    case.unseen_without_mappings = true;
    let ballast = Cgroup::new(lab, "lab-ballast");
    let _rest = mapped(&ballast, "private", POOL_PAGES - 5);
    let pod = case.pod("p", None);
    let container = case.container(&pod, "c", Some(8));
    let mut tenant = mapped(&container, "no-reserve", 6);
    case.ask();
    case.touch_unreserved(&container, &mut tenant, 1);
    case.ask();
    case.touch_unreserved(&container, &mut tenant, 6);
    case.compare(Allowed::Foretold, &["container c"]);
}

fn lowered(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let container = case.container(&pod, "c", Some(8));
    let mut tenant = mapped(&container, "shared", 6);
    case.touch(&container, &mut tenant, 1);
    for (_, scrape) in case.ask() {
        assert!(!has(&scrape, "limit-dropped", &pod));
    }
    pod.cgroup.limit(4);
    for (_, scrape) in case.ask() {
        assert!(has(&scrape, "limit-dropped", &pod), "nothing was said of the limit");
    }
    case.touch(&container, &mut tenant, 6);
    case.compare(Allowed::Foretold, &["the pod"]);
}
