//! What the kernel takes for the files alone: the floor of a poll.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// No file comes in longer pieces.
const BUFFER: usize = 16 * 1024;

/// The files that are read at every poll, kept open, each with the length of its text.
pub struct Floor(Vec<(File, usize)>);

impl Floor {
    /// Those of the cgroups below that directory that use pages, and of the node's pools.
    pub fn of_used(cgroups: &Path) -> Self {
        let mut files = Vec::new();
        add_used(cgroups, &mut files);
        let pools = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
        files.extend(pools.flat_map(|pool| {
            ["nr", "free", "resv", "surplus", "nr_overcommit"]
                .map(|name| pool.path().join(format!("{name}_hugepages")))
        }));
        files.extend(["/proc/meminfo", "/proc/vmstat"].map(PathBuf::from));
        Self(files.iter().map(|path| measured(path)).collect())
    }

    /// How many they are.
    pub fn files(&self) -> usize {
        self.0.len()
    }

    /// Reads them all into one buffer.
    pub fn read(&self) {
        let mut buffer = [0; BUFFER];
        for (file, length) in &self.0 {
            let mut read = 0;
            // What has become shorter ends sooner.
            while read < *length {
                match file.read_at(&mut buffer, read as u64).expect("read") {
                    0 => break,
                    more => read += more,
                }
            }
            black_box(&mut buffer);
        }
    }
}

/// What is read at every poll of a cgroup that uses pages, and of those below it: v1 has one file more.
fn add_used(directory: &Path, files: &mut Vec<PathBuf>) {
    const NAMES: [&str; 5] = [
        "hugetlb.2MB.current",
        "hugetlb.2MB.rsvd.current",
        "hugetlb.2MB.usage_in_bytes",
        "hugetlb.2MB.rsvd.usage_in_bytes",
        "hugetlb.2MB.max_usage_in_bytes",
    ];
    let found: Vec<_> =
        NAMES.map(|name| directory.join(name)).into_iter().filter(|file| file.exists()).collect();
    let is_used = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.trim() != "0");
    if found.is_empty() || found.iter().any(is_used) {
        files.extend(found);
        let below = fs::read_dir(directory).into_iter().flatten().flatten();
        below
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .for_each(|entry| add_used(&entry.path(), files));
    }
}

fn measured(path: &Path) -> (File, usize) {
    let file = File::open(path).expect("readable");
    // A figure that gets longer or shorter is still read in one piece.
    let length = match fs::read(path).expect("readable").len() {
        short @ 0..64 => short.min(1),
        long => long,
    };
    (file, length)
}
