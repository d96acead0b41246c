//! Nobody is worse off: what worked without the guard and what becomes of it with it.

use super::keeper::{reservation_limit, wait_for_reservation_limit};
use super::{Keeper, Places, SECTION};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::kubepods::{Driver, Kubepods, id};
use crate::scenarios::mappings::Hugetlbfs;
use crate::tenant::Tenant;

/// A container without a grant maps first and touches nothing, one with a grant touches; in one pod and across two. Without
/// the guard both live.
pub fn shared(lab: &Lab) {
    let mut said = Vec::new();
    for across in [false, true] {
        for guarded in [false, true] {
            for kind in ["file", "sys-v"] {
                let answer = maps_first(lab, across, guarded, kind);
                let is_refused = answer == "refused ENOMEM";
                // Across two pods the kubelet of today refuses it as well: its reservation limit is its own pod's.
                assert_eq!(is_refused, across && guarded, "{kind}: {answer}");
                let place = if across { "across two pods" } else { "in one pod" };
                if guarded {
                    said.push(format!("{kind} {place} {answer}"));
                }
            }
        }
    }
    evidence::tell(
        SECTION,
        format!(
            "{}: an ungranted container maps first and a granted one touches, under refuse=ungranted: {}",
            lab.phase,
            said.join(", ")
        ),
    );
}

fn maps_first(lab: &Lab, across: bool, guarded: bool, kind: &str) -> String {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = guarded.then(|| Keeper::start(&kubepods, &places, &[]));
    let granted = kubepods.pod("granted", 8);
    let b = kubepods.container(&granted, "bb", &id("bb"), 0);
    let other = across.then(|| kubepods.pod("ungranted", 0));
    let pod = other.as_ref().unwrap_or(&granted);
    let a = kubepods.container(pod, "aa", &id("aa"), 0);
    a.limit(0);
    if guarded && across {
        wait_for_reservation_limit(&pod.cgroup, Some(0));
    }
    let hugetlbfs = Hugetlbfs::new();
    let file = hugetlbfs.file("data");
    let key = 0x6875_6765;
    let tenant = |cgroup| match kind {
        "file" => Tenant::with_file(cgroup, &file),
        _ => Tenant::told(cgroup, "sys-v", &[format!("--segment={key}")]),
    };
    let (mut first, mut second) = (tenant(&a), tenant(&b));
    let answer = first.tell("map 4").expect("an answer");
    second.map(4);
    second.touch(4);
    let reserved = reservation_limit(&granted.cgroup);
    assert_eq!(reserved, None, "a pod that was granted pages is not written to");
    drop((first, second));
    if kind == "sys-v" {
        // The segment outlives those who mapped it.
        let _ = std::process::Command::new("ipcrm").args(["-M", &key.to_string()]).status();
    }
    answer
}

/// A kubelet since 1.29 with runc since 1.1.10: both limits of every size are written, one right after the other.
pub fn modern(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let flags = ["--guard.refuse=all", "--guard.rescue=on", "--guard.exclude-namespace="];
    let _keeper = Keeper::start(&kubepods, &places, &flags);
    let runs = if evidence::is_long() { 100 } else { 30 };
    let pods: Vec<_> = (0..runs)
        .map(|number| {
            let pod = Cgroup::new(lab, &format!("kubepods/burstable/pod{number}"));
            let limit = (number % 3) * 8;
            for (size, pages) in [("2MB", limit), ("1GB", 0)] {
                pod.set(size, pages << 21);
                pod.set(&format!("{size}.rsvd"), pages << 21);
            }
            pod
        })
        .collect();
    let mut tenant = Tenant::new(&pods[1], "shared");
    tenant.map(8);
    tenant.touch(8);
    std::thread::park_timeout(std::time::Duration::from_secs(1));
    let written = places.count("refuse", "written") + places.count("rescue", "written");
    let line = format!(
        "{}: writes to {runs} pods of a node of today under refuse=all and rescue: {written}",
        lab.phase
    );
    evidence::tell(SECTION, line);
    assert_eq!(written, 0, "{}", places.told());
}
