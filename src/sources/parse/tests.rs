//! Every spelling that was seen, and any bytes.

use super::*;
use proptest::prelude::*;

const MI: u64 = 1 << 20;

#[test]
fn numbers_are_digits_and_nothing_else() {
    assert_eq!(number("134217728\n"), Some(134_217_728));
    for text in
        ["", "\n", "max", "-1\n", "+1", "1 2", "0x10", " 1", "18446744073709551616", "1\n2\n"]
    {
        assert_eq!(number(text), None, "{text:?}");
    }
}

#[test]
fn a_counter_below_zero_is_no_usage() {
    assert_eq!(usage("18446744073707454464\n"), None);
    assert_eq!(usage("0\n"), Some(Bytes::ZERO));
}

#[test]
fn a_count_below_zero_has_a_sign() {
    for (text, pages) in [("36\n", 36), ("0\n", 0), ("18446744073709551615\n", -1)] {
        assert_eq!(signed_pages(text), Some(SignedPages(pages)), "{text:?}");
    }
    assert_eq!(signed_pages("-1\n"), None);
}

#[test]
fn limits_in_all_their_spellings() {
    for text in ["max\n", "9223372036854771712\n", "4611686018427387904\n", "9223372036852678656\n"]
    {
        assert_eq!(limit(text), Some(Limit::Unlimited), "{text:?}");
    }
    assert_eq!(limit("0\n"), Some(Limit::At(Bytes::ZERO)));
    assert_eq!(limit("134217728\n"), Some(Limit::At(Bytes(128 * MI))));
    assert_eq!(limit("maximum\n"), None);
}

#[test]
fn events_are_found_by_key() {
    assert_eq!(events("max 7\n"), Some(7));
    assert_eq!(events("low 1\nmax 3\nhigh 2\n"), Some(3));
    for text in ["", "maxx 1\n", "max\n", "max one\n", "7\n"] {
        assert_eq!(events(text), None, "{text:?}");
    }
}

#[test]
fn a_cgroup_is_populated_or_not() {
    assert_eq!(populated("populated 1\nfrozen 0\n"), Some(true));
    assert_eq!(populated("frozen 0\npopulated 0\n"), Some(false));
    for text in ["", "populated\n", "populated 2\n", "unpopulated 1\n"] {
        assert_eq!(populated(text), None, "{text:?}");
    }
}

#[test]
fn numa_stat_of_both_versions() {
    let node = |node, mib| NumaUsage { node: NumaNode(node), usage: Bytes(mib * MI) };
    assert_eq!(
        numa_stat("total=6291456 N0=4194304 N1=2097152\n"),
        Some(vec![node(0, 4), node(1, 2)])
    );
    assert_eq!(
        numa_stat("total=0 N0=0\nhierarchical_total=4194304 N0=4194304\n"),
        Some(vec![node(0, 4)])
    );
    assert_eq!(
        numa_stat("total=0 N0=18446744073705357312\n"),
        Some(vec![]),
        "a part below zero is left out"
    );
    for text in ["", "N0=1\n", "total=\n", "total=1 N0\n", "total=1 X0=1\n", "total=1 N0=x\n"] {
        assert_eq!(numa_stat(text), None, "{text:?}");
    }
}

#[test]
fn lists_of_nodes_are_in_order() {
    let nodes = |numbers: &[u32]| Some(numbers.iter().copied().map(NumaNode).collect());
    assert_eq!(node_list("0-1,3\n"), nodes(&[0, 1, 3]));
    assert_eq!(node_list("\n"), nodes(&[]));
    for text in ["1,0", "0,0", "0-2,1", "2-1", "+1", "0-+1", "0-4096", "x", "-", "1-"] {
        assert_eq!(node_list(text), None, "{text:?}: a node counted twice is no node");
    }
}

#[test]
fn fields_of_proc_files() {
    let meminfo = "MemTotal:  24000 kB\nHugePages_Total:  500\nHugepagesize:       2048 kB\nHugetlb:         1024000 kB\n";
    assert_eq!(meminfo_kilobytes(meminfo, "Hugetlb"), Some(Some(Bytes(1_024_000 * 1024))));
    assert_eq!(meminfo_kilobytes(meminfo, "Hugepagesize"), Some(Some(Bytes(2 * MI))));
    assert_eq!(meminfo_kilobytes("MemTotal: 1 kB\n", "Hugetlb"), Some(None), "no such field");
    assert_eq!(
        meminfo_kilobytes("Hugetlb: 18446744073709551615 kB\n", "Hugetlb"),
        None,
        "too large"
    );
    assert_eq!(meminfo_kilobytes("Hugetlb: 5\n", "Hugetlb"), None, "no unit");
    assert_eq!(
        vmstat("htlb_buddy_alloc_success 500\n", "htlb_buddy_alloc_success"),
        Some(Some(500))
    );
    assert_eq!(vmstat("nr_free_pages 1\n", "htlb_buddy_alloc_fail"), Some(None));
}

#[test]
fn file_names_of_both_versions() {
    let two_mebibytes = PageSize::from_bytes(2 * MI).expect("a size");
    for (name, kind) in [
        ("hugetlb.2MB.current", FileKind::Usage),
        ("hugetlb.2MB.rsvd.max", FileKind::ReservationLimit),
        ("hugetlb.2MB.rsvd.failcnt", FileKind::ReservedFailcnt),
        ("hugetlb.2MB.events.local", FileKind::EventsLocal),
    ] {
        assert_eq!(file_name(name), Some((two_mebibytes, kind)), "{name}");
    }
    for name in [
        "hugetlb.2MB",
        "hugetlb.2MB.",
        "hugetlb.3MB.current",
        "memory.current",
        "hugetlb.2MB.rsvd.max_usage_in_bytes",
    ] {
        assert_eq!(file_name(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (number(&text), usage(&text), limit(&text), events(&text), numa_stat(&text), file_name(&text));
        let _ = (meminfo_kilobytes(&text, "Hugetlb"), vmstat(&text, "htlb_buddy_alloc_fail"));
    }

    #[test]
    fn no_text_in_the_right_shape_panics(key in "(max|total|N0|hugetlb\\.2MB|Hugetlb|hierarchical_total)", rest in "[ =:.0-9kBN\\n]*") {
        let text = format!("{key}{rest}");
        let _ = (number(&text), usage(&text), limit(&text), events(&text), numa_stat(&text), file_name(&text));
        let _ = (meminfo_kilobytes(&text, "Hugetlb"), vmstat(&text, "max"));
    }

    #[test]
    fn every_number_is_read_back(value: u64) {
        prop_assert_eq!(number(&format!("{value}\n")), Some(value));
        prop_assert_eq!(events(&format!("max {value}\n")), Some(value));
    }
}
