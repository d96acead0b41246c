//! The probe in a cgroup made for it, with a limit made for it: exactly so many pages may be touched, and not one more.
//!
//! It proves what the kernel does, not what the kubelet set, and it takes root and a cgroup file system that may be
//! written. It makes one cgroup at the hierarchy's root, `hugetlb-exporter-scratch-<pid>`, and removes it; what a killed
//! exporter left is known by that name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups_rs::CgroupPid;
use cgroups_rs::fs::Controller;
use cgroups_rs::fs::hugetlb::HugeTlbController;
use tokio::time::timeout;

use super::counters::{Counters, Moved};
use super::order::{Mapping, Order};
use super::own::{Pace, end_of};
use super::tenant::{Answer, Tenant};
use super::verdict::End;
use crate::snapshot::{CgroupVersion, Check, Doubt, EnforcedBy, Exempt, Hierarchy, Pool, Verdict};
use crate::units::{PageSize, Pages};
use crate::worker::Worker;

/// The mark of our cgroups.
const PREFIX: &str = "hugetlb-exporter-scratch-";

/// Pages from this size on are made at boot, and one of them is a lot.
const GIGANTIC: u64 = 1 << 30;

/// How long a leftover may take to become empty: its process was killed with the exporter that left it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a scratch cgroup is made.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Its limit.
    pub pages: Pages,
    /// With fewer available pages it is not tried.
    pub floor: Pages,
    /// Whether gigantic pages are tried too.
    pub gigantic: bool,
}

/// Tries one check on one page size.
pub async fn check(
    check: Check,
    pool: &Pool,
    hierarchy: Option<&Hierarchy>,
    terms: Terms,
    pace: &Pace,
    worker: &Worker,
) -> Verdict {
    if pool.page_size.bytes().0 >= GIGANTIC && !terms.gigantic {
        return Verdict::NotApplicable(Exempt::Gigantic);
    }
    let Some(hierarchy) = hierarchy else { return Verdict::Inconclusive(Doubt::NoController) };
    if pool.available().present().is_none_or(|available| available < terms.floor) {
        return Verdict::Inconclusive(Doubt::PoolTight);
    }
    let (place, page_size) = (hierarchy.clone(), pool.page_size);
    let made = worker.run(move || Scratch::make(&place, page_size, check, terms.pages)).await;
    let scratch = match made {
        Ok(Ok(scratch)) => scratch,
        Ok(Err(why)) => return Verdict::Inconclusive(Doubt::Other(why)),
        Err(error) => return Verdict::Inconclusive(Doubt::Other(error.to_string())),
    };
    let verdict = scratch.verdict(check, page_size, terms.pages, pace).await;
    // Dropping it removes it, which may take some tries and so is not for this thread.
    drop(worker.run(move || drop(scratch)).await);
    verdict
}

/// Removes what a killed exporter left; says what could not be removed.
pub async fn remove_leftovers(hierarchy: &Hierarchy, worker: &Worker) -> Vec<String> {
    let root = hierarchy.root.clone();
    let remove = move || {
        let failed = |path: &PathBuf| remove(path, PATIENCE).err();
        leftovers(&root).iter().filter_map(failed).collect()
    };
    worker.run(remove).await.unwrap_or_default()
}

