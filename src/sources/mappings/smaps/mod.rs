//! `/proc/PID/maps` and `/proc/PID/smaps`, line by line. No input panics, and an odd mapping costs only itself.
//!
//! ```text
//! 7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 226884                     /anon_hugepage (deleted)
//! Size:             204800 kB
//! KernelPageSize:     2048 kB
//! …
//! Shared_Hugetlb:        0 kB
//! Private_Hugetlb:       0 kB
//! …
//! VmFlags: rd wr mr mw me de nr ht
//! ```
//!
//! In smaps a field begins with a capital letter and a mapping's first line does not; in maps there are first lines
//! only. Names are anyone's: they come last and are looked at for one prefix (docs/adr/0003).

use std::io::{self, BufRead};

use crate::units::{Bytes, PageSize};

/// More mappings than a process usually may have, 65,530 (`vm.max_map_count`).
pub(super) const MOST_MAPPINGS: usize = 70_000;

/// One mapping of huge pages in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vma {
    /// What is mapped.
    pub(super) object: Object,
    /// Where in it the mapping begins and ends, in bytes.
    pub(super) range: (u64, u64),
    /// `Shared_Hugetlb:` and `Private_Hugetlb:`, in bytes.
    pub(super) touched: u64,
}

/// What the mappings of several processes must have in common to be mappings of the same pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    /// `00:11`: the hugetlbfs it lies on.
    pub(super) device: (i32, i32),
    /// `226884`; of a System V segment its id, which may be the inode number of another file there.
    pub(super) inode: u64,
    /// Whether it is a System V segment, or a file that calls itself one.
    pub(super) segment: bool,
    /// `KernelPageSize:     2048 kB`
    pub(super) page_size: PageSize,
    /// `rw-s`
    pub(super) shared: bool,
    /// No `nr` in `VmFlags:`
    pub(super) reserved: bool,
}

/// A file's mappings of huge pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that may be touched; `PROT_NONE` keeps addresses, not pages.
    pub(super) vmas: Vec<Vma>,
    /// How many were not understood.
    pub(super) odd: usize,
    /// There were more mappings than are read.
    pub(super) cut: bool,
}

/// Every mapping of huge pages in a smaps file.
pub(super) fn read(mut smaps: impl BufRead) -> io::Result<Found> {
    let mut found = Found::default();
    let mut draft = Draft::default();
    let mut mappings = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = smaps.read_until(b'\n', &mut line)? == 0;
        if !end && is_field(&line) {
            draft.add(&line);
            continue;
        }
        found.take(&std::mem::take(&mut draft));
        mappings += 1;
        found.cut = !end && mappings > MOST_MAPPINGS;
        if end || found.cut {
            return Ok(found);
        }
        draft.first = FirstLine::parse(&line);
    }
}

/// Whether a maps file may tell of huge pages. Unlike smaps it makes the kernel walk no page tables.
///
/// Every mapping of huge pages is one of a file on a hugetlbfs, of which each has a device number of its own with
/// major number 0; it begins and ends at a whole huge page, in memory and in the file. A file system without
/// a disk may look the same by chance. What is not understood may be anything.
pub(super) fn may_have_huge_pages(mut maps: impl BufRead, smallest: u64) -> io::Result<bool> {
    let mut line = Vec::new();
    for _ in 0..MOST_MAPPINGS {
        line.clear();
        if maps.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        match FirstLine::parse(&line) {
            Some(first) if !first.may_be_huge(smallest) => {}
            _ => return Ok(true),
        }
    }
    // smaps will say that there are too many.
    Ok(true)
}

impl Found {
    fn take(&mut self, draft: &Draft) {
        if !draft.huge {
            return;
        }
        match draft.finish() {
            Some(_) if draft.first.is_some_and(|first| !first.accessible) => {}
            Some(vma) => self.vmas.push(vma),
            None => self.odd += 1,
        }
    }
}

/// A mapping of which some lines have been read.
#[derive(Debug, Clone, Copy, Default)]
struct Draft {
    first: Option<FirstLine>,
    page_size: Option<PageSize>,
    shared: Option<u64>,
    private: Option<u64>,
    /// `ht` in `VmFlags:`
    huge: bool,
    /// `nr` there
    no_reserve: bool,
}

impl Draft {
    fn add(&mut self, line: &[u8]) {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match words.next() {
            Some(b"KernelPageSize:") => {
                self.page_size = kilobytes(words).and_then(PageSize::from_bytes);
            }
            Some(b"Shared_Hugetlb:") => self.shared = kilobytes(words),
            Some(b"Private_Hugetlb:") => self.private = kilobytes(words),
            Some(b"VmFlags:") => {
                for flag in words {
                    self.huge |= flag == b"ht";
                    self.no_reserve |= flag == b"nr";
                }
            }
            _ => {}
        }
    }

    fn finish(&self) -> Option<Vma> {
        let first = self.first?;
        let object = Object {
            device: first.device,
            inode: first.inode,
            segment: first.segment,
            page_size: self.page_size?,
            shared: first.shared,
            reserved: !self.no_reserve,
        };
        let end = first.offset.checked_add(first.size())?;
        let Bytes(touched) = Bytes(self.shared?).checked_add(Bytes(self.private?))?;
        Some(Vma { object, range: (first.offset, end), touched })
    }
}

/// `7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 226884                     /anon_hugepage (deleted)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FirstLine {
    start: u64,
    end: u64,
    /// Not `---p`, `---s`
    accessible: bool,
    shared: bool,
    offset: u64,
    device: (i32, i32),
    inode: u64,
    segment: bool,
}

impl FirstLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let mut word = || std::str::from_utf8(words.next()?).ok();
        let (start, end) = word()?.split_once('-')?;
        let (start, end) = (hex(start)?, hex(end)?);
        let permissions = word()?;
        let shared = match permissions.as_bytes() {
            [_, _, _, b's'] => true,
            [_, _, _, b'p'] => false,
            _ => return None,
        };
        let offset = hex(word()?)?;
        let (major, minor) = word()?.split_once(':')?;
        let device = (hex(major)?.try_into().ok()?, hex(minor)?.try_into().ok()?);
        let inode = word()?.trim_end().parse().ok()?;
        let segment = words.next().is_some_and(|name| name.trim_ascii().starts_with(b"/SYSV"));
        let accessible = !permissions.starts_with("---");
        let line = Self { start, end, accessible, shared, offset, device, inode, segment };
        (start < end).then_some(line)
    }

    fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn may_be_huge(&self, smallest: u64) -> bool {
        let whole = |bytes: u64| bytes.checked_rem(smallest).is_none_or(|rest| rest == 0);
        let (major, minor) = self.device;
        major == 0 && minor != 0 && whole(self.start) && whole(self.end) && whole(self.offset)
    }
}

fn is_field(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_uppercase)
}

/// Digits alone, without the sign that `from_str_radix` takes.
fn hex(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

/// `2048 kB`, in bytes
fn kilobytes<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let number: u64 = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    if words.next()? == b"kB" { number.checked_mul(1024) } else { None }
}

#[cfg(test)]
mod tests;
