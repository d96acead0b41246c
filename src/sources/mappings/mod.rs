//! What the containers' processes have mapped of huge pages, `/proc/PID/smaps`.
//!
//! Off unless asked for: it takes the host's processes and CAP_SYS_PTRACE, and it is not for the poller's thread, since
//! reading a process's mappings waits for a lock of that process's.
//!
//! ```text
//! /proc/PID/cgroup  which container      /proc/PID/maps  whether there may be any      /proc/PID/smaps  what there is
//! ```
//!
//! `HugetlbPages:` of `/proc/PID/status` would be cheaper and counts touched pages only: what is mapped without a
//! reservation and not yet touched is what one looks for here. 200 processes with 120 mappings each cost 43 ms if none has
//! mapped huge pages and 290 ms if all have (docs/mappings.md).

mod runs;
mod smaps;
mod whose;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;

use super::cgroups::{Asked, Cgroups};
use super::kernel_file::KernelFiles;
use super::{Found, Roots};
use crate::identity::{ContainerId, Owner};
use crate::snapshot::{Mappings, Problems};
use crate::units::PageSize;
use runs::Runs;

/// More processes than nodes have; `kernel.pid_max` may be 4 million.
const MOST_PROCESSES: usize = 100_000;

/// Mappings of all containers together. A process that maps each huge page by itself, as DPDK may, has 32,768 of
/// them in 64 GiB; mapping without a reservation is free, and whoever does must not cost us our memory.
const MOST_KEPT: usize = 50_000;

/// What it takes to read the mappings of others.
const NEEDS: &str = "hostPID and CAP_SYS_PTRACE are needed";

/// Looks at every container's processes once. `reading` is the process at hand, for whoever waits: the kernel may
/// not answer while another process has that one's memory locked.
pub fn scan(roots: &Roots, reading: &AtomicU32) -> Found<Mappings> {
    let mut problems = Problems::default();
    let mut scan = Scan { smallest: smallest_page(&roots.sys), ..Scan::default() };
    for process in processes(&roots.proc, &mut problems) {
        reading.store(process, Ordering::Relaxed);
        scan.process(&roots.proc.join(process.to_string()));
    }
    scan.complain(roots, &mut problems);
    let containers = scan.containers.into_iter().filter(|(_, runs)| runs.len() > 0);
    let containers = containers.map(|(id, runs)| (id, runs.into_mappings())).collect();
    Found { facts: Arc::new(Mappings { containers, looks: 1 }), health: problems.into_health() }
}

/// What processes have mapped together by their smaps files, and how many mappings were not understood.
#[cfg(feature = "internals")]
pub fn of_processes<S: io::BufRead>(
    processes: impl Iterator<Item = S>,
) -> io::Result<(Vec<crate::snapshot::Mapping>, usize)> {
    let (mut runs, mut odd) = (Runs::default(), 0);
    for smaps in processes {
        let found = smaps::read(smaps)?;
        runs.add_all(Runs::of(&found.vmas), MOST_KEPT);
        odd += found.odd;
    }
    Ok((runs.into_mappings(), odd))
}

