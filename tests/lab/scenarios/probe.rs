//! The touch-probe of the exporter's own cgroup, whatever limits it and whatever the pool has.

use std::fs;
use std::path::PathBuf;

use super::Named;
use crate::Lab;
use crate::bundle::{Exporter, Special};
use crate::cgroup::Cgroup;
use crate::harness::agent::{Agent, Start};
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::machine::{POOL_PAGES, Phase};
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("probe::every_limit_gets_its_verdict", every_limit_gets_its_verdict),
    ("probe::without_a_page_in_the_pool", without_a_page_in_the_pool),
    ("probe::in_containers_like_the_daemonsets", in_containers_like_the_daemonsets),
    ("probe::where_system_calls_are_filtered", where_system_calls_are_filtered),
];

pub const V2: &[Named] = &[("probe::where_the_controller_is_not_passed_down", without_controller)];

const BY_RESERVATION: &str = "enforced, by the reservation limit";
const POOL: &str = "inconclusive: refused without a counter that moved, so the pool had no page";
const TIGHT: &str =
    "inconclusive: not tried, since it might take a page that somebody was promised";
const COUNTERS_UNSEEN: &str = "inconclusive: refused, and the pod's counters that would tell by what are not seen: mount the host's /sys/fs/cgroup";

/// A fault limit and a reservation limit, in pages of either size.
type Limits = (Option<u64>, Option<u64>);

const NO: Limits = (None, None);
const ZERO: Limits = (Some(0), None);
const ZEROS: Limits = (Some(0), Some(0));

/// Writes limits of a number of pages, for both page sizes of the machine.
pub fn limit(cgroup: &Cgroup, (fault, reservation): Limits) {
    for (size, shift) in [("2MB", 21), ("1GB", 30)] {
        let bytes = |pages: Option<u64>| pages.map_or(1 << 62, |pages| pages << shift);
        cgroup.set(size, bytes(fault));
        cgroup.set(&format!("{size}.rsvd"), bytes(reservation));
    }
}

/// A pod and its container, limited like that, and an exporter in it that probes all the time.
pub fn exporter(
    kubepods: &Kubepods<'_>,
    name: &str,
    limits: [Limits; 2],
    more: &[&str],
) -> (Pod, Cgroup, Agent) {
    let pod = kubepods.pod_in("kubepods/burstable", name);
    let container = kubepods.container(&pod, "exporter", &id("e0"), 0);
    let [of_container, of_pod] = limits;
    limit(&container, of_container);
    limit(&pod.cgroup, of_pod);
    let flags = [&["--probe.interval=100ms"], more].concat();
    let agent = kubepods.start(&flags).in_cgroup(container.path()).go();
    (pod, container, agent)
}

/// What the probe says of a check of a page size: its newest line in the log.
#[track_caller]
pub fn verdict(agent: &Agent, page_size: &str, check: &str) -> String {
    let wanted = [format!("page_size={page_size} "), format!("check={check}")];
    wait_for(&format!("a verdict on {check} of {page_size}: {:?}", agent.log()), || {
        let log = agent.log();
        let line = log.iter().rev().find(|line| wanted.iter().all(|part| line.contains(part)))?;
        let (_, words) = line.split_once("probe: ")?;
        words.split(" target=").next().map(str::to_owned)
    })
}

/// That its metrics say the same as its log, and that nothing is said of the exporter's own refusals.
#[track_caller]
fn check_metrics(scrape: &Exposition, pod: &Pod, verdicts: [&str; 2]) {
    for (check, verdict) in ["fault", "reserve"].into_iter().zip(verdicts) {
        let expected = match verdict {
            "not enforced" => Some(0.0),
            verdict if verdict.starts_with("enforced") => Some(1.0),
            _ => None,
        };
        let labels = [("target", "own"), ("check", check), ("pagesize", "2Mi")];
        assert_eq!(scrape.value("hugetlb_probe_enforced", &labels), expected, "{check}: {verdict}");
    }
    let ours = [("uid", pod.uid.as_str())];
    let findings: Vec<_> = scrape.with("hugetlb_finding", &ours).collect();
    assert!(findings.is_empty(), "what the probe is refused is nobody's failure: {findings:?}");
    for family in ["hugetlb_container_failures_total", "hugetlb_pod_failures_total"] {
        assert_eq!(scrape.with(family, &ours).count(), 0, "{family}");
    }
}

#[track_caller]
fn check(kubepods: &Kubepods<'_>, limits: [Limits; 2], expected: [[&str; 2]; 2]) {
    let (pod, _container, agent) = exporter(kubepods, "exporter", limits, &[]);
    for (page_size, [fault, reserve]) in ["2Mi", "1Gi"].into_iter().zip(expected) {
        assert_eq!(verdict(&agent, page_size, "fault"), fault, "{limits:?} {page_size}");
        assert_eq!(verdict(&agent, page_size, "reserve"), reserve, "{limits:?} {page_size}");
    }
    let scrape = agent.after("hugetlb_exporter_polls_total", 6.0);
    check_metrics(&scrape, &pod, expected[0]);
    let not_enforced = expected[0][0] == "not enforced";
    let found = scrape.with("hugetlb_finding", &[("finding", "limit-not-enforced")]).count();
    assert_eq!(found > 0, not_enforced, "limit-not-enforced, {limits:?}");
    // The next one has the same name.
    drop(agent);
}

