//! bpf(2): maps, the program, and the ring that it writes to.
//!
//! One of the two files with `unsafe` (the other is the probe's child): neither bpf(2) nor memory that the kernel writes to
//! has a safe interface. All of it is here, behind functions that take and give safe types; what the kernel writes is
//! read as words, never as types that could have invalid values.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_void};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

use super::program::MapKind;

/// Commands of bpf(2), `enum bpf_cmd`.
#[derive(Debug, Clone, Copy)]
enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapDelete = 3,
    MapNextKey = 4,
    ProgramLoad = 5,
    RawTracepointOpen = 17,
}

/// The kind of the program, `enum bpf_prog_type`.
const RAW_TRACEPOINT: u32 = 17;
/// The head of a record: its length, with these two bits.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

/// The arguments of a command, `union bpf_attr`, in words of 64 bits; what is left out is zero.
type Attributes = [u64; 16];

/// Two fields of 32 bits, one after the other.
fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// What the kernel may read.
fn address<T: ?Sized>(of: &T) -> u64 {
    std::ptr::from_ref(of).cast::<u8>().expose_provenance() as u64
}

/// What the kernel may write.
fn room<T: ?Sized>(of: &mut T) -> u64 {
    std::ptr::from_mut(of).cast::<u8>().expose_provenance() as u64
}

/// The attributes that begin so.
fn attributes<const N: usize>(head: [u64; N]) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.iter_mut().zip(head).for_each(|(place, word)| *place = word);
    attributes
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().unsigned_abs()
}

/// What the attributes point at is the caller's to keep, long enough, until this returns.
fn bpf(command: Command, attributes: &Attributes) -> io::Result<i32> {
    // JUSTIFICATION: there is no safe interface to bpf(2).
    // SAFETY: the attributes live for the call and their size is told. Private to this file, this is called only with pointers
    // from `address` and `room`, of values that the callers below borrow over the call. What the kernel writes to is as
    // long as it was told: a map's key or value, whose sizes are checked or made here, or the log's length.
    #[expect(unsafe_code, reason = "bpf(2)")]
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as i32, attributes.as_ptr(), size_of_val(attributes))
    };
    let result = Errno::result(result).map_err(io::Error::from)?;
    i32::try_from(result).map_err(|_| io::Error::from(Errno::EOVERFLOW))
}