fn leftovers(root: &Path) -> Vec<PathBuf> {
    let ours = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(PREFIX));
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter(|entry| ours(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// A cgroup has to be empty; a process that was just killed keeps it for a moment.
fn remove(path: &Path, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if began.elapsed() > patience => {
                return Err(format!("can't remove {}: {error}", path.display()));
            }
            Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
}

/// A cgroup of ours; dropping it removes it.
struct Scratch {
    controller: HugeTlbController,
    version: CgroupVersion,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(problem) = remove(self.controller.path(), PATIENCE) {
            tracing::warn!(problem, "a scratch cgroup is left; the next probe tries again");
        }
    }
}

impl Scratch {
    fn make(
        hierarchy: &Hierarchy,
        page_size: PageSize,
        check: Check,
        limit: Pages,
    ) -> Result<Self, String> {
        let v2 = hierarchy.version == CgroupVersion::V2;
        if v2 {
            let path = hierarchy.root.join("cgroup.subtree_control");
            let pass_down = || {
                let passed = fs::read_to_string(&path)?;
                let has_it = passed.split_ascii_whitespace().any(|name| name == "hugetlb");
                if has_it { Ok(()) } else { fs::write(&path, "+hugetlb") }
            };
            pass_down().map_err(|error| format!("can't write {}: {error}", path.display()))?;
        }
        let path = hierarchy.root.join(format!("{PREFIX}{}", std::process::id()));
        let failed = |what: &str, error: cgroups_rs::fs::error::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("can't {what} {}: {}", path.display(), cause.unwrap_or(error.to_string()))
        };
        let controller = HugeTlbController::new(path.clone(), PathBuf::new(), v2);
        controller.create().map_err(|error| failed("make", error))?;
        let scratch = Self { controller, version: hierarchy.version };
        let bytes = limit.bytes(page_size).ok_or("the limit is too large")?;
        // The controller knows no reservations; the file's name is made of the size and so can be reached.
        let size = match check {
            Check::Fault => page_size.cgroup_name(),
            Check::Reserve => format!("{}.rsvd", page_size.cgroup_name()),
        };
        let set = scratch.controller.set_limit_in_bytes(&size, bytes.0);
        set.map_err(|error| failed("limit", error))?;
        Ok(scratch)
    }

    async fn verdict(
        &self,
        check: Check,
        page_size: PageSize,
        limit: Pages,
        pace: &Pace,
    ) -> Verdict {
        let other = |why: String| Verdict::Inconclusive(Doubt::Other(why));
        let order = Order::anonymous(Mapping::Private, check == Check::Fault, page_size);
        let mut tenant = match Tenant::start(&order, pace.deadline, &pace.places) {
            Ok(tenant) => tenant,
            Err(error) => return other(format!("it can't be tried: {error}")),
        };
        let verdict = match self.put_in(&tenant) {
            Err(why) => other(why),
            Ok(()) => match self.try_with(&mut tenant, check, page_size, limit, pace).await {
                Ok(verdict) => verdict,
                Err(error) => other(format!("it can't be tried: {error}")),
            },
        };
        // A cgroup with a process in it can't be removed; one that does not end is left to the next probe.
        let _ = timeout(pace.deadline, tenant.end()).await;
        verdict
    }

    fn put_in(&self, tenant: &Tenant) -> Result<(), String> {
        let path = self.controller.path().display();
        let pid = tenant.pid().ok_or("the process that should try has ended")?;
        self.controller.add_task_by_tgid(&CgroupPid::from(u64::from(pid))).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("can't move a process into {path}: {}", cause.unwrap_or(error.to_string()))
        })
    }

    /// As far as the limit, and one page further.
    async fn try_with(
        &self,
        tenant: &mut Tenant,
        check: Check,
        page_size: PageSize,
        Pages(limit): Pages,
        pace: &Pace,
    ) -> io::Result<Verdict> {
        let beyond = limit.saturating_add(1);
        let steps = match check {
            Check::Fault => {
                [format!("map {beyond}"), format!("touch {limit}"), format!("touch {beyond}")]
            }
            Check::Reserve => ["unmap".to_owned(), format!("map {limit}"), format!("map {beyond}")],
        };
        let [first, within, further] = steps;
        for step in [first, within] {
            let end = end_of(tenant.tell(&step).await?);
            if end != End::Done {
                return Ok(refused_within(&end));
            }
        }
        tokio::time::sleep(pace.pause).await;
        let directories = [self.controller.path().to_owned()];
        let counters = Counters::read(self.version, &directories, true, page_size);
        let end = end_of(tenant.tell(&further).await?);
        let moved = counters.moved();
        if end == End::Done {
            tokio::time::sleep(pace.pause).await;
            let _: Answer = tenant.tell("unmap").await?;
        }
        Ok(beyond_the_limit(check, &end, moved))
    }
}

/// What the limit allows was refused.
fn refused_within(end: &End) -> Verdict {
    Verdict::Inconclusive(match end {
        End::Late => Doubt::Timeout,
        End::Untried(why) => Doubt::Other(why.clone()),
        // It has a limit of its own and nothing else above: the pool, or the machine's set-up.
        End::Done | End::Refused(_) | End::Killed(_) => Doubt::Pool,
    })
}

fn beyond_the_limit(check: Check, end: &End, moved: Moved) -> Verdict {
    match (end, moved) {
        (End::Done, _) => Verdict::NotEnforced,
        (End::Late, _) => Verdict::Inconclusive(Doubt::Timeout),
        (End::Untried(why), _) => Verdict::Inconclusive(Doubt::Other(why.clone())),
        (_, Moved::Nothing | Moved::Unseen | Moved::NoController) => {
            Verdict::Inconclusive(Doubt::Pool)
        }
        _ => Verdict::Enforced(match check {
            Check::Fault => EnforcedBy::Limit,
            Check::Reserve => EnforcedBy::ReservationLimit,
        }),
    }
}
