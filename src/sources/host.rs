//! What `/proc/meminfo` and `/proc/vmstat` say of huge pages.
//!
//! Two lines of one and two of the other are needed, every poll. The procfs crate would parse all of
//! both into maps, refuse the whole file for one odd line, and panics where a key is no ASCII
//! (docs/adr/0001-own-parsers-for-hot-proc-files.md).

use std::path::Path;

use super::kernel_file::KernelFiles;
use super::parse;
use crate::snapshot::{BuddyAllocations, Memory, Problems, Reading};
use crate::units::{Bytes, PageSize};

/// Reads both files.
pub(super) fn read(
    proc: &Path,
    files: &mut KernelFiles,
    meminfo: &mut Problems,
    vmstat: &mut Problems,
) -> Memory {
    let (default_page_size, hugetlb) = read_meminfo(&proc.join("meminfo"), files, meminfo);
    let path = proc.join("vmstat");
    let mut counter = |field: &str| {
        let expected = format!("`{field} <number>`");
        flatten(&files.read(&path, &expected, |text| parse::vmstat(text, field), vmstat))
    };
    Memory {
        default_page_size,
        hugetlb,
        buddy_allocations: BuddyAllocations {
            successes: counter("htlb_buddy_alloc_success"),
            failures: counter("htlb_buddy_alloc_fail"),
        },
    }
}

fn read_meminfo(
    path: &Path,
    files: &mut KernelFiles,
    problems: &mut Problems,
) -> (Reading<PageSize>, Reading<Bytes>) {
    let mut kilobytes = |field: &str| {
        let expected = format!("`{field}: <number> kB`");
        flatten(&files.read(
            path,
            &expected,
            |text| parse::meminfo_kilobytes(text, field),
            problems,
        ))
    };
    let (size, hugetlb) = (kilobytes("Hugepagesize"), kilobytes("Hugetlb"));
    (size.and_then(|size: Bytes| PageSize::from_bytes(size.0)), hugetlb)
}

/// A file without the field is like no file: an older kernel.
fn flatten<T: Copy>(reading: &Reading<Option<T>>) -> Reading<T> {
    match reading {
        Reading::Present(Some(value)) => Reading::Present(*value),
        Reading::Present(None) | Reading::Absent => Reading::Absent,
        Reading::Failed => Reading::Failed,
    }
}