fn descriptor(command: Command, attributes: &Attributes) -> io::Result<OwnedFd> {
    let raw = bpf(command, attributes)?;
    // JUSTIFICATION: bpf(2) gives a bare number.
    // SAFETY: these commands give a new descriptor, which is nobody else's.
    #[expect(unsafe_code, reason = "a new descriptor")]
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A map whose values are so many words; its key is one, but of an array half a one, which is read as 0.
#[derive(Debug)]
pub(super) struct Map<const VALUE: usize> {
    descriptor: OwnedFd,
}

impl<const VALUE: usize> Map<VALUE> {
    /// A new one.
    pub(super) fn new(kind: MapKind, entries: u32) -> io::Result<Self> {
        let value = u32::try_from(8 * VALUE).unwrap_or(u32::MAX);
        let head = attributes([pair(kind as u32, kind.key()), pair(value, entries)]);
        Ok(Self { descriptor: descriptor(Command::MapCreate, &head)? })
    }

    /// What stands there; of an array there is only what stands first.
    pub(super) fn get(&self, key: u64) -> io::Result<Option<[u64; VALUE]>> {
        let mut value = [0; VALUE];
        let result = bpf(Command::MapLookup, &self.entry(address(&key), room(&mut value)));
        Ok(unless_missing(result)?.map(|_| value))
    }

    /// The key after that one, or the first.
    pub(super) fn next_key(&self, before: Option<u64>) -> io::Result<Option<u64>> {
        let mut key = 0_u64;
        let from = before.as_ref().map_or(0, address);
        let result = bpf(Command::MapNextKey, &self.entry(from, room(&mut key)));
        Ok(unless_missing(result)?.map(|_| key))
    }

    /// Takes an entry out.
    pub(super) fn remove(&self, key: u64) -> io::Result<()> {
        unless_missing(bpf(Command::MapDelete, &self.entry(address(&key), 0))).map(drop)
    }

    fn entry(&self, key: u64, value: u64) -> Attributes {
        attributes([pair(number(self.descriptor.as_fd()), 0), key, value])
    }
}

impl<const VALUE: usize> AsFd for Map<VALUE> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn unless_missing(result: io::Result<i32>) -> io::Result<Option<i32>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Has the kernel check a program for raw tracepoints, and take it. On an error the log has what its verifier said.
pub(super) fn load(words: &[u64], licence: &CStr, log: &mut [u8]) -> io::Result<OwnedFd> {
    let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
    let length = u32::try_from(log.len()).unwrap_or(0);
    let level = u32::from(length > 0);
    let log = if length == 0 { 0 } else { room(log) };
    let (head, words, licence) = (pair(RAW_TRACEPOINT, count), address(words), address(licence));
    let all = attributes([head, words, licence, pair(level, length), log]);
    descriptor(Command::ProgramLoad, &all)
}

/// Hangs the program at that tracepoint, until the descriptor is closed.
pub(super) fn attach(program: BorrowedFd<'_>, tracepoint: &CStr) -> io::Result<OwnedFd> {
    let head = attributes([address(tracepoint), pair(number(program), 0)]);
    descriptor(Command::RawTracepointOpen, &head)
}

/// The ring, mapped: a page with how far it was read; and a page with how far it was written, before its bytes twice, one
/// after the other, so that no record is cut in two.
#[derive(Debug)]
pub(super) struct Ring {
    map: Map<0>,
    read: Mapped,
    written: Mapped,
    page: usize,
    size: usize,
}

impl Ring {
    /// A new ring of that many bytes, a power of two and whole pages.
    pub(super) fn new(size: u32) -> io::Result<Self> {
        let map = Map::new(MapKind::Ring, size)?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|page| usize::try_from(page).ok());
        let page = page.ok_or(Errno::EINVAL)?;
        let size = usize::try_from(size).map_err(|_| Errno::EOVERFLOW)?;
        let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let read = Mapped::new(map.as_fd(), 0, page, writable)?;
        let written = Mapped::new(map.as_fd(), page, page + 2 * size, ProtFlags::PROT_READ)?;
        Ok(Self { map, read, written, page, size })
    }

    /// Hands on all records that are in it now and have that many words.
    pub(super) fn drain<const WORDS: usize>(&self, mut take: impl FnMut([u64; WORDS])) {
        let mut at = self.read.word(0).load(Ordering::Relaxed);
        while at < self.written.word(0).load(Ordering::Acquire) {
            let start = self.page + (usize::try_from(at).unwrap_or(0) & (self.size - 1));
            let head = self.written.word(start).load(Ordering::Acquire).to_ne_bytes();
            let [a, b, c, d, ..] = head;
            let head = u32::from_ne_bytes([a, b, c, d]);
            let length = usize::try_from(head & !(BUSY | DISCARDED)).unwrap_or(0);
            if head & BUSY != 0 || length > self.size {
                return;
            }
            if head & DISCARDED == 0 && length == 8 * WORDS {
                let word = |index| self.written.word(start + 8 + 8 * index);
                take(std::array::from_fn(|index| word(index).load(Ordering::Relaxed)));
            }
            at += 8 + 8 * length.div_ceil(8) as u64;
            self.read.word(0).store(at, Ordering::Release);
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Memory that the kernel writes to as well.
#[derive(Debug)]
struct Mapped {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Mapped {
    fn new(of: BorrowedFd<'_>, offset: usize, length: usize, how: ProtFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        // JUSTIFICATION: the ring is read where the kernel writes it.
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        #[expect(unsafe_code, reason = "mapping the ring")]
        let start = unsafe { mmap(None, length, how, MapFlags::MAP_SHARED, of, offset) }?;
        Ok(Self { start, length })
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.length.get(), "within the mapping");
        // JUSTIFICATION: memory of the kernel's is no Rust object.
        // SAFETY: `start` is page-aligned, so the address is aligned, and it is within a mapping that lives until `self` is
        // dropped. All bits are a valid value, all access is atomic, and nothing but loads is done where it may only be read.
        #[expect(unsafe_code, reason = "a word of the ring")]
        unsafe {
            self.start.cast::<u8>().add(offset).cast::<AtomicU64>().as_ref()
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // JUSTIFICATION: there is no safe way to give a mapping back.
        // SAFETY: `start` and `length` are what mmap gave, no reference outlives `self`, and it is given back once, here.
        #[expect(unsafe_code, reason = "giving the mapping back")]
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}
