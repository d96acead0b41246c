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
use std::time::Duration;

use super::kernel_file::KernelFiles;
use super::parse;
use crate::snapshot::{Memory, NumaPool, Pool, Problems, Reading};
use crate::units::{NumaNode, PageSize, Pages};

/// Page sizes are those that the kernel has booted with; nodes may be added to a running machine.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// The pool source. Which pools there are is listed now and then; their figures are read at every poll.
#[derive(Debug, Default)]
pub(super) struct Pools {
    listed: Option<Listed>,
}

/// Page sizes, each with its directory.
type Sizes = Vec<(PageSize, PathBuf)>;

#[derive(Debug)]
struct Listed {
    at: Duration,
    sizes: Sizes,
    /// What is in the directory besides, and why it is no pool.
    odd: Vec<String>,
    nodes: Nodes,
}

/// The NUMA nodes that the kernel knows, each with its directory.
#[derive(Debug)]
enum Nodes {
    /// It knows none.
    None,
    Some(Vec<(NumaNode, PathBuf)>),
    /// They could not be listed.
    Unlisted(String),
}

impl Pools {
    /// All pools, smallest page size first. What meminfo says of huge pages tells a kernel that has none from a sysfs
    /// that does not show them.
    pub(super) fn read(
        &mut self,
        sys: &Path,
        memory: &Memory,
        now: Duration,
        files: &mut KernelFiles,
        problems: &mut Problems,
    ) -> Vec<Pool> {
        if self.listed.as_ref().is_none_or(|listed| now.saturating_sub(listed.at) >= LIST_EVERY) {
            self.listed = Listed::list(sys, memory, now, problems);
        }
        let Some(listed) = &self.listed else { return Vec::new() };
        listed.odd.iter().for_each(|odd| problems.add(|| odd.clone()));
        let pool = |(page_size, path): &(PageSize, PathBuf)| {
            let mut pages = |file: &str| read_pages(files, &path.join(file), problems);
            Pool {
                page_size: *page_size,
                size: pages("nr_hugepages"),
                free: pages("free_hugepages"),
                surplus: pages("surplus_hugepages"),
                overcommit_limit: pages("nr_overcommit_hugepages"),
                reserved: files.read(&path.join("resv_hugepages"), parse::SIGNED_PAGES, problems),
                nodes: Vec::new(),
            }
        };
        listed.sizes.iter().map(pool).collect()
    }

    /// Adds the NUMA nodes' parts. False where the kernel knows no nodes, which is no fault.
    pub(super) fn read_nodes(
        &mut self,
        files: &mut KernelFiles,
        pools: &mut [Pool],
        problems: &mut Problems,
    ) -> bool {
        let nodes = match self.listed.as_ref().map(|listed| &listed.nodes) {
            None | Some(Nodes::None) => return false,
            Some(Nodes::Some(nodes)) => nodes,
            Some(Nodes::Unlisted(why)) => {
                problems.add(|| why.clone());
                // Perhaps they can be next time.
                self.listed = None;
                return true;
            }
        };
        for (node, directory) in nodes {
            for pool in &mut *pools {
                let path = directory.join(pool.page_size.sysfs_name());
                let mut pages = |file: &str| read_pages(files, &path.join(file), problems);
                let part = NumaPool {
                    node: *node,
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
}

impl Listed {
    fn list(sys: &Path, memory: &Memory, now: Duration, problems: &mut Problems) -> Option<Self> {
        let directory = sys.join("kernel/mm/hugepages");
        match page_sizes(&directory) {
            Ok((sizes, odd)) => Some(Self { at: now, sizes, odd, nodes: Nodes::list(sys) }),
            Err(error) => {
                let at = directory.display();
                // Without meminfo's word a sysfs that has all else but that.
                let is_known = memory.has_meminfo || sys.join("devices/system").is_dir();
                let has_none = memory.default_page_size == Reading::Absent;
                if error.kind() == io::ErrorKind::NotFound && is_known && has_none {
                    problems.add_missing(|| format!("{at} does not exist: no huge pages here"));
                } else {
                    problems.add(|| format!("can't list {at}: {error}; no pool is shown"));
                }
                None
            }
        }
    }
}

impl Nodes {
    fn list(sys: &Path) -> Self {
        let directory = sys.join("devices/system/node");
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::None,
            Err(error) => {
                return Self::Unlisted(format!("can't list {}: {error}", directory.display()));
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut nodes: Vec<NumaNode> =
            names.filter_map(|name| NumaNode::from_name(&name, "node")).collect();
        nodes.sort_unstable();
        let at = |node| directory.join(format!("node{node}/hugepages"));
        Self::Some(nodes.into_iter().map(|node| (node, at(node))).collect())
    }
}

/// The same for somebody who needs them now, what is wrong with them being told elsewhere.
pub fn read_now(sys: &Path) -> Vec<Pool> {
    let (mut files, mut problems) = (KernelFiles::default(), Problems::default());
    let memory = Memory::default();
    Pools::default().read(sys, &memory, Duration::ZERO, &mut files, &mut problems)
}

fn read_pages(files: &mut KernelFiles, path: &Path, problems: &mut Problems) -> Reading<Pages> {
    files.read(path, parse::PAGES, problems)
}

/// The sizes in a directory of `hugepages-<N>kB`, smallest first, and what is wrong with others.
fn page_sizes(directory: &Path) -> io::Result<(Sizes, Vec<String>)> {
    let (mut sizes, mut odd) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name.parse() {
            Ok(size) => sizes.push((size, path)),
            Err(error) => odd.push(format!("in {}: {error}", directory.display())),
        }
    }
    sizes.sort_unstable();
    Ok((sizes, odd))
}
