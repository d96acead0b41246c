//! A process that maps and touches huge pages as it is told, in the cgroup it was put into.

use std::path::Path;
use std::process::Command;

use hugetlb_exporter::host::toucher::Toucher;

use crate::cgroup::Cgroup;

/// A tenant; dropping it ends it and gives its pages back.
pub struct Tenant(Toucher);

impl Tenant {
    /// A tenant of that cgroup, in it before it maps anything.
    pub fn new(cgroup: &Cgroup, mapping: &str) -> Self {
        Self::told(cgroup, mapping, &[])
    }

    /// A tenant that maps a file on hugetlbfs.
    pub fn with_file(cgroup: &Cgroup, file: &Path) -> Self {
        Self::told(cgroup, "file", &[format!("--file={}", file.display())])
    }

    /// A tenant with more flags of `touch-child`.
    pub fn told(cgroup: &Cgroup, mapping: &str, flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"));
        let kind: &[&str] = match mapping {
            // As QEMU with reserve=off, and some allocators.
            "no-reserve" => &["--mapping=private", "--noreserve"],
            _ => &[&format!("--mapping={mapping}")],
        };
        command.arg("touch-child").args(kind).args(flags);
        let tenant = Self::start(command);
        cgroup.add(tenant.pid());
        tenant
    }

    /// A tenant that some other command starts (a container runtime).
    pub fn start(mut command: Command) -> Self {
        Self(Toucher::start(&mut command).expect("a tenant"))
    }

    /// Tells it something and returns what it answers; nothing if it died of it.
    pub fn tell(&mut self, order: &str) -> Option<String> {
        self.0.order(order).expect("an answer")
    }

    /// Maps that many pages, which must succeed.
    #[track_caller]
    pub fn map(&mut self, pages: u64) {
        assert_eq!(self.tell(&format!("map {pages}")).as_deref(), Some("mapped"));
    }

    /// Touches the first so many pages, which must succeed.
    #[track_caller]
    pub fn touch(&mut self, pages: u64) {
        assert!(self.survives_touching(pages), "it was killed");
    }

    /// Touches the first so many pages and dies of it.
    #[track_caller]
    pub fn touch_and_die(&mut self, pages: u64) {
        assert!(!self.survives_touching(pages), "it was to be refused a page");
    }

    /// Touches the first so many pages; if it dies of it, by SIGBUS.
    #[track_caller]
    pub fn survives_touching(&mut self, pages: u64) -> bool {
        self.0.survives_touching(pages).expect("touched, or killed by SIGBUS")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Lets it end by itself.
    pub fn stop(&mut self) {
        self.0.dismiss();
        self.0.wait().expect("its end");
    }
}
