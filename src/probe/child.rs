//! The process that maps and touches: a tenant that does as it is told.
//!
//! It is this program executed anew, so no Rust runs after a fork, and it does nothing until it is told on
//! stdin; by then whoever started it has put it into a cgroup. A refused touch ends it by SIGBUS, which is
//! an outcome, not an error.
//!
//! ```text
//! > map 100        < mapped | refused ENOMEM
//! > touch 64       < touched 64, or death by signal 7; pages that were touched are not touched again
//! > unmap          < unmapped
//! ```
//!
//! The only file with `unsafe`: mappings and shared memory have no safe interface.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::{self, c_void};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::close;

use super::order::{Mapping, Order};
use crate::units::Pages;

/// What keeps the child from doing as it is told.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not make itself harmless first.
    #[error("can't prepare the process")]
    Prepare(#[source] Errno),
    /// Its parent is gone or wrote something else.
    #[error("can't talk to the parent")]
    Talk(#[from] io::Error),
    /// An order it does not know.
    #[error("expected `map PAGES`, `touch PAGES` or `unmap`, found {0:?}")]
    Order(String),
}

/// Does as it is told until stdin ends.
pub fn run(order: &Order) -> Result<(), ChildError> {
    prepare().map_err(ChildError::Prepare)?;
    let mut mapped: Option<Mapped> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let unknown = || ChildError::Order(line.clone());
        let answer = match line.split_once(' ').unwrap_or((&line, "")) {
            ("map", pages) => {
                // One mapping at a time; the one before goes first.
                drop(mapped.take());
                match Mapped::new(order, Pages(pages.parse().map_err(|_| unknown())?)) {
                    Ok(new) => {
                        mapped = Some(new);
                        "mapped".to_owned()
                    }
                    Err(errno) => format!("refused {errno:?}"),
                }
            }
            ("touch", pages) => {
                let pages = pages.parse().map_err(|_| unknown())?;
                format!("touched {}", mapped.as_mut().ok_or_else(unknown)?.touch(pages))
            }
            ("unmap", "") => {
                drop(mapped.take());
                "unmapped".to_owned()
            }
            _ => return Err(unknown()),
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Ends with its parent, leaves no core, is nobody's to look into, and dies of SIGBUS at once.
fn prepare() -> nix::Result<()> {
    // JUSTIFICATION: Rust's runtime handles SIGBUS to find stack overflows; for any other it resets the signal
    // and returns, the touch is tried again, and the kernel counts one refusal twice.
    // SAFETY: the default action is no handler of ours, and no other thread runs.
    #[expect(unsafe_code, reason = "the default action for SIGBUS")]
    unsafe {
        signal(Signal::SIGBUS, SigHandler::SigDfl)?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    close_all_but_standard();
    prctl::set_dumpable(false)
}

/// Whoever started us marks its descriptors to be closed, but those it inherited itself may not be.
fn close_all_but_standard() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // That of the listing itself is closed already.
        let _ = close(descriptor);
    }
}

/// Mapped huge pages.
struct Mapped {
    start: NonNull<c_void>,
    length: NonZeroUsize,
    page: usize,
    /// How many of its pages are touched.
    touched: usize,
    /// A System V segment is detached, not unmapped.
    attached: bool,
}

impl Mapped {
    fn new(order: &Order, pages: Pages) -> nix::Result<Self> {
        let bytes = pages.bytes(order.pagesize).ok_or(Errno::EOVERFLOW)?;
        let length =
            usize::try_from(bytes.0).ok().and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
        let page = usize::try_from(order.pagesize.bytes().0).map_err(|_| Errno::EOVERFLOW)?;
        let log2 = order.pagesize.bytes().0.trailing_zeros();
        let huge = MapFlags::map_hugetlb_with_size_log2(log2).ok_or(Errno::EINVAL)?;
        let reserve = if order.noreserve { MapFlags::MAP_NORESERVE } else { MapFlags::empty() };
        let start = match order.mapping {
            Mapping::Private => map_anonymous(length, MapFlags::MAP_PRIVATE | huge | reserve),
            Mapping::Shared => map_anonymous(length, MapFlags::MAP_SHARED | huge | reserve),
            Mapping::File => {
                let path = order.file.as_ref().ok_or(Errno::EINVAL)?;
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path);
                map_file(length, reserve, &file.map_err(|error| errno_of(&error))?)
            }
            Mapping::Memfd => {
                let file = File::from(huge_memfd(log2)?);
                file.set_len(bytes.0).map_err(|error| errno_of(&error))?;
                map_file(length, reserve, &file)
            }
            Mapping::SysV => attach_segment(length, log2, order.noreserve, order.segment),
        }?;
        Ok(Self { start, length, page, touched: 0, attached: order.mapping == Mapping::SysV })
    }

    /// Writes into each of the first `pages` pages, as many as there are, unless it has already; says how many
    /// of them are touched.
    fn touch(&mut self, pages: usize) -> usize {
        let offsets = (0..self.length.get()).step_by(self.page).take(pages);
        let count = offsets.len();
        for offset in offsets.skip(self.touched) {
            // JUSTIFICATION: touching is what this process is for, and a mapping is no Rust object.
            // SAFETY: `start` is the beginning of a writable mapping of `length` bytes that lives until
            // `self` is dropped, `offset` is below `length`, and no reference into it exists. The write is
            // volatile so that it happens. If the kernel refuses the page, SIGBUS ends this process.
            #[expect(unsafe_code, reason = "touching a mapping")]
            unsafe {
                self.start.cast::<u8>().add(offset).write_volatile(1);
            }
        }
        self.touched = self.touched.max(count);
        count
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // JUSTIFICATION: there is no safe way to give a mapping back.
        // SAFETY: `start` and `length` are what mmap or shmat gave, nothing refers into it, and it is given
        // back once, here.
        #[expect(unsafe_code, reason = "giving a mapping back")]
        unsafe {
            // Neither fails with these arguments; and the process that holds the pages is about to end.
            if self.attached {
                libc::shmdt(self.start.as_ptr());
            } else {
                let _ = munmap(self.start, self.length.get());
            }
        }
    }
}

fn map_anonymous(length: NonZeroUsize, flags: MapFlags) -> nix::Result<NonNull<c_void>> {
    // JUSTIFICATION: the kind of mapping is the point.
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
    #[expect(unsafe_code, reason = "mapping huge pages")]
    unsafe {
        mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags)
    }
}

