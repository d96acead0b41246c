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
    /// Those that a reader in this process keeps open: of the cgroups below that directory, and of the node.
    pub fn of_kept(cgroups: &Path) -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").expect("our descriptors");
        let mut kept: Vec<(u32, PathBuf)> = descriptors
            .filter_map(|descriptor| {
                let descriptor = descriptor.expect("a descriptor");
                let number = descriptor.file_name().to_str()?.parse().ok()?;
                Some((number, fs::read_link(descriptor.path()).ok()?))
            })
            .filter(|(_, path)| is_read(path, cgroups))
            .collect();
        // In the order in which they were opened.
        kept.sort_unstable();
        Self(kept.into_iter().map(|(_, path)| measured(&path)).collect())
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

fn is_read(path: &Path, cgroups: &Path) -> bool {
    let parts = [cgroups, Path::new("/sys/kernel/mm"), Path::new("/sys/devices/system/node")];
    parts.iter().any(|part| path.starts_with(part))
        || ["/proc/meminfo", "/proc/vmstat"].map(Path::new).contains(&path)
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
