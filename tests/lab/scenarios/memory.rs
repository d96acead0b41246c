//! Huge pages that count as memory (cgroup2's `memory_hugetlb_accounting`): who is said to hang, and who then hangs. In guests:
//! this needs v2 with the memory controller, and a kernel that has the option.

mod case;
mod story;

use case::{Case, HugeLimit, Level, MemoryLimit, Other, Outcome};
use nix::mount::{MsFlags, mount};

use super::Named;
use crate::Lab;
use crate::evidence::{self, Section};

/// The story, and of the truth table a part in which every value meets every other.
pub const SHORT: &[Named] = &[
    ("memory::a_database_that_memory_is_too_small_for_is_found_before_it_hangs", story::database),
    ("memory::truth_in_short", truth_in_short),
];

/// The whole table, in parts that each end in time.
pub const WHOLE: &[Named] = &[
    ("memory::truth_of_containers", truth_of_containers),
    ("memory::truth_of_pods", truth_of_pods),
    ("memory::truth_without_the_option", truth_without_the_option),
];

const EVIDENCE: Section = Section { title: "Guests", scenarios: "guest::" };

fn truth_of_containers(lab: &Lab) {
    run(lab, "containers", true, &all(Level::Container));
}

fn truth_of_pods(lab: &Lab) {
    run(lab, "pods", true, &all(Level::Pod));
}

fn truth_without_the_option(lab: &Lab) {
    let both = [all(Level::Container), all(Level::Pod)].concat();
    run(lab, "without the option", false, &both);
}

/// Each pair of values of two columns at least once: the lines of a Latin square, and a few without the option.
fn truth_in_short(lab: &Lab) {
    let of = |memory, level, other, huge| Case { memory, level, other, huge };
    use HugeLimit::{Ample, Short};
    use Level::{Container, Pod};
    use MemoryLimit as M;
    use Other::{Anon, None, Tmpfs};
    let on = [
        of(M::Ample, Container, None, Short),
        of(M::Ample, Pod, Anon, Ample),
        of(M::Ample, Container, Tmpfs, Ample),
        of(M::Exact, Pod, None, Ample),
        of(M::Exact, Container, Anon, Short),
        of(M::Exact, Container, Tmpfs, Ample),
        of(M::OneShort, Container, None, Ample),
        of(M::OneShort, Pod, Tmpfs, Short),
        of(M::OneShort, Container, Anon, Ample),
        of(M::FarShort, Pod, Anon, Ample),
        of(M::FarShort, Container, None, Short),
        of(M::FarShort, Pod, Tmpfs, Ample),
    ];
    run(lab, "in short", true, &on);
    let off = [of(M::FarShort, Container, Anon, Ample), of(M::OneShort, Pod, None, Short)];
    run(lab, "in short, without the option", false, &off);
}

/// All cases of one level.
fn all(level: Level) -> Vec<Case> {
    let mut cases = Vec::new();
    for memory in MemoryLimit::ALL {
        for other in Other::ALL {
            for huge in HugeLimit::ALL {
                cases.push(Case { memory, level, other, huge });
            }
        }
    }
    cases
}

/// Judges each case, then touches to the end; fails with every case that was judged wrongly.
fn run(lab: &Lab, what: &str, option: bool, cases: &[Case]) {
    let _switched = Accounting::switch(lab, option);
    let mut counts = [(Outcome::Finishes, 0), (Outcome::Hangs, 0), (Outcome::Sigbus, 0)];
    let mut wrong = Vec::new();
    for case in cases {
        let (judged, outcome) = case.run(lab);
        counts.iter_mut().filter(|(of, _)| *of == outcome).for_each(|(_, count)| *count += 1);
        if judged != outcome {
            wrong.push(format!("{case:?}: judged {judged:?}, and it {outcome:?}"));
        }
    }
    let [finished, hung, killed] = counts.map(|(_, count)| count);
    let line = format!(
        "memory truth table, {what}: {} cases, of which {finished} finished, {hung} hung, {killed} met SIGBUS; {} judged wrongly",
        cases.len(),
        wrong.len(),
    );
    evidence::tell(EVIDENCE, line);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// cgroup2 with or without the option; dropping it puts the option back.
pub struct Accounting<'a> {
    lab: &'a Lab,
    was: bool,
}

impl<'a> Accounting<'a> {
    pub fn switch(lab: &'a Lab, on: bool) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let was = mounts.contains("memory_hugetlb_accounting");
        remount(lab, on);
        Self { lab, was }
    }
}

impl Drop for Accounting<'_> {
    fn drop(&mut self) {
        remount(self.lab, self.was);
    }
}

fn remount(lab: &Lab, on: bool) {
    let options = on.then_some("memory_hugetlb_accounting");
    mount(None::<&str>, &lab.root, None::<&str>, MsFlags::MS_REMOUNT, options).expect("remounted");
}
