//! The node's huge-page pools and what /proc says of them.

use super::Reading;
use crate::units::{Bytes, NumaNode, PageSize, Pages, SignedBytes, SignedPages};

/// The pool of one page size, `/sys/kernel/mm/hugepages/hugepages-2048kB`
/// (Documentation/admin-guide/mm/hugetlbpage.rst).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The size of its pages.
    pub page_size: PageSize,
    /// Pages in the pool, surplus included: `nr_hugepages`.
    pub size: Reading<Pages>,
    /// Pages nobody has touched, reserved ones included: `free_hugepages`.
    pub free: Reading<Pages>,
    /// Pages promised to a mapping and not yet touched, a part of the free ones: `resv_hugepages`. Some kernels lose
    /// count of them, down to below zero.
    pub reserved: Reading<SignedPages>,
    /// Pages above the persistent pool, given back when freed: `surplus_hugepages`.
    pub surplus: Reading<Pages>,
    /// How many surplus pages there may be: `nr_overcommit_hugepages`.
    pub overcommit_limit: Reading<Pages>,
    /// The pool by NUMA node, lowest first. The kernel keeps no reservation for each node.
    pub nodes: Vec<NumaPool>,
}

/// One NUMA node's part of a pool, `/sys/devices/system/node/node0/hugepages/hugepages-2048kB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumaPool {
    /// The node.
    pub node: NumaNode,
    /// Pages on it: `nr_hugepages`.
    pub size: Reading<Pages>,
    /// Pages on it that nobody has touched: `free_hugepages`.
    pub free: Reading<Pages>,
    /// Surplus pages on it: `surplus_hugepages`.
    pub surplus: Reading<Pages>,
}

impl Pool {
    /// Whether there is no page of that size, and none may be made: whoever wants one gets none, whatever its limits.
    pub fn is_empty(&self) -> bool {
        let none = Reading::Present(Pages(0));
        self.size == none && [none, Reading::Absent].contains(&self.overcommit_limit)
    }

    /// Free pages that no mapping was promised. Absent or failed where one of the two is. It is what the kernel goes by,
    /// right or wrong, when it is asked for a mapping.
    pub fn available(&self) -> Reading<Pages> {
        match (self.free, self.reserved) {
            (Reading::Present(free), Reading::Present(reserved)) => {
                // The two files are read one after the other; between them a reservation may be made.
                Reading::Present(free.checked_sub(reserved.at_least_none()).unwrap_or_default())
            }
            (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// Surplus pages that may still be made, if the memory can be found.
    pub fn overcommit_room(&self) -> Reading<Pages> {
        match (self.overcommit_limit, self.surplus) {
            (Reading::Present(limit), Reading::Present(surplus)) => {
                // Shrinking a pool in use makes surplus pages, however many the limit allows.
                Reading::Present(limit.checked_sub(surplus).unwrap_or_default())
            }
            (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
            _ => Reading::Absent,
        }
    }

    /// The pages that are promised to a mapping, in bytes, none where they were counted down below zero.
    pub fn reserved_bytes(&self) -> Reading<Bytes> {
        self.bytes(self.reserved.map(SignedPages::at_least_none))
    }

    /// The same as the kernel counts them.
    pub fn counted_reserved_bytes(&self) -> Reading<SignedBytes> {
        self.reserved.and_then(|pages| pages.bytes(self.page_size))
    }

    /// A number of this pool's pages, in bytes.
    pub fn bytes(&self, pages: Reading<Pages>) -> Reading<Bytes> {
        pages.and_then(|pages| pages.bytes(self.page_size))
    }
}

/// What `/proc/meminfo` and `/proc/vmstat` say of huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Whether there is a meminfo: a procfs may show processes alone (subset=pid).
    pub has_meminfo: bool,
    /// The size that a mapping gets that names none, meminfo `Hugepagesize:       2048 kB`.
    pub default_page_size: Reading<PageSize>,
    /// Memory in all pools together, meminfo `Hugetlb:         1024000 kB`.
    pub hugetlb: Reading<Bytes>,
    /// How the kernel fared when it made new huge pages.
    pub buddy_allocations: BuddyAllocations,
}

/// Huge pages asked of the page allocator, since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuddyAllocations {
    /// vmstat `htlb_buddy_alloc_success 500`.
    pub successes: Reading<u64>,
    /// vmstat `htlb_buddy_alloc_fail 0`: memory was too fragmented or too full.
    pub failures: Reading<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(free: Reading<Pages>, reserved: Reading<SignedPages>) -> Pool {
        Pool {
            page_size: PageSize::from_bytes(2 << 20).expect("a power of two"),
            size: Reading::Present(Pages(500)),
            free,
            reserved,
            surplus: Reading::Absent,
            overcommit_limit: Reading::Absent,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn reserved_pages_are_a_part_of_the_free_ones() {
        let seed = pool(Reading::Present(Pages(436)), Reading::Present(SignedPages(36)));
        assert_eq!(seed.available(), Reading::Present(Pages(400)));
        assert_eq!(seed.bytes(seed.available()), Reading::Present(Bytes(400 * (2 << 20))));
    }

    #[test]
    fn a_reservation_made_between_two_reads_is_no_negative_pool() {
        assert_eq!(
            pool(Reading::Present(Pages(1)), Reading::Present(SignedPages(2))).available(),
            Reading::Present(Pages(0))
        );
    }

    #[test]
    fn what_was_counted_down_below_zero_is_promised_to_nobody() {
        let lost = pool(Reading::Present(Pages(7)), Reading::Present(SignedPages(-1)));
        assert_eq!(lost.available(), Reading::Present(Pages(7)));
        assert_eq!(lost.reserved_bytes(), Reading::Present(Bytes::ZERO));
        assert_eq!(lost.counted_reserved_bytes(), Reading::Present(SignedBytes(-(2 << 20))));
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        assert_eq!(pool(Reading::Failed, Reading::Absent).available(), Reading::Failed);
        assert_eq!(pool(Reading::Present(Pages(1)), Reading::Absent).available(), Reading::Absent);
    }
}
