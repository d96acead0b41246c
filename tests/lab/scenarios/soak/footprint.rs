//! What the agent takes of the machine, as the kernel has it.

use std::fmt;
use std::fs;
use std::time::Duration;

use crate::harness::agent::Agent;
use crate::scenarios::probe::children;

/// Memory in bytes, the rest in numbers.
#[derive(Debug)]
pub struct Footprint {
    pub resident: u64,
    pub descriptors: usize,
    pub watches: usize,
    pub threads: u64,
    pub children: usize,
}

/// So many looks; a probe's child with its pipes is there in some of them only, and a file that is about to be opened
/// again is not.
const LOOKS: usize = 60;

pub fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let bytes = bytes as f64;
    bytes / 1e6
}

impl Footprint {
    /// What it takes at this moment.
    pub fn now(agent: &Agent) -> Self {
        let process = format!("/proc/{}", agent.pid());
        let status = fs::read_to_string(format!("{process}/status")).expect("its status");
        let number = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            line.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).expect(key)
        };
        let open = fs::read_dir(format!("{process}/fdinfo")).expect("its descriptors").flatten();
        // One may be closed between the listing and the reading.
        let open: Vec<String> =
            open.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
        let watches = open.iter().flat_map(|text| text.lines());
        Self {
            resident: number("VmRSS:") * 1024,
            descriptors: open.len(),
            watches: watches.filter(|line| line.starts_with("inotify ")).count(),
            threads: number("Threads:"),
            children: children(agent.pid()).len(),
        }
    }

    /// What it takes while nothing happens, once it has seen that nothing does: in most of some looks.
    pub fn at_rest(agent: &Agent) -> Self {
        agent.fresh();
        let looks: Vec<Self> = (0..LOOKS)
            .map(|_| {
                std::thread::park_timeout(Duration::from_millis(20));
                Self::now(agent)
            })
            .collect();
        Self {
            resident: median(&looks, |look| look.resident),
            descriptors: median(&looks, |look| look.descriptors),
            watches: median(&looks, |look| look.watches),
            threads: median(&looks, |look| look.threads),
            children: median(&looks, |look| look.children),
        }
    }
}

fn median<T: Ord + Copy>(looks: &[Footprint], part: impl Fn(&Footprint) -> T) -> T {
    let mut values: Vec<T> = looks.iter().map(part).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} MB, {} descriptors, {} watches, {} threads, {} children",
            megabytes(self.resident),
            self.descriptors,
            self.watches,
            self.threads,
            self.children
        )
    }
}
