//! Containers of real runtimes: written to before their first process, and updated afterwards.

use std::process::Stdio;

use super::keeper::{limit, reservation_limit, wait_for_limit};
use super::{Keeper, Places, SECTION};
use crate::Lab;
use crate::bundle::{Bundle, Container};
use crate::evidence;
use crate::kubepods::{Driver, Kubepods, id};

const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Created, looked at before it is started: the reservation limit is there.
pub fn first(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let places = Places::new();
    let _keeper = Keeper::start(&kubepods, &places, &["--guard.refuse=all"]);
    let runs = if evidence::is_long() { 200 } else { 15 };
    let pod = kubepods.pod("db-0", 64);
    for runtime in RUNTIMES {
        let mut in_time = 0;
        for number in 0..runs {
            let id = id(&format!("{}{number:x}f", if runtime == "runc" { "a" } else { "b" }));
            let path = kubepods.container_path(&pod, &id);
            let bundle = Bundle::tenant(runtime, &id, &path, 32);
            let status = bundle.create().stdin(Stdio::null()).stdout(Stdio::null()).status();
            assert!(status.expect("a runtime").success(), "{runtime} create");
            // The call that starts it takes as long.
            let asked = bundle.state().stdout(Stdio::null()).status();
            assert!(asked.expect("a runtime").success(), "{runtime} state");
            let cgroup = crate::cgroup::Cgroup::new(lab, &path);
            if reservation_limit(&cgroup) == Some(32) {
                in_time += 1;
            }
            // Its process has not run yet; it goes with its container.
            drop(bundle);
        }
        evidence::tell(
            SECTION,
            format!(
                "{}: {runtime} create, then start: the reservation limit is there before the first process in {in_time} of {runs}",
                lab.phase
            ),
        );
        assert_eq!(in_time, runs, "{runtime}");
    }
}

/// The kubelet's CPU manager updates containers with their whole resources; what becomes of the guard's limits.
pub fn update(lab: &Lab) {
    for runtime in RUNTIMES {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let places = Places::new();
        let _keeper =
            Keeper::start(&kubepods, &places, &["--guard.refuse=all", "--guard.rescue=on"]);
        let pod = kubepods.pod("db-0", 128);
        let id = id(if runtime == "runc" { "a" } else { "b" });
        let path = kubepods.container_path(&pod, &id);
        let mut container = Container::start(runtime, &id, &path, 64);
        let cgroup = crate::cgroup::Cgroup::new(lab, &path);
        super::keeper::wait_for_reservation_limit(&cgroup, Some(64));
        let guarded = update_of(&container);
        assert_eq!(
            (limit(&cgroup), reservation_limit(&cgroup)),
            (Some(64), Some(64)),
            "{guarded:?}"
        );
        container.tenant.map(60);
        container.tenant.touch(20);
        // A limit that falls under what is mapped is raised, and the update finds it so.
        cgroup.limit(30);
        wait_for_limit(&cgroup, 60);
        container.tenant.touch(50);
        let rescued = update_of(&container);
        let after = (limit(&cgroup), reservation_limit(&cgroup));
        container.tenant.touch(60);
        evidence::tell(
            SECTION,
            format!(
                "{}: {runtime} update of a guarded container: {}; of a rescued one: {}, its limits then {after:?} pages, and it lives",
                lab.phase,
                words(&guarded),
                words(&rescued)
            ),
        );
        // Before its cgroup, which its runtime removes.
        drop(container);
    }
}

/// Whether an update with no change of its own succeeds, and what is said of it.
fn update_of(container: &Container) -> (bool, String) {
    let resources = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(resources.path(), "{}").expect("written");
    let flag = format!("--resources={}", resources.path().display());
    let output = container.update(&[&flag]).output().expect("an update");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn words((succeeded, said): &(bool, String)) -> String {
    let said = said.lines().last().unwrap_or_default();
    if *succeeded { "succeeds".to_owned() } else { format!("fails ({said})") }
}
