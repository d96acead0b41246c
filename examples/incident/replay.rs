//! The incident on a node made of files.

#![allow(clippy::expect_used, reason = "the files are its own")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::machine::Machine;
use crate::show::{self, Pace, tell};
use crate::stop::Stop;
use crate::wish::Wish;

/// The pool of the recorded node, in pages of 2 MiB.
const POOL: u64 = 500;
/// What the server maps.
const MAPPED: u64 = 100;
const PAGE: u64 = 2 << 20;

/// How the node is at a moment.
#[derive(Clone, Copy)]
struct Moment {
    mapped: u64,
    touched: u64,
    limit: u64,
    refused: u64,
}

/// Replays it.
pub fn run(wish: &Wish) -> anyhow::Result<ExitCode> {
    let stop = Stop::listen()?;
    let machine = Machine::named("seed");
    let node = Node::of(machine.root());
    node.show(Moment { mapped: 0, touched: 0, limit: 64, refused: 0 });
    let seconds = wish.length.as_secs();
    println!("A node with one database, replayed in {seconds} s: {}", wish.place());
    let line = wish.command_line(machine.flags());
    show::run(wish, &stop, line, |pace| {
        replay(&node, pace)?;
        pace.over();
        Ok(())
    })
}

fn replay(node: &Node, pace: &Pace) -> anyhow::Result<()> {
    let mut now = Moment { mapped: 0, touched: 0, limit: 64, refused: 0 };
    pace.steps(4)?;
    tell(
        "PostgreSQL starts. mmap of 200Mi succeeds, and its pod may touch 128Mi. The kernel knows already.",
    );
    now = Moment { mapped: MAPPED, touched: 12, ..now };
    node.show(now);
    pace.steps(6)?;
    tell("will-crash is found: 72Mi too little. Usage is at 19 %, and nothing has been refused.");
    while now.touched < now.limit {
        now.touched = (now.touched + 4).min(now.limit);
        node.show(now);
        pace.steps(2)?;
    }
    tell(
        "It touches page 65: killed by SIGBUS, every session reset. It starts again, and maps the same.",
    );
    now = Moment { touched: 12, refused: 1, ..now };
    node.show(now);
    pace.steps(10)?;
    tell("hugepages-2Mi is set to the 200Mi that the finding named, and the same load goes on.");
    now.limit = MAPPED;
    node.show(now);
    pace.steps(4)?;
    now.touched = MAPPED;
    node.show(now);
    pace.steps(4)?;
    tell(
        "At 100 % of a limit that is right it is healthy. What was refused is told for 15 minutes more.",
    );
    pace.steps(4)?;
    Ok(())
}

/// The files that change.
struct Node {
    root: PathBuf,
    pod: PathBuf,
}

impl Node {
    fn of(root: &Path) -> Self {
        let burstable = root.join("sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice");
        let is_pod = |path: &PathBuf| path.is_dir();
        let mut below =
            fs::read_dir(&burstable).expect("the tier").flatten().map(|entry| entry.path());
        let pod = below.find(is_pod).expect("the pod");
        Self { root: root.to_owned(), pod }
    }

    fn show(&self, moment: Moment) {
        let container = self.container();
        let burstable = self.pod.parent().expect("its tier");
        let kubepods = burstable.parent().expect("kubepods");
        for cgroup in [kubepods, burstable, &self.pod, &container] {
            write(cgroup, "hugetlb.2MB.rsvd.current", moment.mapped * PAGE);
            write(cgroup, "hugetlb.2MB.current", moment.touched * PAGE);
            write(cgroup, "hugetlb.2MB.events", format!("max {}", moment.refused));
        }
        write(&container, "hugetlb.2MB.events.local", format!("max {}", moment.refused));
        for cgroup in [&self.pod, &container] {
            write(cgroup, "hugetlb.2MB.max", moment.limit * PAGE);
            let used = moment.touched * PAGE;
            write(cgroup, "hugetlb.2MB.numa_stat", format!("total={used} N0={used}"));
        }
        let pool = self.root.join("sys/kernel/mm/hugepages/hugepages-2048kB");
        write(&pool, "free_hugepages", POOL - moment.touched);
        write(&pool, "resv_hugepages", moment.mapped - moment.touched);
        let node = self.root.join("sys/devices/system/node/node0/hugepages/hugepages-2048kB");
        write(&node, "free_hugepages", POOL - moment.touched);
    }

    /// The one with a name; the other is the pod's sandbox.
    fn container(&self) -> PathBuf {
        let mut below =
            fs::read_dir(&self.pod).expect("the pod").flatten().map(|entry| entry.path());
        below
            .find(|path| path.to_string_lossy().contains("cri-containerd-aaaa"))
            .expect("the container")
    }
}

/// In one step, as the kernel does.
fn write(directory: &Path, name: &str, value: impl std::fmt::Display) {
    let written = directory.join(format!(".{name}"));
    fs::write(&written, format!("{value}\n")).expect("written");
    fs::rename(written, directory.join(name)).expect("in place");
}
