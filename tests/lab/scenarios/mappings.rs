//! Every way to map huge pages shows as it is charged.

use std::fs;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Named;
use crate::Lab;
use crate::kubepods::{Driver, Kubepods, id};
use crate::tenant::Tenant;

pub const BOTH: &[Named] =
    &[("every_mapping_is_shown_as_charged", every_mapping_is_shown_as_charged)];

/// A hugetlbfs of 2 MiB pages, as the kubelet mounts it for an emptyDir.
pub struct Hugetlbfs(tempfile::TempDir);

impl Hugetlbfs {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let none = Some("none");
        mount(none, directory.path(), Some("hugetlbfs"), MsFlags::empty(), Some("pagesize=2M"))
            .expect("mounted");
        Self(directory)
    }

    /// A file on it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Hugetlbfs {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        umount2(self.0.path(), MntFlags::MNT_DETACH).expect("unmounted");
    }
}

/// Mapped 10 pages and touched 4: (reserved, used) in pages after each step.
fn every_mapping_is_shown_as_charged(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 50);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = kubepods.agent(&["--collector.idle"]);
    let hugetlbfs = Hugetlbfs::new();
    let charged = || {
        let scrape = agent.fresh();
        let pages = |family: &str| {
            scrape
                .value(family, &[("container", "c"), ("pagesize", "2Mi")])
                .map(|bytes| bytes / f64::from(2 << 20))
        };
        (pages("hugetlb_container_reserved_bytes"), pages("hugetlb_container_usage_bytes"))
    };
    for (mapping, mapped, touched, unmapped) in [
        ("private", 10.0, 10.0, 0.0),
        ("shared", 10.0, 10.0, 0.0),
        // No reservation: it grows by touching.
        ("no-reserve", 0.0, 4.0, 0.0),
        ("memfd", 10.0, 10.0, 0.0),
        ("sys-v", 10.0, 10.0, 0.0),
        // A file keeps its pages and its reservation.
        ("file", 10.0, 10.0, 10.0),
    ] {
        let mut tenant = match mapping {
            "file" => Tenant::with_file(&container, &hugetlbfs.file("data")),
            _ => Tenant::new(&container, mapping),
        };
        tenant.map(10);
        assert_eq!(charged(), (Some(mapped), Some(0.0)), "{mapping}, mapped");
        tenant.touch(4);
        assert_eq!(charged(), (Some(touched), Some(4.0)), "{mapping}, touched");
        assert_eq!(tenant.tell("unmap").as_deref(), Some("unmapped"));
        let used = if mapping == "file" { 4.0 } else { 0.0 };
        assert_eq!(charged(), (Some(unmapped), Some(used)), "{mapping}, unmapped");
    }
}
