//! What `/proc/meminfo` and `/proc/vmstat` say of huge pages, and the host's name.
//!
//! Two lines of one and two of the other are needed, every poll. The procfs crate would parse all of
//! both into maps, refuse the whole file for one odd line, and panics where a key is no ASCII
//! (docs/adr/0001-own-parsers-for-hot-proc-files.md).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::kernel_file::KernelFiles;
use super::parse;
use crate::snapshot::{BuddyAllocations, Memory, Problems, Reading};
use crate::units::{Bytes, PageSize};

/// The host's name (`/proc/sys/kernel/hostname`). In a pod that is the pod's name, unless it is on the host's network.
pub fn name(proc: &Path) -> Option<Arc<str>> {
    let text = fs::read_to_string(proc.join("sys/kernel/hostname")).ok()?;
    Some(text.trim()).filter(|name| is_shown(name)).map(Arc::from)
}

/// It is written on terminals as it is.
fn is_shown(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// Reads both files, each once.
pub(super) fn read(
    proc: &Path,
    files: &mut KernelFiles,
    meminfo: &mut Problems,
    vmstat: &mut Problems,
) -> Memory {
    let path = proc.join("meminfo");
    let parsed = files.read(&path, (|text| Some(parse_meminfo(text)), "text"), meminfo);
    let has_meminfo = parsed != Reading::Absent;
    if !has_meminfo {
        // Every procfs has one, but for those that show processes alone (subset=pid).
        meminfo.add(|| format!("{} does not exist", path.display()));
    }
    let default_page_size = field(parsed.map(|(size, _)| size), "Hugepagesize", &path, meminfo);
    let hugetlb = field(parsed.map(|(_, hugetlb)| hugetlb), "Hugetlb", &path, meminfo);

    let path = proc.join("vmstat");
    let parsed = files.read(&path, (|text| Some(parse_vmstat(text)), "text"), vmstat);
    let buddy_allocations = BuddyAllocations {
        successes: field(parsed.map(|(successes, _)| successes), SUCCESS, &path, vmstat),
        failures: field(parsed.map(|(_, failures)| failures), FAIL, &path, vmstat),
    };
    Memory { has_meminfo, default_page_size, hugetlb, buddy_allocations }
}

/// One field of a file: nothing if it is not understood, an inner nothing if an older kernel lacks it.
type Field<T> = Option<Option<T>>;

const SUCCESS: &str = "htlb_buddy_alloc_success";
const FAIL: &str = "htlb_buddy_alloc_fail";

fn parse_vmstat(text: &str) -> (Field<u64>, Field<u64>) {
    (parse::vmstat(text, SUCCESS), parse::vmstat(text, FAIL))
}

fn parse_meminfo(text: &str) -> (Field<PageSize>, Field<Bytes>) {
    let size = match parse::meminfo_kilobytes(text, "Hugepagesize") {
        Some(Some(bytes)) => PageSize::from_bytes(bytes.0).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    (size, parse::meminfo_kilobytes(text, "Hugetlb"))
}

/// A file without the field is like no file; a field that is not understood costs only itself.
fn field<T>(
    parsed: Reading<Field<T>>,
    name: &str,
    path: &Path,
    problems: &mut Problems,
) -> Reading<T> {
    match parsed {
        Reading::Present(Some(Some(value))) => Reading::Present(value),
        Reading::Present(Some(None)) | Reading::Absent => Reading::Absent,
        Reading::Present(None) => {
            problems.add(|| {
                format!("can't understand {name} in {}: expected a number", path.display())
            });
            Reading::Failed
        }
        Reading::Failed => Reading::Failed,
    }
}
