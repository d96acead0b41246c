//! Room for huge pages in the limits of memory, where huge pages count as memory.
//!
//! Who touches a page that `memory.max` has no room for hangs: no signal, no error. So nothing is touched without a look. A limit
//! above, which is not seen from a container, may be met all the same; then the deadline ends it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::site::Site;
use crate::snapshot::{LevelMemory, Limit, Reading};
use crate::units::Bytes;

/// What the limits of memory that are seen leave now, the own cgroup's first; none where huge pages do not count as memory.
pub fn memory_limits(site: &Site) -> Vec<LevelMemory> {
    let levels = site.memory_levels().into_iter();
    let of_level = |(cgroup, directory): (String, PathBuf)| match limit(&directory) {
        Reading::Present(Limit::Unlimited) | Reading::Absent => None,
        Reading::Failed => {
            Some(LevelMemory { cgroup, limit: Reading::Failed, room: Reading::Failed })
        }
        Reading::Present(Limit::At(at)) => {
            let room = fixed(&directory).map(|fixed| at.less(fixed));
            Some(LevelMemory { cgroup, limit: Reading::Present(at), room })
        }
    };
    levels.filter_map(of_level).collect()
}

/// The first of them that has no room for so much, or of which that is not known.
pub(super) fn without_room(site: &Site, bytes: Bytes) -> Option<LevelMemory> {
    memory_limits(site)
        .into_iter()
        .find(|level| level.room.present().is_none_or(|room| room < bytes))
}

fn limit(directory: &Path) -> Reading<Limit> {
    let parse = |text: &str| match text.trim() {
        "max" => Some(Limit::Unlimited),
        bytes => bytes.parse().ok().map(Limit::from_bytes),
    };
    read(&directory.join("memory.max"), parse)
}

/// What is charged and can't be reclaimed.
fn fixed(directory: &Path) -> Reading<Bytes> {
    let usage = read(&directory.join("memory.current"), |text| text.trim().parse().ok());
    let reclaimable = read(&directory.join("memory.stat"), |text| {
        let of = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            found?.trim().parse::<u64>().ok()
        };
        let parts = [of("inactive_file")?, of("active_file")?, of("slab_reclaimable")?];
        Some(parts.into_iter().fold(0, u64::saturating_add))
    });
    match (usage, reclaimable) {
        (Reading::Present(usage), Reading::Present(part)) => {
            Reading::Present(Bytes(usage).less(Bytes(part)))
        }
        _ => Reading::Failed,
    }
}

fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_or(Reading::Failed, Reading::Present),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
        Err(_) => Reading::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::site::tests::in_directory;

    const MI: u64 = 1 << 20;

    fn write(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).expect("written");
    }

    #[test]
    fn a_page_that_memory_has_no_room_for_is_seen_beforehand() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        let counts = in_directory(at, true);
        assert_eq!(without_room(&counts, Bytes(MI)), None, "no limit of memory");
        write(at, "memory.max", &(64 * MI).to_string());
        write(at, "memory.current", &(63 * MI).to_string());
        let level = |room| LevelMemory {
            cgroup: "this cgroup".to_owned(),
            limit: Reading::Present(Bytes(64 * MI)),
            room,
        };
        assert_eq!(without_room(&counts, Bytes(1)), Some(level(Reading::Failed)), "no memory.stat");
        write(
            at,
            "memory.stat",
            &format!("inactive_file {MI}\nactive_file 0\nslab_reclaimable 0\n"),
        );
        assert_eq!(without_room(&counts, Bytes(2 * MI)), None);
        let full = Some(level(Reading::Present(Bytes(2 * MI))));
        assert_eq!(without_room(&counts, Bytes(4 * MI)), full);
        assert_eq!(
            without_room(&in_directory(at, false), Bytes(4 * MI)),
            None,
            "they do not count"
        );
        write(at, "memory.max", "max\n");
        assert_eq!(without_room(&counts, Bytes(4 * MI)), None);
    }
}
