//! What the program tells of a signal, and of each cgroup.

use std::time::Duration;

use super::program::{ENTRY_WORDS, LEVELS, WORDS};

/// A SIGBUS that a process's own access to memory raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Since the machine was booted (CLOCK_BOOTTIME).
    pub(super) at: Duration,
    /// The process's number as the node counts (in its container it has another).
    pub(super) process: u32,
    /// What the thread calls itself, at most 15 bytes.
    pub(super) comm: String,
    /// The id of its cgroup on the v2 hierarchy: the inode number of its directory.
    pub(super) cgroup: u64,
    /// Those above it, from the outermost; none on kernels before 5.15.
    pub(super) above: Vec<u64>,
    /// The address that it touched.
    pub(super) address: u64,
    /// `BUS_ADRERR` 2, of memory errors 4 and 5 (include/uapi/asm-generic/siginfo.h).
    pub(super) code: i32,
}

/// What the kernel has counted of a cgroup since the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The cgroup's id.
    pub(super) cgroup: u64,
    /// Signals.
    pub(super) seen: u64,
    /// When its minute began, since the machine was booted.
    pub(super) since: Duration,
    /// Signals that were delivered.
    pub(super) delivered: u64,
}

impl Event {
    /// From the program's words.
    pub(super) fn of(words: &[u64; WORDS]) -> Self {
        let [at, process, cgroup, address, code, first, second, above @ ..] = words;
        let comm: Vec<u8> = [first, second].into_iter().flat_map(|it| it.to_ne_bytes()).collect();
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        let is_above = |id: &&u64| **id != 0 && **id != *cgroup;
        let above: &[u64; LEVELS] = above;
        #[expect(clippy::cast_possible_truncation, reason = "a word's lower half")]
        let code = (*code as u32).cast_signed();
        Self {
            at: Duration::from_nanos(*at),
            // The thread group's number stands in the upper half.
            process: u32::try_from(*process >> 32).unwrap_or_default(),
            comm: printable(comm),
            cgroup: *cgroup,
            above: above.iter().filter(is_above).copied().collect(),
            address: *address,
            code,
        }
    }
}

impl Entry {
    pub(super) fn of(cgroup: u64, words: [u64; ENTRY_WORDS]) -> Self {
        let [seen, since, _, delivered] = words;
        Self { cgroup, seen, since: Duration::from_nanos(since), delivered }
    }

    /// Signals that were not delivered.
    pub(super) fn dropped(&self) -> u64 {
        // The kernel counts what is seen first.
        self.seen.saturating_sub(self.delivered)
    }
}

/// A process may call itself anything.
fn printable(comm: &[u8]) -> String {
    let text = String::from_utf8_lossy(comm);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_an_event() {
        let comm = |text: &[u8; 8]| u64::from_ne_bytes(*text);
        let [head, names] = [comm(b"post\x1bgre"), comm(b"s\0junk..")];
        let pid = (31083 << 32) | 31090;
        let start = [5_000_000_000, pid, 99, 0x7f00_0020_0000, 2, head, names];
        let above = [1, 17, 99, 0, 0, 0, 0, 0];
        let mut words = [0; WORDS];
        words.iter_mut().zip(start.into_iter().chain(above)).for_each(|(to, from)| *to = from);
        let event = Event::of(&words);
        assert_eq!(event.comm, "post\u{fffd}gres");
        assert_eq!((event.process, event.cgroup, event.code), (31083, 99, 2));
        assert_eq!(event.above, [1, 17], "neither itself nor nothing");
        assert_eq!(event.at, Duration::from_secs(5));
    }
}
