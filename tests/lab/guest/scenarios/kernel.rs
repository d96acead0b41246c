//! What a kernel spells and lacks, and that everything is told all the same.

use std::fs;

use nix::sys::utsname::uname;

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::guest::EVIDENCE;
use crate::guest::line::Task;
use crate::kubepods::{Driver, Kubepods, id};
use crate::scenarios::Named;
use crate::tenant::Tenant;

pub const EVERYWHERE: &[Named] =
    &[("spelling", spelling), ("charged_to_memory", charged_to_memory), ("report", report)];

/// Files of a cgroup for pages of 2 MiB, and the first kernel that has each.
const FILES: [(&str, (u32, u32)); 7] = [
    ("current", (5, 6)),
    ("events", (5, 6)),
    ("events.local", (5, 6)),
    ("max", (5, 6)),
    ("numa_stat", (5, 17)),
    ("rsvd.current", (5, 7)),
    ("rsvd.max", (5, 7)),
];

/// The first two numbers of the kernel's version.
fn version() -> (u32, u32) {
    let system = uname().expect("uname");
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit()).map(str::parse);
    let mut number = || numbers.next().and_then(Result::ok).expect("a kernel's version");
    (number(), number())
}

/// The files that are there, and how a limit reads that nobody has set.
fn spelling(lab: &Lab) {
    let cgroup = Cgroup::new(lab, "lab-spelling");
    let mut files: Vec<String> = fs::read_dir(cgroup.path())
        .expect("a cgroup")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter_map(|name| Some(name.strip_prefix("hugetlb.2MB.")?.to_owned()))
        .collect();
    files.sort();
    let expected: Vec<&str> =
        FILES.into_iter().filter(|(_, since)| *since <= version()).map(|(name, _)| name).collect();
    assert_eq!(files, expected);
    let [limit, reservation] =
        ["max", "rsvd.max"].map(|file| cgroup.read(&format!("hugetlb.2MB.{file}"), ""));
    for spelling in [&limit, &reservation] {
        let number = spelling.parse::<u64>().is_ok_and(|bytes| bytes >= 1 << 62);
        assert!(number || spelling == "max", "{spelling}");
    }
    let sizes: Vec<String> = fs::read_dir("/sys/kernel/mm/hugepages")
        .expect("pools")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let memory = memory_stat(&cgroup, "hugetlb").map_or("no line", |_| "a line");
    evidence::tell(
        EVIDENCE,
        format!(
            "{}; files: {}; a limit that nobody has set reads {limit}; memory.stat has {memory} hugetlb",
            sizes.join(", "),
            files.join(", "),
        ),
    );
}

/// A line of memory.stat.
fn memory_stat(cgroup: &Cgroup, name: &str) -> Option<u64> {
    let text = cgroup.read("memory.stat", "");
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Huge pages count as memory where cgroup2 is mounted so, and nowhere else.
fn charged_to_memory(lab: &Lab) {
    const PAGES: u64 = 10;
    let cgroup = Cgroup::new(lab, "lab-charged");
    let mut tenant = Tenant::new(&cgroup, "private");
    tenant.map(PAGES);
    let memory = || cgroup.read("memory.current", "").parse::<u64>().expect("a number");
    let before = memory();
    tenant.touch(PAGES);
    let charged = (memory().saturating_sub(before) >> 21) >= PAGES;
    let wanted = Task::read().expect("the task").cgroup_options.is_some();
    assert_eq!(charged, wanted, "{before} bytes of memory before, {} after", memory());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup2");
    assert_eq!(mount.contains("memory_hugetlb_accounting"), wanted, "{mount}");
    if let Some(hugetlb) = memory_stat(&cgroup, "hugetlb") {
        assert_eq!(hugetlb, if wanted { PAGES << 21 } else { 0 });
    }
}

/// What a person is told of a pod that has mapped more than it may touch.
fn report(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 10);
    let container = kubepods.container(&pod, "postgres", &id("aa"), 0);
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(16);
    let (report, code) = kubepods.report();
    assert_eq!(code, Some(2), "{report}");
    let said = report.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["will-crash", "lab/db-0", "12Mi"] {
        assert!(said.contains(words), "{words:?} is missing: {report}");
    }
}
