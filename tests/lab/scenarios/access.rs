//! Finding the hierarchy, and reading it without privilege.

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Named;
use crate::Lab;
use crate::harness::exposition::Exposition;
use crate::kubepods::{Driver, Kubepods, id};
use crate::machine::Phase;
use crate::tenant::Tenant;

pub const AS_FOUND: &[Named] = &[("the_hierarchy_is_found_where_the_machine_has_it", found)];

pub const BOTH: &[Named] = &[
    ("without_privilege_all_is_seen", without_privilege_all_is_seen),
    ("through_a_host_mount_all_is_seen", through_a_host_mount_all_is_seen),
    ("a_polls_cost_is_shown", a_polls_cost_is_shown),
];

fn usage(scrape: &Exposition) -> Option<f64> {
    scrape.value("hugetlb_container_usage_bytes", &[("container", "c"), ("pagesize", "2Mi")])
}

fn with_a_tenant(lab: &Lab, look: impl FnOnce(&Kubepods<'_>)) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 50);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(3);
    tenant.touch(3);
    look(&kubepods);
}

fn found(lab: &Lab) {
    with_a_tenant(lab, |kubepods| {
        let scrape = kubepods.agent(&[]).fresh();
        assert_eq!(usage(&scrape), Some(6_291_456.0));
        let path = lab.root.display().to_string();
        let hierarchy = [("version", "v2"), ("path", path.as_str())];
        assert_eq!(scrape.value("hugetlb_exporter_cgroup_hierarchy_info", &hierarchy), Some(1.0));
    });
}

fn without_privilege_all_is_seen(lab: &Lab) {
    with_a_tenant(lab, |kubepods| {
        let agent = kubepods.start(&[]).user(10270).go();
        let scrape = agent.fresh();
        assert_eq!(usage(&scrape), Some(6_291_456.0));
        let down = scrape
            .samples()
            .iter()
            .find(|sample| sample.name == "hugetlb_exporter_source_up" && sample.value != 1.0);
        assert_eq!(down, None);
    });
}

/// As a container mounts the host's file system.
fn through_a_host_mount_all_is_seen(lab: &Lab) {
    with_a_tenant(lab, |kubepods| {
        let host = tempfile::tempdir().expect("a directory");
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some("/sys/fs/cgroup"), host.path(), None::<&str>, bind, None::<&str>)
            .expect("mounted");
        let agent = kubepods.agent(&[&format!("--path.cgroupfs={}", host.path().display())]);
        let scrape = agent.fresh();
        drop(agent);
        umount2(host.path(), MntFlags::MNT_DETACH).expect("unmounted");
        assert_eq!(usage(&scrape), Some(6_291_456.0));
        let version = if lab.phase == Phase::V1 { "v1" } else { "v2" };
        assert_eq!(
            scrape.with("hugetlb_exporter_cgroup_hierarchy_info", &[("version", version)]).count(),
            1
        );
    });
}

/// The figure is printed for whoever reads the output; a machine's bad moment must not fail a test.
fn a_polls_cost_is_shown(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let agent = kubepods.agent(&[]);
    let duration =
        agent.fresh().value("hugetlb_exporter_poll_duration_seconds", &[]).expect("a duration");
    eprintln!("{}: a poll of an idle node took {:.0} µs (this build)", lab.phase, duration * 1e6);
    assert!(duration > 0.0);
}
