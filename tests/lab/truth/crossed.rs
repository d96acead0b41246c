//! Named cases in which pages are charged to someone else than has reserved them: the kernel's figures can't tell
//! who will be refused, so that uncertain is an answer too. The wrong one is not. Judged after the first touch:
//! before it nothing in the figures shows that anything is shared.

use std::path::Path;
use std::process::Command;

use super::case::{Allowed, Case};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::machine::POOL_PAGES;
use crate::scenarios::Named;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("truth::a_dead_containers_file_in_a_new_ones_limit", dead_file_in_a_new_limit),
    ("truth::a_file_mapped_by_one_and_touched_by_another_in_the_pod", file_in_the_pod),
    ("truth::a_file_mapped_by_one_and_touched_by_another_across_pods", file_across_pods),
    ("truth::a_process_moved_to_another_container", moved),
    ("truth::a_segment_after_its_creators_end", segment),
    ("truth::two_without_reservation_and_a_pool_for_one", pool_for_one),
];

fn with_file(cgroup: &Cgroup, file: &Path, pages: u64) -> Tenant {
    let mut tenant = Tenant::with_file(cgroup, file);
    tenant.map(pages);
    tenant
}

/// The pod is safe for certain; the new container's own limit has room for less than what is left of the file.
fn dead_file_in_a_new_limit(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let file = case.node.files.file("data");
    let old = case.container(&pod, "old", None);
    let mut creator = with_file(&old, &file, 6);
    case.touch(&old, &mut creator, 2);
    creator.stop();
    old.remove();
    let new = case.container(&pod, "new", Some(3));
    let mut reader = with_file(&new, &file, 6);
    case.touch(&new, &mut reader, 3);
    case.ask();
    case.touch(&new, &mut reader, 6);
    case.compare(Allowed::Uncertain, &["container new"]);
}

fn file_in_the_pod(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let [a, b] = ["a", "b"].map(|name| case.container(&pod, name, Some(4)));
    let file = case.node.files.file("data");
    let (mut first, mut second) = (with_file(&a, &file, 6), with_file(&b, &file, 6));
    case.touch(&b, &mut second, 1);
    case.ask();
    case.touch(&b, &mut second, 6);
    case.touch(&a, &mut first, 6);
    case.compare(Allowed::Uncertain, &["container b"]);
}

fn file_across_pods(lab: &Lab) {
    let mut case = Case::new(lab);
    let [one, two] = ["one", "two"].map(|name| case.pod(name, Some(4)));
    let (a, b) = (case.container(&one, "a", None), case.container(&two, "b", None));
    let file = case.node.files.file("data");
    let (mut first, mut second) = (with_file(&a, &file, 6), with_file(&b, &file, 6));
    case.touch(&b, &mut second, 1);
    case.ask();
    case.touch(&b, &mut second, 6);
    case.touch(&a, &mut first, 6);
    case.compare(Allowed::Uncertain, &["the pod"]);
}

/// The reservation stays where it was made, the touches are charged to where the process is.
fn moved(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(12));
    let (a, b) = (case.container(&pod, "a", Some(8)), case.container(&pod, "b", Some(4)));
    let mut tenant = Tenant::new(&a, "shared");
    tenant.map(7);
    case.touch(&a, &mut tenant, 1);
    b.add(tenant.pid());
    case.touch(&b, &mut tenant, 2);
    case.ask();
    case.touch(&b, &mut tenant, 7);
    case.compare(Allowed::Uncertain, &["container b"]);
}

/// A System V segment that outlives its processes; dropping it removes it. The lab has an IPC namespace of its
/// own, in which nobody else has this key.
struct Segment;

const KEY: i32 = 0x1ab;

impl Drop for Segment {
    fn drop(&mut self) {
        let removed = Command::new("ipcrm").args(["-M", &KEY.to_string()]).status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("the segment could not be removed");
        }
    }
}

fn segment(lab: &Lab) {
    let mut case = Case::new(lab);
    let pod = case.pod("p", Some(8));
    let (creator, user) =
        (case.container(&pod, "creator", None), case.container(&pod, "user", Some(4)));
    let flags = [format!("--segment={KEY}")];
    let mut first = Tenant::told(&creator, "sys-v", &flags);
    first.map(6);
    let _segment = Segment;
    case.touch(&creator, &mut first, 1);
    first.stop();
    let mut second = Tenant::told(&user, "sys-v", &flags);
    second.map(6);
    case.touch(&user, &mut second, 2);
    case.ask();
    case.touch(&user, &mut second, 6);
    case.compare(Allowed::Uncertain, &["container user"]);
}

/// Whoever comes first gets them; nobody can tell who that is.
fn pool_for_one(lab: &Lab) {
    let mut case = Case::new(lab);
    case.unseen_without_mappings = true;
    let ballast = Cgroup::new(lab, "lab-ballast");
    let mut rest = Tenant::new(&ballast, "private");
    rest.map(POOL_PAGES - 7);
    let pod = case.pod("p", None);
    let [a, b] = ["a", "b"].map(|name| case.container(&pod, name, Some(8)));
    let [mut first, mut second] = [&a, &b].map(|cgroup| {
        let mut tenant = Tenant::new(cgroup, "no-reserve");
        tenant.map(5);
        tenant
    });
    case.touch_unreserved(&a, &mut first, 1);
    case.touch_unreserved(&b, &mut second, 1);
    case.ask();
    case.touch_unreserved(&a, &mut first, 5);
    case.touch_unreserved(&b, &mut second, 5);
    case.compare(Allowed::Uncertain, &["container b"]);
}
