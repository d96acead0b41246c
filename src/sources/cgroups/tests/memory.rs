//! What the memory controller says is read where huge pages count as memory, and nowhere else.

use super::*;
use crate::snapshot::{CgroupMemory, CgroupMount, MemoryEvents};

const STAT: &str = "anon 1048576\nfile 8192\nkernel 4096\nslab_reclaimable 1024\nshmem 4096\ninactive_file 2048\nactive_file 2048\nunevictable 0\n";
const CHAIN: [&str; 3] = ["k", "k/p", "k/p/c"];

/// Mounted with these options; the last of three has mapped four pages and touched one. A neighbour holds none.
fn mounted(version: CgroupVersion, options: &str) -> Example {
    let mut example = Example::of(version, &["k", "k/p", "k/p/c", "k/idle"]);
    let controllers = "cpu memory hugetlb";
    fs::write(example.at("cgroup.controllers"), controllers).expect("written");
    mount(&example, options);
    for path in ["k", "k/p", "k/p/c", "k/idle"] {
        for name in ["memory.max", "memory.current", "memory.events", "memory.stat"] {
            write(&example, path, name, "not to be read");
        }
    }
    example.use_pages(&CHAIN, 1);
    if version == CgroupVersion::V2 {
        CHAIN.iter().for_each(|path| example.write(path, "rsvd.current", &(4 << 21).to_string()));
    }
    example.after(20);
    example
}

fn mount(example: &Example, options: &str) {
    let directory = example.directory.path().display();
    let lines = format!(
        "1 0 0:1 / / rw - ext4 /dev/vda rw\n29 1 0:26 / {directory} rw,nosuid shared:4 - cgroup2 cgroup2 {options}\n"
    );
    fs::create_dir_all(example.at("nothing/self")).expect("made");
    fs::write(example.at("nothing/self/mountinfo"), lines).expect("written");
}

fn write(example: &Example, path: &str, name: &str, text: &str) {
    fs::write(example.at(path).join(name), text).expect("written");
}

/// Limits of so many MiB, and usage.
fn memory(example: &Example, limit: u64, usage: u64) {
    for path in CHAIN {
        write(example, path, "memory.max", &(limit << 20).to_string());
        write(example, path, "memory.current", &(usage << 20).to_string());
        write(example, path, "memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n");
    }
}

fn of(example: &Example, path: &str) -> Option<CgroupMemory> {
    let cgroup = example.shown.iter().find(|cgroup| &*cgroup.path == path).expect("it is shown");
    cgroup.memory.as_deref().copied()
}

#[test]
fn nothing_is_read_where_huge_pages_do_not_count_as_memory() {
    let on = "rw,memory_hugetlb_accounting";
    for (version, options) in [(CgroupVersion::V2, "rw,nsdelegate"), (CgroupVersion::V1, on)] {
        let example = mounted(version, options);
        assert_eq!(example.problems, Health::Up, "{version}");
        assert_eq!(example.cgroups.accounting(), MemoryAccounting::Off, "{version}");
        assert!(example.shown.iter().all(|cgroup| cgroup.memory.is_none()), "{version}");
    }
}

#[test]
fn without_the_memory_controller_nothing_counts_as_memory() {
    let mut example = mounted(CgroupVersion::V2, "rw");
    fs::write(example.at("cgroup.controllers"), "cpu hugetlb").expect("written");
    mount(&example, "rw,memory_hugetlb_accounting");
    example.after(30);
    assert_eq!(example.cgroups.accounting(), MemoryAccounting::Off);
}

#[test]
fn a_remount_is_seen_within_30_seconds() {
    let mut example = mounted(CgroupVersion::V2, "rw,nsdelegate");
    memory(&example, 64, 4);
    mount(&example, "rw,nsdelegate,memory_hugetlb_accounting");
    example.after(26);
    let point = example.directory.path().display().to_string();
    let options = ["rw", "nosuid", "rw", "nsdelegate", "memory_hugetlb_accounting"];
    let mount_of = CgroupMount { point, options: options.map(str::to_owned).to_vec() };
    assert_eq!(example.cgroups.accounting(), MemoryAccounting::On(mount_of));
    assert!(of(&example, "/k/p/c").is_some());
    mount(&example, "rw,nsdelegate");
    example.after(26);
    assert_eq!(example.cgroups.accounting(), MemoryAccounting::Off);
    assert!(example.shown.iter().all(|cgroup| cgroup.memory.is_none()));
    assert_eq!(example.problems, Health::Up, "and the idle one was never read");
}

#[test]
fn the_statistics_are_read_where_the_limit_leaves_less_than_is_still_to_be_touched() {
    let mut example = mounted(CgroupVersion::V2, "rw");
    mount(&example, "rw,memory_hugetlb_accounting");
    // Three pages are still to be touched.
    memory(&example, 10, 4);
    example.after(26);
    assert_eq!(example.problems, Health::Up);
    let ample = of(&example, "/k/p/c").expect("read");
    assert_eq!(ample.limit, at(10 << 20));
    assert_eq!(ample.usage, Reading::Present(Bytes(4 << 20)));
    let events = MemoryEvents { max: 7, oom: 2, oom_kill: 1 };
    assert_eq!(ample.events, Reading::Present(events));
    assert_eq!(ample.stat, Reading::Absent);

    memory(&example, 9, 4);
    CHAIN.iter().for_each(|path| write(&example, path, "memory.stat", STAT));
    example.read();
    let short = of(&example, "/k/p").expect("read").stat.present().expect("read");
    assert_eq!((short.anon, short.shmem), (Bytes(1 << 20), Bytes(4096)));
    assert_eq!((short.kernel, short.hugetlb), (Reading::Present(Bytes(4096)), Reading::Absent));
    assert_eq!(short.reclaimable(), Bytes(5120));
}

#[test]
fn where_all_is_touched_the_limit_alone_is_read() {
    let mut example = mounted(CgroupVersion::V2, "rw");
    mount(&example, "rw,memory_hugetlb_accounting");
    CHAIN.iter().for_each(|path| write(&example, path, "memory.max", "max"));
    CHAIN.iter().for_each(|path| example.write(path, "rsvd.current", "2097152"));
    example.after(26);
    assert_eq!(example.problems, Health::Up);
    let touched = of(&example, "/k/p/c").expect("read");
    assert_eq!(
        (touched.limit, touched.usage),
        (Reading::Present(Limit::Unlimited), Reading::Absent)
    );
}

#[test]
fn an_unlimited_cgroup_needs_no_more_than_that() {
    let mut example = mounted(CgroupVersion::V2, "rw");
    mount(&example, "rw,memory_hugetlb_accounting");
    CHAIN.iter().for_each(|path| write(&example, path, "memory.max", "max"));
    example.after(26);
    assert_eq!(example.problems, Health::Up);
    write(&example, "k/p", "memory.max", "?");
    example.read();
    assert_eq!(of(&example, "/k/p").expect("read").limit, Reading::Failed);
    assert!(matches!(example.problems, Health::Down(_)));
}
