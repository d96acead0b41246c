//! What is there again after any end.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::snapshot::Limit;
use crate::snapshot::guard::Action;
use crate::units::Bytes;

const BOOT: &str = "boot";

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(directory: &tempfile::TempDir) -> Journal {
    Journal::open(directory.path(), BOOT).expect("a journal")
}

fn key(inode: u64, which: Which) -> Key {
    let size = "2Mi".parse().expect("a size");
    Key { cgroup: format!("/kubepods/pod{inode}"), inode, size, which }
}

fn change(new: u64) -> Change {
    let new = Limit::At(Bytes(new << 21));
    Change { why: Action::Refuse, old: Limit::Unlimited, new, repeated: false }
}

fn recorded(journal: &Journal) -> Vec<(Key, Change)> {
    journal.records().map(|(key, change)| (key.clone(), *change)).collect()
}

#[test]
fn what_was_recorded_is_there_at_the_next_start() {
    let directory = directory();
    let mut journal = open(&directory);
    let [one, two, three] = [1, 2, 3].map(|inode| key(inode, Which::Reservation));
    for key in [&one, &two, &three] {
        journal.record(key, change(0)).expect("recorded");
    }
    journal.record(&two, change(7)).expect("recorded");
    journal.end(&three);
    let expected = vec![(one, change(0)), (two, change(7))];
    assert_eq!(recorded(&journal), expected);
    assert_eq!(recorded(&open(&directory)), expected);
    assert_eq!(recorded(&open(&directory)), expected, "nor is it lost by starting");
}

#[test]
fn of_another_boot_nothing_counts() {
    let directory = directory();
    open(&directory).record(&key(1, Which::Fault), change(1)).expect("recorded");
    let later = Journal::open(directory.path(), "later").expect("a journal");
    assert_eq!(recorded(&later), []);
}

#[test]
fn a_kill_at_any_byte_costs_no_more_than_the_last_line() {
    let directory = directory();
    let mut journal = open(&directory);
    let keys: Vec<Key> = (1..5).map(|inode| key(inode, Which::Reservation)).collect();
    for key in &keys {
        journal.record(key, change(3)).expect("recorded");
    }
    let path = directory.path().join(FILE);
    let text = fs::read(&path).expect("its text");
    let head = text.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for length in head..=text.len() {
        fs::write(&path, &text[..length]).expect("torn");
        let whole = text[head..length].iter().filter(|byte| **byte == b'\n').count();
        let mut journal = open(&directory);
        assert_eq!((journal.records().count(), journal.strange), (whole, 0), "{length}");
        journal.record(&keys[3], change(9)).expect("recorded");
        assert_eq!(open(&directory).get(&keys[3]), Some(change(9)));
    }
}

#[test]
fn it_does_not_grow_with_what_is_over() {
    let directory = directory();
    let mut journal = open(&directory);
    for inode in 0..20_000 {
        journal.record(&key(inode, Which::Reservation), change(0)).expect("recorded");
        journal.end(&key(inode, Which::Reservation));
    }
    let length = fs::metadata(directory.path().join(FILE)).expect("there").len();
    assert!(length < 512 * 1024, "{length}");
    let many: Vec<Key> = (0..40_000).map(|inode| key(inode, Which::Fault)).collect();
    let refused = many.iter().position(|key| journal.record(key, change(0)).is_err());
    assert!(refused.is_some_and(|number| number > 10_000), "it ends somewhere: {refused:?}");
    journal.keep(|key| key.inode < 5);
    assert_eq!(journal.records().count(), 5);
    assert_eq!(open(&directory).records().count(), 5);
}

#[test]
fn a_link_or_a_directory_in_its_place_is_an_error() {
    let directory = directory();
    let path = directory.path().join(FILE);
    symlink("/etc/passwd", &path).expect("linked");
    assert!(Journal::open(directory.path(), BOOT).is_err());
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert!(Journal::open(directory.path(), BOOT).is_err());
}

#[test]
fn lines_that_are_none_are_counted_and_the_others_count() {
    let directory = directory();
    open(&directory).record(&key(1, Which::Fault), change(1)).expect("recorded");
    let path = directory.path().join(FILE);
    let mut text = fs::read(&path).expect("its text");
    text.extend(b"{\"cgroup\":7}\n\n[]\n");
    fs::write(&path, text).expect("written");
    let journal = open(&directory);
    assert_eq!((journal.records().count(), journal.strange), (1, 3));
}

proptest! {
    #[test]
    fn no_text_panics(text: Vec<u8>) {
        let _ = parse(&text, BOOT);
        let mut ours = b"{\"journal\":1,\"boot\":\"boot\"}\n".to_vec();
        ours.extend(text);
        let _ = parse(&ours, BOOT);
    }
}
