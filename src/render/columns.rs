//! The words at the heads of tables, each with what it means: the same in the report and on the page.

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its head.
    pub(super) word: &'static str,
    /// What stands in it.
    pub(super) means: &'static str,
}

const fn column(word: &'static str, means: &'static str) -> Column {
    Column { word, means }
}

/// The figures of a pod, a container or a service.
pub(super) const TENANT: [Column; 7] = [
    column("size", "The size of the pages."),
    column(
        "limit",
        "What its own cgroup may touch; a touch beyond is SIGBUS. none: only limits above count.",
    ),
    column("mapped", "Mapped by its processes, touched or not (the kernel's rsvd.current)."),
    column("touched", "Touched by its processes and not given back (the kernel's current)."),
    column(
        "left",
        "What it can still touch: the least that a limit here or above, or the pool, leaves.",
    ),
    column("short", "Mapped, and can't be touched: a SIGBUS to come. perhaps: it can't be told."),
    column("refused", "Refused pages, over restarts: touches (SIGBUS) and mappings (ENOMEM)."),
];

/// The memory of a pod or a container, where huge pages count as memory.
pub(super) const MEMORY: [Column; 4] = [
    column("limit", "Its limit of memory, memory.max. Huge pages count against it too."),
    column(
        "charged",
        "What is charged to it now, huge pages and caches included; - where all that is mapped is touched.",
    ),
    column(
        "to come",
        "Huge pages mapped and still to be touched, as far as their limits and the pool let.",
    ),
    column(
        "short",
        "What the limit is too small by: who touches the rest hangs. perhaps: it can't be told.",
    ),
];

/// Who holds the pages of a pool. What they hold, and what is free, make up the total.
pub(super) const POOL: [Column; 8] = [
    column("total", "All pages of the pool, surplus pages included."),
    column("pods", "Touched, and charged to pods."),
    column("services", "Touched, and charged to other cgroups: services, virtual machines."),
    column(
        "orphaned",
        "Touched, and charged to kubepods but to no living pod: files that outlived theirs.",
    ),
    column(
        "unexplained",
        "Touched, and charged to no cgroup seen here: host processes, files that nobody maps.",
    ),
    column("free", "Touched by nobody."),
    column(
        "reserved",
        "Free, but mapped by somebody and not yet touched. Not known of NUMA nodes.",
    ),
    column("available", "Free and not reserved: what a new mapping can get."),
];

/// What the touch-probe found.
pub(super) const PROBE: [Column; 5] = [
    column("size", "The size of the page that is asked for."),
    column("tried", "A page is touched, or pages are only mapped."),
    column("verdict", "Whether a limit refused it, as it must."),
    column("in a row", "How many probes in a row came to that verdict."),
    column("last tried", "When the last probe ended, and how long it took."),
];