/// The processes, without their threads, which `/proc` does not list.
fn processes(proc: &Path, problems: &mut Problems) -> Vec<u32> {
    let entries = match fs::read_dir(proc) {
        Ok(entries) => entries,
        Err(error) => {
            problems.add(|| format!("can't list {}: {error}", proc.display()));
            return Vec::new();
        }
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut processes: Vec<u32> = numbers.take(MOST_PROCESSES + 1).collect();
    if processes.len() > MOST_PROCESSES {
        problems.add(|| {
            format!(
                "{} has more than {MOST_PROCESSES} processes; the others are not read",
                proc.display()
            )
        });
        processes.truncate(MOST_PROCESSES);
    }
    processes.sort_unstable();
    processes
}

/// The smallest huge page of this machine, in bytes; 1 where that is not known.
fn smallest_page(sys: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(sys.join("kernel/mm/hugepages")) else { return 1 };
    let sizes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    sizes.map(|size: PageSize| size.bytes().0).min().unwrap_or(1)
}

/// One look.
#[derive(Default)]
struct Scan {
    smallest: u64,
    /// Every container that has a process, those without a mapping too.
    containers: BTreeMap<ContainerId, Runs>,
    /// How many mappings these have together.
    kept: usize,
    /// How many processes are in containers.
    processes: usize,
    /// Processes whose container could not be told.
    untold: Failures,
    /// Container processes that could not be read.
    unread: Failures,
    /// Mappings that were not understood.
    odd: Failures,
    /// Processes of which not all was read or kept.
    cut: Failures,
}

/// How often something went wrong, and the first time in full.
#[derive(Default)]
struct Failures {
    count: usize,
    first: String,
}

impl Failures {
    fn add(&mut self, count: usize, first: impl FnOnce() -> String) {
        if self.count == 0 && count > 0 {
            self.first = first();
        }
        self.count += count;
    }
}

impl Scan {
    fn process(&mut self, directory: &Path) {
        let path = directory.join("cgroup");
        let container = match fs::read(&path) {
            Ok(cgroups) => whose::container_of(&String::from_utf8_lossy(&cgroups)),
            Err(error) if has_ended(&error) => None,
            Err(error) => {
                self.untold.add(1, || format!("{}: {error}", path.display()));
                None
            }
        };
        let Some(container) = container else { return };
        let read = self.read(directory);
        if matches!(&read, Err((_, error)) if has_ended(error)) {
            return;
        }
        self.processes += 1;
        let runs = self.containers.entry(container).or_default();
        match read {
            Ok(found) => {
                let others = self.kept.saturating_sub(runs.len());
                let all = runs.add_all(Runs::of(&found.vmas), MOST_KEPT.saturating_sub(others));
                self.kept = others + runs.len();
                self.odd.add(found.odd, || directory.join("smaps").display().to_string());
                let cut = found.cut || !all;
                self.cut.add(usize::from(cut), || directory.display().to_string());
            }
            Err((file, error)) => {
                let path = directory.join(file);
                let permitted = error.kind() != io::ErrorKind::PermissionDenied;
                let needs = if permitted { String::new() } else { format!("{NEEDS}; ") };
                self.unread.add(1, || format!("{needs}{}: {error}", path.display()));
            }
        }
    }

    /// The huge pages that one process has mapped, or the file that could not be read.
    fn read(&self, directory: &Path) -> Result<smaps::Found, (&'static str, io::Error)> {
        let open = |file| File::open(directory.join(file)).map(BufReader::new);
        let maps = open("maps").and_then(|maps| smaps::may_have_huge_pages(maps, self.smallest));
        if !maps.map_err(|error| ("maps", error))? {
            return Ok(smaps::Found::default());
        }
        open("smaps").and_then(smaps::read).map_err(|error| ("smaps", error))
    }

    /// What went wrong, the gravest first.
    fn complain(&self, roots: &Roots, problems: &mut Problems) {
        let Self { processes, untold, unread, odd, cut, .. } = self;
        if self.sees_only_itself(roots) {
            let proc = roots.proc.display();
            problems.add(|| format!("{proc} shows no container's processes: hostPID is needed"));
        }
        if unread.count > 0 {
            problems.add(|| {
                let (count, first) = (unread.count, &unread.first);
                format!("{count} of {processes} container processes can't be read: {first}")
            });
        }
        let mut tell = |failures: &Failures, what: &str| {
            if failures.count > 0 {
                problems.add(|| format!("{} {what}: {}", failures.count, failures.first));
            }
        };
        tell(untold, "processes whose container can't be told");
        tell(odd, "mappings of huge pages that are not understood");
        tell(cut, "processes with so many mappings that not all are shown");
    }

    /// Whether there are containers of which no process is seen, while none is seen of any but our own: so it is
    /// in a process namespace of our own. The cgroups are looked for only in that case.
    fn sees_only_itself(&self, roots: &Roots) -> bool {
        let own = fs::read_to_string(roots.proc.join("self/cgroup")).ok();
        let own = own.as_deref().and_then(whose::container_of);
        let other = |id: &ContainerId| Some(id) != own.as_ref();
        if self.containers.keys().any(other) {
            return false;
        }
        let (mut files, mut problems) = (KernelFiles::default(), Problems::default());
        let asked = Asked { roots, now: Duration::ZERO, pools: &[], names: Arc::default() };
        let cgroups = Cgroups::default().read(&asked, &mut files, &mut problems);
        cgroups
            .iter()
            .any(|cgroup| matches!(&*cgroup.owner, Owner::Container(found) if other(&found.id)))
    }
}

/// The process ended while it was read: ENOENT before a file is open, ESRCH after.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}