fn map_file(
    length: NonZeroUsize,
    reserve: MapFlags,
    file: &impl AsFd,
) -> nix::Result<NonNull<c_void>> {
    // JUSTIFICATION: the kind of mapping is the point.
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours. Another process
    // may write to the file; we read nothing from it.
    #[expect(unsafe_code, reason = "mapping huge pages")]
    unsafe {
        mmap(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED | reserve,
            file,
            0,
        )
    }
}

/// The page size's power of two stands in the top bits of the flags (MFD_HUGE_SHIFT in linux/memfd.h).
fn huge_memfd(log2: u32) -> nix::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB | (log2 << 26);
    // JUSTIFICATION: nix knows only two page sizes here.
    // SAFETY: the name is a C string with static life; a descriptor that is not -1 is ours alone.
    #[expect(unsafe_code, reason = "a memfd of any page size")]
    unsafe {
        let descriptor = Errno::result(libc::memfd_create(c"touch-child".as_ptr(), flags))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// A segment: one of our own, that goes when the last process that has it attached goes, or one that has a key.
fn attach_segment(
    length: NonZeroUsize,
    log2: u32,
    noreserve: bool,
    key: Option<libc::key_t>,
) -> nix::Result<NonNull<c_void>> {
    let size = i32::try_from(log2).map_err(|_| Errno::EINVAL)? << 26; // SHM_HUGE_SHIFT in linux/shm.h
    let reserve = if noreserve { libc::SHM_NORESERVE } else { 0 };
    // JUSTIFICATION: nix has no System V shared memory.
    // SAFETY: no pointer is passed in but null, which asks the kernel for an address; the address that comes
    // back is checked against (void*)-1. Marked for removal at once, a segment of our own can't be left behind.
    #[expect(unsafe_code, reason = "System V shared memory")]
    unsafe {
        let flags = libc::IPC_CREAT | libc::SHM_HUGETLB | 0o600 | size | reserve;
        let id =
            Errno::result(libc::shmget(key.unwrap_or(libc::IPC_PRIVATE), length.get(), flags))?;
        let address = libc::shmat(id, std::ptr::null(), 0);
        let error = Errno::last();
        if key.is_none() {
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
        }
        if address.addr() == usize::MAX {
            Err(error)
        } else {
            NonNull::new(address).ok_or(Errno::EINVAL)
        }
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