fn every_limit_gets_its_verdict(lab: &Lab) {
    // The pool of 1 GiB pages is empty.
    let enforced = [["enforced", "not enforced"]; 2];
    let by_reservation = [[BY_RESERVATION; 2]; 2];
    for (container, pod, expected) in [
        (ZERO, ZERO, enforced),
        (NO, ZERO, enforced),
        (ZERO, NO, enforced),
        (ZERO, ZEROS, by_reservation),
        (NO, ZEROS, by_reservation),
        (ZEROS, ZEROS, by_reservation),
        (ZEROS, ZERO, by_reservation),
        (NO, NO, [["not enforced"; 2], [POOL, "not enforced"]]),
    ] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        check(&kubepods, [container, pod], expected);
    }
    let granted = "not applicable: the exporter's own pod was granted pages";
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    check(&kubepods, [NO, (Some(4), Some(4))], [[granted; 2]; 2]);
}

fn without_a_page_in_the_pool(lab: &Lab) {
    let ballast = Cgroup::new(lab, "lab-ballast");
    let mut sunk = Tenant::new(&ballast, "private");
    sunk.map(POOL_PAGES);
    for (limits, expected) in [
        ([NO, ZERO], ["enforced", "not enforced"]),
        ([ZEROS, ZEROS], [BY_RESERVATION; 2]),
        // Nothing is enforced, and every free page is somebody else's.
        ([NO, NO], [TIGHT, "not enforced"]),
    ] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let (_pod, _container, agent) = exporter(&kubepods, "exporter", limits, &[]);
        assert_eq!(verdict(&agent, "2Mi", "fault"), expected[0], "{limits:?}");
        assert_eq!(verdict(&agent, "2Mi", "reserve"), expected[1], "{limits:?}");
    }
}

/// kind and k3s: there is a hugetlb controller, and no pod has it.
fn without_controller(lab: &Lab) {
    let uid = "11111111-1111-4222-8333-444444444444";
    let path = lab.root.join(format!("lab-kind/kubepods/pod{uid}/{}", id("e0")));
    fs::create_dir_all(&path).expect("cgroups without the controller");
    let flags = ["--probe.interval=100ms".to_owned()];
    let agent = Start::new(&flags).in_cgroup(&path).go();
    assert_eq!(verdict(&agent, "2Mi", "fault"), "not enforced");
    assert_eq!(verdict(&agent, "2Mi", "reserve"), "not enforced");
    let no_page = "inconclusive: refused without a hugetlb controller, so the pool had no page";
    assert_eq!(verdict(&agent, "1Gi", "fault"), no_page);
    let found = || {
        let scrape = agent.fresh();
        (scrape.with("hugetlb_finding", &[("finding", "limit-not-enforced")]).count() > 0)
            .then_some(())
    };
    wait_for("the finding", found);
    drop(agent);
    crate::cgroup::remove_all(&lab.root.join("lab-kind"));
}

/// As a container of the DaemonSet's sees it, with the host's cgroups mounted and without.
fn in_containers_like_the_daemonsets(lab: &Lab) {
    let v1 = lab.phase == Phase::V1;
    let unseen = "enforced, by a limit that can't be seen from here";
    for (runtime, limited, sees_host, pod_limits, expected) in [
        ("runc", true, true, ZERO, ["enforced", "not enforced"]),
        ("crun", true, true, ZERO, ["enforced", "not enforced"]),
        ("runc", false, true, ZERO, ["enforced", "not enforced"]),
        ("crun", false, true, ZEROS, [BY_RESERVATION; 2]),
        // Stock containerd without the host's cgroups: v2 counts at the process, v1 where it can't be seen.
        ("runc", false, false, ZERO, if v1 { [COUNTERS_UNSEEN; 2] } else { [unseen, "?"] }),
        (
            "crun",
            false,
            false,
            ZEROS,
            if v1 { [COUNTERS_UNSEEN; 2] } else { [unseen, BY_RESERVATION] },
        ),
        ("runc", true, false, ZERO, ["enforced", if v1 { "?" } else { "not enforced" }]),
    ] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let pod = kubepods.pod_in("kubepods/burstable", "exporter");
        limit(&pod.cgroup, pod_limits);
        let id = id("e1");
        let path = kubepods.container_path(&pod, &id);
        let special = Special { limited, sees_host, filtered: false };
        let exporter = Exporter::start(lab, runtime, &id, &path, special);
        let what = format!("{runtime} {special:?} {pod_limits:?}");
        for page_size in ["2Mi", "1Gi"] {
            for (check, expected) in ["fault", "reserve"].into_iter().zip(expected) {
                let verdict = verdict(&exporter.agent, page_size, check);
                // What a container can't know of its own pod's limits depends on the kernel's version.
                let said = expected == "?" && verdict.starts_with("inconclusive");
                assert!(said || verdict == expected, "{what}, {check} of {page_size}: {verdict}");
            }
        }
        if sees_host {
            check_metrics(&exporter.agent.fresh(), &pod, expected);
        }
    }
}

fn where_system_calls_are_filtered(lab: &Lab) {
    for runtime in ["runc", "crun"] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let pod = kubepods.pod("exporter", 0);
        let id = id("e2");
        let path: String = kubepods.container_path(&pod, &id);
        let special = Special { limited: true, sees_host: true, filtered: true };
        let exporter = Exporter::start(lab, runtime, &id, &path, special);
        let filtered = "inconclusive: the system-call filter (seccomp) forbids to map huge pages";
        for check in ["fault", "reserve"] {
            assert_eq!(verdict(&exporter.agent, "2Mi", check), filtered, "{runtime}");
        }
    }
}

/// Whether a process was started with that argument.
pub fn has_word(pid: u32, wanted: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
}

/// The children of a process that it probes with, with the state of each; all but those that list a log directory.
pub fn children(of: u32) -> Vec<(u32, char)> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let child = |path: PathBuf| {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        if has_word(pid, "list-names") {
            return None;
        }
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()?.parse() == Ok(of)).then_some((pid, state))
    };
    processes.filter_map(|entry| child(entry.path())).collect()
}
