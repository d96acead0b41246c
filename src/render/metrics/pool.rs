//! The node's pools.

use super::samples::{Samples, bytes, count};
use super::{Collect, Family, Kind};
use crate::assessment::PoolState;
use crate::snapshot::{NumaPool, Pool, Reading};
use crate::units::{Bytes, Pages, SignedBytes};
use crate::view::View;

const PAGESIZE: &[&str] = &["pagesize"];
const NUMA: &[&str] = &["pagesize", "numa_node"];

const fn gauge(name: &'static str, help: &'static str, collect: fn(&View, &mut Samples)) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: PAGESIZE, collect: Collect::Own(collect) }
}

const fn numa(name: &'static str, help: &'static str, collect: fn(&View, &mut Samples)) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: NUMA, collect: Collect::Own(collect) }
}

const fn node(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    collect: fn(&View, &mut Samples),
) -> Family {
    Family { name, kind, help, labels: &[], collect: Collect::Own(collect) }
}

pub(super) const FAMILIES: &[Family] = &[
    gauge("hugetlb_page_size_bytes", "The size of one huge page of this pool.", |view, samples| {
        for pool in &view.snapshot.pools {
            samples.push([&pool.page_size.to_string()], pool.page_size.bytes().as_f64());
        }
    }),
    gauge(
        "hugetlb_pool_size_bytes",
        "Huge pages in the node's pool, surplus included (/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages).",
        |view, samples| each(view, samples, |pool| pool.size),
    ),
    gauge(
        "hugetlb_pool_free_bytes",
        "Huge pages touched by nobody, reserved ones included (free_hugepages).",
        |view, samples| each(view, samples, |pool| pool.free),
    ),
    gauge(
        "hugetlb_pool_reserved_bytes",
        "Free huge pages that are mapped and not yet touched (resv_hugepages). Below zero where the kernel has lost count of them.",
        |view, samples| {
            for pool in &view.snapshot.pools {
                let reserved = pool.counted_reserved_bytes().present().map(SignedBytes::as_f64);
                samples.push_some([&pool.page_size.to_string()], reserved);
            }
        },
    ),
    gauge(
        "hugetlb_pool_available_bytes",
        "Huge pages available to a new mapping: free less reserved, as the kernel counts them.",
        |view, samples| each(view, samples, Pool::available),
    ),
    gauge(
        "hugetlb_pool_surplus_bytes",
        "Huge pages above the persistent pool, given back when freed (surplus_hugepages).",
        |view, samples| each(view, samples, |pool| pool.surplus),
    ),
    gauge(
        "hugetlb_pool_overcommit_limit_bytes",
        "How many surplus huge pages there may be (nr_overcommit_hugepages).",
        |view, samples| each(view, samples, |pool| pool.overcommit_limit),
    ),
    gauge(
        "hugetlb_pool_promised_bytes",
        "What pods were granted of this size: the sum of their limits.",
        |view, samples| each_state(view, samples, |state| state.promised),
    ),
    gauge(
        "hugetlb_pool_unfilled_bytes",
        "What pods were granted and have not mapped yet.",
        |view, samples| each_state(view, samples, |state| state.unfilled),
    ),
    gauge(
        "hugetlb_pool_shortfall_bytes",
        "What of the unfilled grants the pool could not give now: unfilled less available.",
        |view, samples| each_state(view, samples, |state| state.shortfall),
    ),
    gauge(
        "hugetlb_pool_orphaned_bytes",
        "Huge pages charged to kubepods and to no pod that is there: files that outlived their pod.",
        |view, samples| each_state(view, samples, |state| state.orphaned),
    ),
    gauge(
        "hugetlb_pool_unattributed_bytes",
        "Huge pages in use that are charged to no cgroup seen here: host processes, and files that nobody maps.",
        |view, samples| each_state(view, samples, |state| state.unattributed),
    ),
    gauge(
        "hugetlb_pool_unattributed_reserved_bytes",
        "Huge pages reserved and not yet touched that are charged to no cgroup seen here: hugetlbfs mounts with a min_size, and host processes.",
        |view, samples| each_state(view, samples, |state| state.unattributed_reserved),
    ),
    numa(
        "hugetlb_numa_pool_size_bytes",
        "Huge pages on a NUMA node (/sys/devices/system/node/node*/hugepages/hugepages-*/nr_hugepages).",
        |view, samples| each_node(view, samples, |part| part.size),
    ),
    numa(
        "hugetlb_numa_pool_free_bytes",
        "Huge pages on a NUMA node touched by nobody, reserved ones included (free_hugepages). The kernel keeps no reservation by node.",
        |view, samples| each_node(view, samples, |part| part.free),
    ),
    numa(
        "hugetlb_numa_pool_surplus_bytes",
        "Surplus huge pages on a NUMA node (surplus_hugepages).",
        |view, samples| each_node(view, samples, |part| part.surplus),
    ),
    node(
        "hugetlb_default_page_size_bytes",
        Kind::Gauge,
        "The page size a huge mapping gets that names none (/proc/meminfo Hugepagesize).",
        |view, samples| {
            let size = view.snapshot.memory.default_page_size.map(|page_size| page_size.bytes());
            samples.push_some([], bytes(size));
        },
    ),
    node(
        "hugetlb_memory_bytes",
        Kind::Gauge,
        "Memory in the huge-page pools of all sizes together (/proc/meminfo Hugetlb).",
        |view, samples| samples.push_some([], bytes(view.snapshot.memory.hugetlb)),
    ),
    node(
        "hugetlb_buddy_allocation_successes_total",
        Kind::Counter,
        "Huge pages the kernel made for the pools since boot (/proc/vmstat htlb_buddy_alloc_success).",
        |view, samples| {
            samples.push_some([], count(view.snapshot.memory.buddy_allocations.successes));
        },
    ),
    node(
        "hugetlb_buddy_allocation_failures_total",
        Kind::Counter,
        "Huge pages the kernel could not make since boot, memory being fragmented or full (/proc/vmstat htlb_buddy_alloc_fail).",
        |view, samples| {
            samples.push_some([], count(view.snapshot.memory.buddy_allocations.failures));
        },
    ),
];

fn each(view: &View, samples: &mut Samples, pages: impl Fn(&Pool) -> Reading<Pages>) {
    for pool in &view.snapshot.pools {
        samples.push_some([&pool.page_size.to_string()], bytes(pool.bytes(pages(pool))));
    }
}

fn each_state(view: &View, samples: &mut Samples, figure: impl Fn(&PoolState) -> Reading<Bytes>) {
    for state in &view.assessment.pools {
        samples.push_some([&state.page_size.to_string()], bytes(figure(state)));
    }
}

fn each_node(view: &View, samples: &mut Samples, pages: impl Fn(&NumaPool) -> Reading<Pages>) {
    for pool in &view.snapshot.pools {
        for part in &pool.nodes {
            samples.push_some(
                [&pool.page_size.to_string(), &part.node.to_string()],
                bytes(pool.bytes(pages(part))),
            );
        }
    }
}
