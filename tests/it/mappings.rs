//! What processes have mapped, from a `/proc` of our own making.

use std::fs;
use std::path::Path;

use hugetlb_exporter::{Looking, look};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::agent::Start;
use crate::harness::wait_for;
use crate::machine::Machine;

/// The container of the seed machine.
const A: &str = "aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567";
const SLICE: &str = "kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice";
const MI: u64 = 1 << 20;

const NO_RESERVE: &str =
    "7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 226884             /anon_hugepage (deleted)";
const ODD: &str =
    "7fccc2e00000-7fccc4200000 rw-s 00000000 00:11 230608             /SYSV [stack:é\\012";

struct Node {
    machine: Machine,
}

impl Node {
    fn seed() -> Self {
        Self { machine: Machine::named("seed") }
    }

    /// A process in a cgroup below the container's pod.
    fn process(&self, number: u32, cgroup: &str) -> std::path::PathBuf {
        let directory = self.machine.root().join(format!("proc/{number}"));
        fs::create_dir_all(&directory).expect("made");
        write(&directory.join("cgroup"), &format!("0::/../../{SLICE}/{cgroup}"));
        write(&directory.join("maps"), "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x");
        directory
    }

    /// One that has mapped huge pages, and touched so many kB of them.
    fn tenant(&self, number: u32, cgroup: &str, first: &str, flags: &str, touched: u64) {
        let directory = self.process(number, cgroup);
        write(&directory.join("maps"), first);
        let fields = format!(
            "Size: 1 kB\nKernelPageSize:     2048 kB\nShared_Hugetlb:        0 kB\nPrivate_Hugetlb: {touched} kB\nVmFlags: {flags} "
        );
        let other = "7f81b073a000-7f81b073d000 rw-p 00000000 00:00 0 \nKernelPageSize: 4 kB\nVmFlags: rd wr";
        write(&directory.join("smaps"), &format!("{other}\n{first}\n{fields}\n{other}"));
    }

    /// Size, touched, shared, reserved of what the container has mapped, and the source's health.
    fn look(&self) -> (Vec<(u64, u64, bool, bool)>, String) {
        let snapshot =
            look(Looking { at_mappings: true, ..Looking::at(self.machine.roots()) }).snapshot;
        let mappings = snapshot.mappings.expect("they were looked for");
        assert!(mappings.containers.keys().all(|id| id.as_str() == A));
        let shown = mappings.containers.values().flatten().map(|mapping| {
            assert_eq!(mapping.page_size.to_string(), "2Mi");
            (mapping.size.0 / MI, mapping.touched.0 / MI, mapping.shared, mapping.reserved)
        });
        let source = |text: &str| text.starts_with("SourceHealth { source: Mappings");
        let healths = snapshot.sources.iter().map(|health| format!("{health:?}"));
        (shown.collect(), healths.into_iter().find(|text| source(text)).expect("its health"))
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("written");
}

#[test]
fn what_is_mapped_is_seen_once_however_many_processes_map_it() {
    let node = Node::seed();
    let scope = format!("cri-containerd-{A}.scope");
    node.tenant(77, &scope, NO_RESERVE, "rd wr mr mw me de nr ht", 4096);
    node.tenant(78, &format!("{scope}/container"), NO_RESERVE, "rd wr mr mw me de nr ht", 2048);
    node.tenant(79, &scope, ODD, "rd wr sh ht", 0);
    node.tenant(80, &scope, NO_RESERVE, "rd wr ht", 0);
    write(&node.machine.root().join("proc/80/cgroup"), "0::/system.slice/x.service");
    let (mappings, health) = node.look();
    assert_eq!(mappings, [(200, 4, false, false), (20, 0, true, true)]);
    assert!(health.contains("Up"), "{health}");
}

#[test]
fn a_process_that_ends_is_no_problem_and_one_that_can_not_be_read_is_counted() {
    let node = Node::seed();
    let scope = format!("cri-containerd-{A}.scope");
    node.tenant(77, &scope, NO_RESERVE, "nr ht", 0);
    fs::remove_file(node.process(78, &scope).join("maps")).expect("it ends");
    assert!(node.look().1.contains("Up"), "{}", node.look().1);

    // A directory in place of a file can't be read by root either.
    for number in [79, 80] {
        let maps = node.process(number, &scope).join("maps");
        fs::remove_file(&maps).expect("removed");
        fs::create_dir(&maps).expect("made");
    }
    let (mappings, health) = node.look();
    assert_eq!(mappings.len(), 1, "what was read stays");
    assert!(health.contains("2 of 3 container processes can't be read: "), "{health}");
    assert!(health.contains("proc/79/maps: Is a directory"), "{health}");
}

#[test]
fn a_mapping_that_is_not_understood_costs_only_itself() {
    let node = Node::seed();
    let scope = format!("cri-containerd-{A}.scope");
    node.tenant(77, &scope, NO_RESERVE, "nr ht", 0);
    node.tenant(78, &scope, &NO_RESERVE.replace("00:11", "0011"), "nr ht", 0);
    let (mappings, health) = node.look();
    assert_eq!(mappings, [(200, 0, false, false)]);
    assert!(health.contains("1 mappings of huge pages that are not understood: "), "{health}");
    assert!(health.contains("proc/78/smaps"), "{health}");
}

#[test]
fn in_a_process_namespace_of_its_own_it_says_what_is_needed() {
    let node = Node::seed();
    let needed = "shows no container's processes: hostPID is needed";
    assert!(node.look().1.contains(needed), "{}", node.look().1);
    // Our own is no proof of the others.
    let own = node.process(7, &format!("cri-containerd-{}.scope", "f".repeat(64)));
    fs::copy(own.join("cgroup"), node.machine.root().join("proc/self/cgroup")).expect("copied");
    assert!(node.look().1.contains(needed), "{}", node.look().1);
    node.process(77, &format!("cri-containerd-{A}.scope"));
    assert!(node.look().1.contains("Up"), "{}", node.look().1);

    let empty = Machine::named("nothing");
    fs::create_dir_all(empty.root().join("proc")).expect("made");
    let sources =
        look(Looking { at_mappings: true, ..Looking::at(empty.roots()) }).snapshot.sources;
    let shown = format!("{sources:?}");
    assert!(!shown.contains("hostPID"), "without containers nothing is missed: {shown}");
}

#[test]
fn the_agent_keeps_looking_and_waits_for_nobody() {
    let node = Node::seed();
    let mut flags = node.machine.flags();
    flags
        .extend(["--collector.mappings", "--collector.mappings-interval=100ms"].map(str::to_owned));
    let agent = Start::new(&flags).go();
    let up = || agent.fresh().value("hugetlb_exporter_source_up", &[("source", "mappings")]);
    wait_for("the mappings to be missed", || (up() == Some(0.0)).then_some(()));
    let log = agent.log();
    assert!(log.iter().any(|line| line.contains("hostPID is needed")), "{log:?}");

    let maps = node.process(77, &format!("cri-containerd-{A}.scope")).join("maps");
    wait_for("the mappings to be seen", || (up() == Some(1.0)).then_some(()));
    fs::remove_file(&maps).expect("removed");
    mkfifo(&maps, Mode::S_IRWXU).expect("a file that nobody can read to its end");
    agent.fresh();
    agent.fresh();
    assert_eq!(up(), Some(1.0));
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn without_the_flag_nobody_looks() {
    let node = Node::seed();
    let agent = Start::new(&node.machine.flags()).go();
    assert_eq!(agent.fresh().value("hugetlb_exporter_source_up", &[("source", "mappings")]), None);
}
