//! The lab's second ground: other kernels, as guests of qemu without KVM, in which scenarios of the lab run.
//!
//! A guest is a kernel that `.ci/guests` fetched, a [`Shape`] (processors, memory, NUMA nodes, pools, how cgroup2 is
//! mounted) and scenarios. It boots from an initramfs that holds this program as `/init`, the agent, a few programs of
//! this machine and the libraries of all of them. Inside, this program is process 1 ([`init`]): it mounts, and runs each
//! scenario in a process of its own; what came of it goes line by line ([`line`]) through the second serial port.
//! The first serial port is the console, kept below target/tmp/guests. A guest that ends early or takes too long fails,
//! and its console is shown.
//!
//! **To add a scenario**: write it like every other (`fn(&Lab)`, it panics where something is wrong; `lab.root` is cgroup2
//! with the controllers of [`init::CONTROLLERS`], the pool is the lab's, and whatever it changes may stay changed for
//! those after it, so it puts it back), and name it in a guest's list in [`all`]. Lines that it tells
//! with `evidence::tell` come out under "Guests" in docs/evidence.md. A scenario that takes longer than [`init::PATIENCE`] failed.
//!
//! **To run it**: `.ci/guests trixie`, then `HUGETLB_LAB=require cargo test --test lab -- guest::trixie::figures`. One guest is in
//! every run; the others are in a long run, and in one whose filter begins with `guest::`.

mod boot;
mod init;
mod initramfs;
mod kernel;
mod line;
mod scenarios;
mod shape;
mod trials;

pub use init::{is_inside, run as run_inside};
pub use trials::{are_asked_for_alone, trials};

use crate::evidence::Section;
use crate::scenarios::Named;
use shape::Shape;

/// What the guests have shown.
const EVIDENCE: Section = Section { title: "Guests", scenarios: PREFIX };

/// How the names of all their trials begin.
const PREFIX: &str = "guest::";

/// When a guest is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// In every run of the lab.
    Always,
    /// In a long one, and where it is asked for by name.
    Long,
}

/// A machine that is booted, and what runs in it.
#[derive(Clone)]
struct Guest {
    /// What its trials are called by.
    name: &'static str,
    /// The Debian suite whose kernel it boots.
    suite: &'static str,
    shape: Shape,
    when: When,
    scenarios: Vec<Named>,
}

/// Every guest.
fn all() -> Vec<Guest> {
    let usual = Shape::default();
    let trixie = Guest {
        name: "trixie",
        suite: "trixie",
        shape: Shape { nodes: 2, accounting: true, ..usual },
        when: When::Always,
        scenarios: scenarios::everywhere(),
    };
    let of_age = |suite| Guest {
        name: suite,
        suite,
        shape: usual,
        when: When::Long,
        scenarios: scenarios::OF_AGES.to_vec(),
    };
    // Linux 5.10, 6.1 and whatever is newest.
    [trixie].into_iter().chain(["bullseye", "bookworm", "sid"].map(of_age)).collect()
}

/// The scenario of that name, in whatever guest it is.
fn scenario(name: &str) -> Option<Named> {
    all().into_iter().flat_map(|guest| guest.scenarios).find(|scenario| scenario.0 == name)
}
