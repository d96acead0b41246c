//! Processes' mappings: smaps files of one container, a line of `====` between two processes.

use hugetlb_exporter::fuzzing::{Mapping, PageSize, mappings_of};

const BETWEEN: &[u8] = b"====\n";

/// Puts the processes together in two orders.
pub fn mappings(bytes: &[u8]) {
    let mut processes = vec![];
    let mut rest = bytes;
    while let Some(end) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        let (process, after) = rest.split_at(end);
        processes.push(process);
        rest = after.strip_prefix(BETWEEN).unwrap_or_default();
    }
    processes.push(rest);
    // Bytes in memory can be read.
    let Ok((found, odd)) = mappings_of(processes.iter().copied()) else { return };
    let Ok((backwards, as_odd)) = mappings_of(processes.iter().rev().copied()) else { return };
    let ends = |bytes: u64, size: u64| bytes.checked_add(size).expect("an end");
    for mapping in &found {
        assert!(mapping.size.0 > 0 && mapping.touched <= mapping.size, "{mapping:?}");
        ends(mapping.object.offset, mapping.size.0);
    }
    let (mut here, mut there): (Vec<Place>, Vec<Place>) =
        (found.iter().map(place).collect(), backwards.iter().map(place).collect());
    here.sort_unstable();
    there.sort_unstable();
    assert_eq!((&here, odd), (&there, as_odd), "whichever process is read first");
    // A System V segment's id may be another file's inode number.
    if !bytes.windows(5).any(|window| window == b"/SYSV") {
        for two in here.windows(2) {
            if let [(object, offset, size), (next, begins, _)] = two {
                assert!(object != next || ends(*offset, *size) < *begins, "counted twice: {two:?}");
            }
        }
    }
}

/// What is mapped, and from where on how much of it.
type Place = ((i32, i32, u64, PageSize, bool, bool), u64, u64);

fn place(mapping: &Mapping) -> Place {
    let Mapping { object, page_size, size, shared, reserved, .. } = mapping;
    let (major, minor) = object.device;
    let of = (major, minor, object.inode, *page_size, *shared, *reserved);
    (of, object.offset, size.0)
}
