//! What real smaps files hold, and what anyone could make them hold.

use super::*;
use proptest::prelude::*;

const MI: u64 = 1 << 20;

/// What Linux 6.18 shows of a mapping.
fn shown(first: &str, flags: &str, touched: (u64, u64)) -> String {
    let (shared, private) = touched;
    format!(
        "{first}\nSize:             204800 kB\nKernelPageSize:     2048 kB\nMMUPageSize:        2048 kB\n\
         Rss:                   0 kB\nKSM:                   0 kB\nAnonHugePages:         0 kB\n\
         Shared_Hugetlb:    {shared:5} kB\nPrivate_Hugetlb:   {private:5} kB\nSwap:                  0 kB\n\
         Locked:                0 kB\nTHPeligible:           0\nProtectionKey:         0\nVmFlags: {flags} \n"
    )
}

const HEAP: &str = "7f81b073a000-7f81b073d000 rw-p 00000000 00:00 0 \nSize:                 12 kB\n\
    KernelPageSize:        4 kB\nShared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\nVmFlags: rd wr mr mw me ac\n";

fn no_reserve() -> String {
    let first = "7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 226884                     /anon_hugepage (deleted)";
    shown(first, "rd wr mr mw me de nr ht", (0, 4096))
}

fn found(text: &str) -> Found {
    read(text.as_bytes()).expect("bytes can be read")
}

#[test]
fn a_mapping_of_huge_pages_is_found_among_others() {
    let found = found(&format!("{HEAP}{}{HEAP}", no_reserve()));
    let object = Object {
        device: (0, 17),
        inode: 226_884,
        segment: false,
        page_size: PageSize::from_bytes(2 * MI).expect("a size"),
        shared: false,
        reserved: false,
    };
    let vma = Vma { object, range: (0, 200 * MI), touched: 4 * MI };
    assert_eq!(found, Found { vmas: vec![vma], odd: 0, cut: false });
}

#[test]
fn sharing_is_told_by_the_permissions_and_a_reservation_by_the_flags() {
    // A shared mapping of a file opened for reading has no `sh`.
    let memfd = "7fccc2e00000-7fccc4200000 r--s 00400000 00:11 230608        /memfd:odd näme\\012[x (deleted)";
    let segment =
        "7fccc2a00000-7fccc2e00000 rw-s 00000000 00:11 393265      /SYSV00000000 (deleted)";
    let text = shown(memfd, "rd mr me ms de nr ht", (2048, 2048))
        + &shown(segment, "rd wr sh mr mw me ms de ht", (0, 0));
    let vmas = found(&text).vmas;
    let [memfd, segment] = vmas.as_slice() else { panic!("{vmas:?}") };
    assert!(memfd.object.shared && !memfd.object.reserved && !memfd.object.segment);
    assert_eq!((memfd.range, memfd.touched), ((4 * MI, 24 * MI), 4 * MI));
    assert!(segment.object.shared && segment.object.reserved && segment.object.segment);
}

#[test]
fn addresses_kept_without_access_are_no_pages() {
    let first =
        "7fccc5e00000-7fccc6a00000 ---s 00800000 00:11 230609       /anon_hugepage (deleted)";
    assert_eq!(found(&shown(first, "sh mr mw me ms de nr ht", (0, 0))), Found::default());
}

#[test]
fn a_figure_that_is_missing_is_no_zero() {
    let text = no_reserve().replace("Private_Hugetlb:", "Private_Hugetbl:");
    assert_eq!(found(&text), Found { odd: 1, ..Found::default() });
}

#[test]
fn too_many_mappings_are_cut_and_told() {
    let text = HEAP.repeat(MOST_MAPPINGS);
    assert!(!found(&text).cut);
    assert!(found(&(text + HEAP)).cut);
}

#[test]
fn maps_never_hide_huge_pages() {
    let may = |first: &str| may_have_huge_pages(first.as_bytes(), 2 * MI).expect("read");
    for first in [
        "7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 226884         /anon_hugepage (deleted)",
        "7f81a3e00000-7f81b0600000 ---s 00200000 00:2b 0              /SYSV00000000 (deleted)",
        "7f81a3e00000-7f81b0600000 rw-s 00200000 00:11 \u{fffd}",
    ] {
        assert!(
            may(&format!("7f81b073a000-7f81b073d000 rw-p 00000000 00:00 0 \n{first}\n")),
            "{first}"
        );
    }
    for first in [
        "7f81a3e00000-7f81b0600000 rw-p 00000000 00:00 0",
        "7f81a3e00000-7f81b0600000 rw-p 00000000 08:01 226884         /lib/x",
        "7f81a3e01000-7f81b0600000 rw-p 00000000 00:2b 226884         /lib/x",
        "7f81a3e00000-7f81b0601000 rw-p 00000000 00:2b 226884         /lib/x",
        "7f81a3e00000-7f81b0600000 rw-p 00001000 00:2b 226884         /lib/x",
    ] {
        assert!(!may(&format!("{first}\n")), "{first}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, smallest: u64) {
        read(bytes.as_slice()).expect("bytes can be read");
        may_have_huge_pages(bytes.as_slice(), smallest).expect("bytes can be read");
    }

    #[test]
    fn no_words_of_smaps_panic(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "7f81a3e00000-ffffffffffffffff", " ", "rw-s", "00:11", "ffffffffffffffff", "18446744073709551615", "\n",
                "/SYSV", "[stack:é", "VmFlags: ht nr", "Shared_Hugetlb: 18446744073709551 kB", "KernelPageSize:", "0",
            ]),
            0..40,
        )
    ) {
        let text = words.concat();
        let _ = (found(&text), may_have_huge_pages(text.as_bytes(), 0));
    }

    #[test]
    fn an_odd_mapping_costs_only_itself(name in "[^\n]*", fields in "([A-Z][^\n]{0,20}\n){0,4}", bytes: Vec<u8>) {
        let first = format!("7f81a3e00000-7f81b0600000 rw-s 00000000 00:2b 7 {name}\n{fields}");
        let mut text = no_reserve().into_bytes();
        text.extend_from_slice(first.as_bytes());
        text.extend(bytes.iter().map(|byte| if *byte == b'\n' { b'?' } else { *byte }));
        text.push(b'\n');
        text.extend_from_slice(no_reserve().as_bytes());
        let found = read(text.as_slice()).expect("bytes can be read");
        let good = found.vmas.iter().filter(|vma| vma.object.inode == 226_884).count();
        prop_assert_eq!(good, 2);
    }

    #[test]
    fn whatever_its_name_a_mapping_is_found(name in "[^\n]*") {
        let first = format!("7f81a3e00000-7f81b0600000 rw-s 00000000 00:2b 7                  {name}");
        prop_assert_eq!(found(&shown(&first, "rd wr sh ht", (0, 0))).vmas.len(), 1);
        prop_assert!(may_have_huge_pages(first.as_bytes(), 2 * MI).expect("read"));
    }
}
