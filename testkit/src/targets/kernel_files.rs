//! The formats of the kernel's small files. A figure that is told stands in the text: nothing becomes a zero, or any
//! other number, by being misread.

use hugetlb_exporter::fuzzing::{Limit, kernel_files as read};

/// From here on a limit is none and a usage is a counter below zero.
const NO_FIGURE: u64 = 1 << 62;

/// Reads the text as each of them.
pub fn kernel_files(bytes: &[u8]) {
    // What is no text is refused before.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let number = read::number(text);
    if let Some(number) = number {
        assert_eq!(significant(text.trim_end()), number.to_string());
    }
    assert_eq!(read::usage(text).map(|usage| usage.0), number.filter(|number| *number < NO_FIGURE));
    match read::limit(text) {
        Some(Limit::At(bytes)) => {
            assert_eq!(Some(bytes.0), number.filter(|bytes| *bytes < NO_FIGURE));
        }
        Some(Limit::Unlimited) => {
            assert!(text.trim_end() == "max" || number.is_some_and(|number| number >= NO_FIGURE));
        }
        None => assert_eq!(number, None),
    }
    if let Some(events) = read::events(text) {
        let is_it = |line: &str| {
            line.strip_prefix("max ")
                .is_some_and(|count| significant(count.trim_end()) == events.to_string())
        };
        assert!(text.lines().any(is_it), "{events}");
    }
    nodes(text);
    fields(text);
}

/// Figures of NUMA nodes.
fn nodes(text: &str) {
    for part in read::numa_stat(text).into_iter().flatten() {
        let written = |word: &str| {
            word.split_once('=').map(|(_, bytes)| significant(bytes.trim_end()).to_owned())
        };
        let mut words = text.split_ascii_whitespace();
        assert!(words.any(|word| written(word) == Some(part.usage.0.to_string())), "{part:?}");
    }
    if let Some(nodes) = read::node_list(text) {
        assert!(
            nodes.is_sorted_by(|left, right| left < right),
            "each node once, as the kernel lists them"
        );
        let written: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        assert_eq!(read::node_list(&written.join(",")), Some(nodes));
        let plain = |c: char| c.is_ascii_digit() || c == ',' || c == '-';
        assert!(text.trim_end().chars().all(plain), "a sign is no part of a node's number");
    }
}

/// Fields of meminfo and vmstat.
fn fields(text: &str) {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    match read::meminfo_kilobytes(text, "Hugetlb") {
        Some(Some(bytes)) => {
            let told = line("Hugetlb:").and_then(|rest| rest.trim().strip_suffix("kB"));
            let told = told.map(|number| significant(number.trim()));
            assert_eq!(told, Some((bytes.0 / 1024).to_string().as_str()));
        }
        Some(None) => assert_eq!(line("Hugetlb:"), None),
        None => assert!(line("Hugetlb:").is_some()),
    }
    match read::vmstat(text, "htlb_buddy_alloc_fail") {
        Some(Some(count)) => {
            let told = line("htlb_buddy_alloc_fail ").map(|rest| significant(rest.trim_end()));
            assert_eq!(told, Some(count.to_string().as_str()));
        }
        Some(None) => assert_eq!(line("htlb_buddy_alloc_fail "), None),
        None => assert!(line("htlb_buddy_alloc_fail ").is_some()),
    }
}

/// A number's digits without the zeros before them.
fn significant(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" if !digits.is_empty() => "0",
        significant => significant,
    }
}
