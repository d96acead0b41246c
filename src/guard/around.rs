//! What is to be known of a node before a limit is raised.
//!
//! Read anew for each rescue: the pool's pages, whether reservations are used up by others, the limits above the pod, and
//! whether huge pages count as memory (a remount changes that at any time).

use std::fs;
use std::path::Path;

use super::facts::{MemoryRoom, PoolFacts, Surroundings};
use super::files::{Directory, FileError, Opened};
use super::tree::{Pod, Tree};
use crate::snapshot::{CgroupVersion, Limit, Reading};
use crate::sources::{Roots, parse, read_pools};
use crate::units::{Bytes, PageSize};

/// What there is around a pod.
pub fn look(roots: &Roots, tree: &Tree, pod: &Pod, size: PageSize) -> Surroundings {
    let version = tree.kubepods_of(pod).map_or(CgroupVersion::V2, |kubepods| kubepods.version);
    Surroundings {
        pool: pool(&roots.sys, size),
        is_crossed: tree.pods().any(|(_, pod)| is_crossed(pod, version, size)),
        above: above(tree, pod, version, size),
        memory: memory(roots, tree, pod, version),
    }
}

fn pool(sys: &Path, size: PageSize) -> Reading<PoolFacts> {
    let pools = read_pools(sys);
    let Some(pool) = pools.iter().find(|pool| pool.page_size == size) else {
        return Reading::Absent;
    };
    let free = pool.free.present().and_then(|pages| pages.bytes(size));
    let reserved = pool.reserved.present().and_then(|pages| pages.at_least_none().bytes(size));
    match (free, reserved) {
        (Some(free), Some(reserved)) => Reading::Present(PoolFacts { free, reserved }),
        _ => Reading::Failed,
    }
}

/// Whether more is touched in the pod or one of its containers than is reserved there.
fn is_crossed(pod: &Pod, version: CgroupVersion, size: PageSize) -> bool {
    let held = |directory: &Directory| directory.open().ok()?.held(version, size).ok();
    let Some((usage, reserved)) = held(&pod.directory) else { return false };
    // A container has no more than its pod.
    usage > Bytes::ZERO
        && (usage > reserved
            || pod.containers.values().any(|container| {
                held(&container.directory).is_some_and(|(usage, reserved)| usage > reserved)
            }))
}

/// The least room below the fault limits of the tiers.
fn above(tree: &Tree, pod: &Pod, version: CgroupVersion, size: PageSize) -> Reading<Limit> {
    let mut least = Limit::Unlimited;
    for tier in tree.above(pod) {
        let Ok(figures) = tier.directory.open().and_then(|opened| opened.figures(version, size))
        else {
            return Reading::Failed;
        };
        if let Limit::At(limit) = figures.limit {
            least = least.min(Limit::At(limit.less(figures.usage)));
        }
    }
    Reading::Present(least)
}

fn memory(roots: &Roots, tree: &Tree, pod: &Pod, version: CgroupVersion) -> MemoryRoom {
    if version == CgroupVersion::V1 {
        return MemoryRoom::NotCounted;
    }
    let Ok(mounts) = fs::read_to_string(roots.proc.join("self/mountinfo")) else {
        return MemoryRoom::Unknown;
    };
    match counts_as_memory(&mounts) {
        None => MemoryRoom::Unknown,
        Some(false) => MemoryRoom::NotCounted,
        Some(true) => {
            let tiers = tree.above(pod).map(|tier| room(&tier.directory));
            let pod_and_above = tiers.fold(room(&pod.directory), least);
            let containers = pod.containers.values().map(|container| room(&container.directory));
            MemoryRoom::Counted { pod: pod_and_above, containers: containers.collect() }
        }
    }
}

fn least(one: Reading<Limit>, other: Reading<Limit>) -> Reading<Limit> {
    match (one, other) {
        (Reading::Present(one), Reading::Present(other)) => Reading::Present(one.min(other)),
        _ => Reading::Failed,
    }
}

/// Whether cgroup2 was mounted with `memory_hugetlb_accounting`: all its mounts have the same options. Nothing where none
/// is to be seen.
pub fn counts_as_memory(mountinfo: &str) -> Option<bool> {
    let options = mountinfo.lines().find_map(|line| line.split_once(" - cgroup2 "))?.1;
    let options = options.rsplit(' ').next()?;
    Some(options.split(',').any(|option| option == "memory_hugetlb_accounting"))
}

/// What `memory.max` leaves: file pages on the lists are given back when memory is short, all else stays.
fn room(directory: &Directory) -> Reading<Limit> {
    let read = |opened: Opened<'_>| -> Result<Limit, FileError> {
        let Limit::At(max) = opened.read("memory.max", "a limit", parse::limit)? else {
            return Ok(Limit::Unlimited);
        };
        let current = opened.read("memory.current", "bytes", parse::usage)?;
        let stat = opened.text("memory.stat")?;
        let of = |field: &str| parse::vmstat(&stat, field).flatten().unwrap_or_default();
        let given_back = of("inactive_file").saturating_add(of("active_file"));
        Ok(Limit::At(max.less(current.less(Bytes(given_back)))))
    };
    match directory.open().and_then(read) {
        Ok(limit) => Reading::Present(limit),
        // No memory controller here, or gone: then nothing is raised either.
        Err(FileError::Gone) => Reading::Present(Limit::Unlimited),
        Err(_) => Reading::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_option_tells_whether_huge_pages_are_memory() {
        let line = |options: &str| {
            format!(
                "24 30 0:22 / /proc rw - proc proc rw\n35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 {options}\n"
            )
        };
        assert_eq!(counts_as_memory(&line("rw,nsdelegate,memory_recursiveprot")), Some(false));
        assert_eq!(counts_as_memory(&line("rw,nsdelegate,memory_hugetlb_accounting")), Some(true));
        assert_eq!(counts_as_memory("24 30 0:22 / /proc rw - proc proc rw\n"), None);
        assert_eq!(counts_as_memory(""), None);
    }

    #[test]
    fn file_pages_are_given_back_and_all_else_stays() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("pod");
        fs::create_dir(&path).expect("made");
        let directory = Directory::at(path.clone(), "/pod".to_owned()).expect("it");
        assert_eq!(room(&directory), Reading::Present(Limit::Unlimited), "no memory controller");
        for (file, text) in [
            ("memory.max", "1000\n"),
            ("memory.current", "900\n"),
            ("memory.stat", "anon 500\ninactive_file 200\nactive_file 100\n"),
        ] {
            fs::write(path.join(file), text).expect("written");
        }
        assert_eq!(room(&directory), Reading::Present(Limit::At(Bytes(400))));
        fs::write(path.join("memory.current"), "rubbish").expect("written");
        assert_eq!(room(&directory), Reading::Failed);
        fs::write(path.join("memory.max"), "max\n").expect("written");
        assert_eq!(room(&directory), Reading::Present(Limit::Unlimited));
    }
}
