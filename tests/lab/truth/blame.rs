//! Whose limit killed a process: read from the cgroups' files around each touch, with other code than the agent's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Lab;
use crate::machine::Phase;
use crate::tenant::Tenant;

const PAGE: u64 = 2 << 20;

/// What killed a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// The limit (at a fault, the reservation limit too) of the cgroup with this directory.
    Limit(PathBuf),
    /// No limit: there was no page left in the pool.
    Pool,
}

/// A process's end.
#[derive(Debug, Clone)]
pub struct Death {
    /// The directory of the container that it was in.
    pub container: PathBuf,
    pub blame: Blame,
}

/// A cgroup's figures for pages of 2 MiB.
#[derive(Debug, Clone)]
pub struct Figures {
    directory: PathBuf,
    usage: u64,
    limit: Option<u64>,
    reserved: u64,
    reservation_limit: Option<u64>,
    /// v1: of its fault limit. v2: of its own processes, whatever refused them.
    failures: u64,
    /// v1 alone.
    reservation_failures: u64,
}

impl Figures {
    fn read(lab: &Lab, directory: &Path) -> Self {
        let v1 = lab.phase == Phase::V1;
        let text = |v2_name: &str, v1_name: &str| {
            let file =
                directory.join(format!("hugetlb.2MB.{}", if v1 { v1_name } else { v2_name }));
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let number = |text: String| -> u64 {
            let text = text.trim();
            text.rsplit(' ').next().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
        };
        // "max" and the kernel's other ways to say that there is none.
        let limit = |text: String| Some(number(text)).filter(|bytes| *bytes < 1 << 62);
        Self {
            directory: directory.to_owned(),
            usage: number(text("current", "usage_in_bytes")),
            limit: limit(text("max", "limit_in_bytes")),
            reserved: number(text("rsvd.current", "rsvd.usage_in_bytes")),
            reservation_limit: limit(text("rsvd.max", "rsvd.limit_in_bytes")),
            failures: number(text("events.local", "failcnt")),
            reservation_failures: if v1 { number(text("", "rsvd.failcnt")) } else { 0 },
        }
    }

    /// Every figure on one line, in pages.
    fn line(&self) -> String {
        let pages = |bytes: u64| bytes / PAGE;
        let limit =
            |bytes: Option<u64>| bytes.map_or("max".to_owned(), |bytes| pages(bytes).to_string());
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        format!(
            "{}: usage {}/{} reserved {}/{} failures {}+{}",
            name.trim_end_matches('0'),
            pages(self.usage),
            limit(self.limit),
            pages(self.reserved),
            limit(self.reservation_limit),
            self.failures,
            self.reservation_failures
        )
    }
}

/// The figures of a cgroup and of all above it, the innermost first.
pub fn chain(lab: &Lab, directory: &Path) -> Vec<Figures> {
    directory
        .ancestors()
        .take_while(|level| *level != lab.root)
        .map(|level| Figures::read(lab, level))
        .collect()
}

/// The same as text, the levels apart from each other by `; `.
pub fn text(lab: &Lab, directory: &Path) -> String {
    chain(lab, directory).iter().map(Figures::line).collect::<Vec<_>>().join("; ")
}

/// Touches a tenant's page with that number, counted from 1, and says what killed it if it died of it.
pub fn touch(
    lab: &Lab,
    cgroup: &Path,
    tenant: &mut Tenant,
    page: u64,
    reserved: bool,
) -> Option<Death> {
    let before = chain(lab, cgroup);
    let available = available();
    if tenant.survives_touching(page) {
        return None;
    }
    let blame = blame(&before, reserved).unwrap_or(Blame::Pool);
    let after = chain(lab, cgroup);
    let explain = || {
        let lines =
            |chain: &[Figures]| chain.iter().map(Figures::line).collect::<Vec<_>>().join("; ");
        format!("{blame:?}; before {}; after {}", lines(&before), lines(&after))
    };
    if blame == Blame::Pool {
        assert!(
            !reserved && available == 0,
            "killed for no reason that can be seen: {}",
            explain()
        );
    }
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        let failed = after.failures + after.reservation_failures
            - before.failures
            - before.reservation_failures;
        let expected = match &blame {
            Blame::Pool => 0,
            // v1 counts where the limit is, v2 at the process.
            Blame::Limit(level) if lab.phase == Phase::V1 => u64::from(*level == before.directory),
            Blame::Limit(_) => u64::from(index == 0),
        };
        assert_eq!(failed, expected, "the kernel counts otherwise: {}", explain());
    }
    Some(Death { container: cgroup.to_owned(), blame })
}

/// The level without room for one more page. A fault without a reservation reserves first, and both counters
/// are charged from the inside out.
fn blame(chain: &[Figures], reserved: bool) -> Option<Blame> {
    let full = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used + PAGE > limit);
    let reservation =
        chain.iter().find(|level| !reserved && full(level.reserved, level.reservation_limit));
    let fault = || chain.iter().find(|level| full(level.usage, level.limit));
    reservation.or_else(fault).map(|level| Blame::Limit(level.directory.clone()))
}

/// The pages of the pool that are neither used nor promised.
pub fn available() -> u64 {
    let pages = |name: &str| -> u64 {
        let file = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}");
        fs::read_to_string(&file).expect("the pool").trim().parse().expect("a number")
    };
    pages("free_hugepages") - pages("resv_hugepages")
}
