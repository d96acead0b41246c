//! The pool of pages of 2 MiB.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Its directory.
pub const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The size of the pool before one of us came; there while one is.
const RECORD: &str = "/run/hugetlb-exporter-lab.pool";

/// Whether this kernel has such pages.
pub fn is_there() -> bool {
    Path::new(POOL).exists()
}

/// One of its figures, in pages: `nr_hugepages`.
pub fn read(name: &str) -> anyhow::Result<u64> {
    let path = Path::new(POOL).join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} has no number", path.display()))
}

/// Asks for a size. What memory there is not for, the kernel leaves out.
pub fn set(pages: u64) -> anyhow::Result<()> {
    let path = Path::new(POOL).join("nr_hugepages");
    fs::write(&path, pages.to_string()).with_context(|| format!("can't write {}", path.display()))
}

/// Notes the size, unless one that was killed has left its note: then that is the machine's.
pub fn note() -> anyhow::Result<()> {
    if is_noted() {
        return Ok(());
    }
    let size = read("nr_hugepages")?;
    fs::write(RECORD, size.to_string()).with_context(|| format!("can't write {RECORD}"))
}

/// Whether one of us is here, or was killed here.
pub fn is_noted() -> bool {
    Path::new(RECORD).exists()
}

/// Gives it the size that was noted. Not for good: the next of us does it once more.
pub fn give_back() -> anyhow::Result<()> {
    match fs::read_to_string(RECORD) {
        Ok(before) => {
            set(before.trim().parse().with_context(|| format!("{RECORD} has no number"))?)
        }
        Err(_) => Ok(()),
    }
}

/// Gives it the size that was noted, and forgets that. Done twice, it is done once.
pub fn put_back() -> anyhow::Result<()> {
    give_back()?;
    if is_noted() {
        fs::remove_file(RECORD).with_context(|| format!("can't remove {RECORD}"))?;
    }
    Ok(())
}
