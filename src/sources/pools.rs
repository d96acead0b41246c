//! The huge-page pools, from sysfs: all page sizes, and each on every NUMA node.
//!
//! ```text
//! /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages                     500
//! /sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages   436
//! ```
//! Documentation/admin-guide/mm/hugetlbpage.rst. Readable for everyone, and not namespaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::kernel_file::KernelFiles;
use super::parse;
use crate::snapshot::{NumaPool, Pool, Problems, Reading};
use crate::units::{NumaNode, PageSize, Pages};

/// All pools, smallest page size first.
pub(super) fn read(sys: &Path, files: &mut KernelFiles, problems: &mut Problems) -> Vec<Pool> {
    let directory = sys.join("kernel/mm/hugepages");
    let sizes = match page_sizes(&directory, problems) {
        Ok(sizes) => sizes,
        Err(error) => {
            problems
                .add(|| format!("can't list {}: {error}; no pool is shown", directory.display()));
            return Vec::new();
        }
    };
    let pool = |(page_size, path): (PageSize, PathBuf)| {
        let mut pages = |file: &str| read_pages(files, &path.join(file), problems);
        Pool {
            page_size,
            size: pages("nr_hugepages"),
            free: pages("free_hugepages"),
            reserved: pages("resv_hugepages"),
            surplus: pages("surplus_hugepages"),
            overcommit_limit: pages("nr_overcommit_hugepages"),
            nodes: Vec::new(),
        }
    };
    sizes.into_iter().map(pool).collect()
}

/// The same for somebody who needs them now, what is wrong with them being told elsewhere.
pub fn read_now(sys: &Path) -> Vec<Pool> {
    read(sys, &mut KernelFiles::default(), &mut Problems::default())
}

/// Adds the NUMA nodes' parts. False where the kernel knows no nodes, which is no fault.
pub(super) fn read_nodes(
    sys: &Path,
    files: &mut KernelFiles,
    pools: &mut [Pool],
    problems: &mut Problems,
) -> bool {
    let directory = sys.join("devices/system/node");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            problems.add(|| format!("can't list {}: {error}", directory.display()));
            return true;
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut nodes: Vec<NumaNode> =
        names.filter_map(|name| NumaNode::from_name(&name, "node")).collect();
    nodes.sort_unstable();
    for node in nodes {
        let hugepages = directory.join(format!("node{node}/hugepages"));
        for pool in &mut *pools {
            let path = hugepages.join(pool.page_size.sysfs_name());
            let mut pages = |file: &str| read_pages(files, &path.join(file), problems);
            let part = NumaPool {
                node,
                size: pages("nr_hugepages"),
                free: pages("free_hugepages"),
                surplus: pages("surplus_hugepages"),
            };
            // A node without memory has no such directory.
            if part.size != Reading::Absent {
                pool.nodes.push(part);
            }
        }
    }
    true
}

fn read_pages(files: &mut KernelFiles, path: &Path, problems: &mut Problems) -> Reading<Pages> {
    files.read(path, "a number of pages", parse::pages, problems)
}

/// The sizes in a directory of `hugepages-<N>kB`, smallest first.
fn page_sizes(directory: &Path, problems: &mut Problems) -> io::Result<Vec<(PageSize, PathBuf)>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name.parse() {
            Ok(size) => sizes.push((size, path)),
            Err(error) => problems.add(|| format!("in {}: {error}", directory.display())),
        }
    }
    sizes.sort_unstable();
    Ok(sizes)
}
