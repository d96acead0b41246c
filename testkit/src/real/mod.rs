//! Real huge pages in real cgroups: what the benchmarks measure on.
//!
//! A benchmark that wants them runs twice: outside, where it takes the machine and puts it back whatever happens, and
//! inside, a process of its own that measures in a mount namespace of its own. Without root or such a kernel it says
//! what it lacks, and no figure is printed.

mod hierarchy;
mod machine;
mod memory;
mod node;

use std::process::ExitCode;

use hugetlb_exporter::host::pool;

use machine::Machine;

pub use hierarchy::OnLoan;
pub use hugetlb_exporter::host::hierarchy::Hierarchy;
pub use memory::MemoryCgroup;
pub use node::Node;

/// What there is to measure with.
pub struct Inside {
    /// Where to make cgroups.
    pub hierarchy: Hierarchy,
    /// How many pages of 2 MiB the pool has.
    pub pool: usize,
}

/// Set for the process inside.
const INSIDE: &str = "HUGETLB_EXPORTER_BENCH_INSIDE";

/// Runs a benchmark that needs some pages of 2 MiB and may want more.
pub fn run(least: u64, most: u64, measure: impl FnOnce(Inside)) -> ExitCode {
    if std::env::var_os(INSIDE).is_some() {
        let pool = pool::read("nr_hugepages").expect("the pool");
        let pool = usize::try_from(pool).expect("a number of pages");
        measure(Inside { hierarchy: Hierarchy::enter(), pool });
        return ExitCode::SUCCESS;
    }
    match Machine::take(least, most) {
        Ok(machine) => machine.run_inside(INSIDE),
        Err(missing) => {
            println!("# not measured: {missing:#}");
            ExitCode::SUCCESS
        }
    }
}
