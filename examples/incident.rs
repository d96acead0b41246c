//! The incident, replayed in a minute on a node made of files: no root, no cluster, no huge pages.
//!
//! `cargo run --release --example incident` serves at <http://localhost:10270/> what the agent would show on a node
//! where PostgreSQL maps more huge pages than its pod may touch, crashes, and is given what it needs.
//! `--seconds 10` replays it faster, `--once` ends when it is over; every flag after `--` is the agent's own.

#![allow(clippy::expect_used, clippy::panic, reason = "a demonstration may fail loudly")]

#[path = "../tests/it/machine.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod machine;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use machine::Machine;

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

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "touch-child") {
        // The touch-probe executes this very program.
        return hugetlb_exporter::run(arguments);
    }
    let wish = Wish::of(&arguments);
    let machine = Machine::named("seed");
    let node = Node::of(machine.root());
    node.show(Moment { mapped: 0, touched: 0, limit: 64, refused: 0 });
    let mut flags = vec![OsString::from("incident"), "--log.level=error".into()];
    flags.extend(machine.flags().into_iter().map(OsString::from));
    flags.extend(wish.agents);
    println!(
        "A node with one database, replayed in {} s: http://localhost:10270/",
        wish.length.as_secs()
    );
    thread::spawn(move || {
        replay(&node, wish.length);
        if wish.once {
            std::process::exit(0);
        }
        println!("      That was it. It goes on serving; Ctrl-C ends it.");
    });
    hugetlb_exporter::run(flags)
}

/// What was asked for.
struct Wish {
    length: Duration,
    once: bool,
    agents: Vec<OsString>,
}

impl Wish {
    fn of(arguments: &[OsString]) -> Self {
        let mut wish = Self { length: Duration::from_secs(60), once: false, agents: Vec::new() };
        let mut rest = arguments.iter().skip(1);
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--once") => wish.once = true,
                Some("--seconds") => {
                    let seconds = rest.next().and_then(|text| text.to_str()?.parse().ok());
                    wish.length = Duration::from_secs(seconds.expect("--seconds wants a number"));
                }
                _ => wish.agents.push(argument.clone()),
            }
        }
        wish
    }
}

/// Every step is a sixtieth of the time.
fn replay(node: &Node, length: Duration) {
    // A replay has its times; there is nothing to wait for.
    let step = |steps: u32| thread::park_timeout(length * steps / 60);
    let tell = |text: &str| println!("      {text}");
    let mut now = Moment { mapped: 0, touched: 0, limit: 64, refused: 0 };
    step(4);
    tell(
        "PostgreSQL starts. mmap of 200Mi succeeds, and its pod may touch 128Mi. The kernel knows already.",
    );
    now = Moment { mapped: MAPPED, touched: 12, ..now };
    node.show(now);
    step(6);
    tell("will-crash is found: 72Mi too little. Usage is at 19 %, and nothing has been refused.");
    while now.touched < now.limit {
        now.touched = (now.touched + 4).min(now.limit);
        node.show(now);
        step(2);
    }
    tell(
        "It touches page 65: killed by SIGBUS, every session reset. It starts again, and maps the same.",
    );
    now = Moment { touched: 12, refused: 1, ..now };
    node.show(now);
    step(10);
    tell("hugepages-2Mi is set to the 200Mi that the finding named, and the same load goes on.");
    now.limit = MAPPED;
    node.show(now);
    step(4);
    now.touched = MAPPED;
    node.show(now);
    step(4);
    tell(
        "At 100 % of a limit that is right it is healthy. What was refused is told for 15 minutes more.",
    );
    step(4);
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
