//! Which cgroups are found, and when.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

fn inode(example: &Example, path: &str) -> u64 {
    example.shown.iter().find(|cgroup| &*cgroup.path == path).expect("shown").inode
}

#[test]
fn parents_come_first_and_branches_without_files_are_left_out() {
    let example = Example::new(&["b", "b/c", "a", "none/deeper"]);
    let shown = example.shown.iter().map(|cgroup| (&*cgroup.path, cgroup.parent));
    assert_eq!(shown.collect::<Vec<_>>(), [("/a", None), ("/b", None), ("/b/c", Some(1))]);
    assert!(example.shown.iter().all(|cgroup| cgroup.inode != 0));
}

#[test]
fn names_that_are_no_text_are_found() {
    let mut example = Example::new(&["x"]);
    let strange = example.at("").join(OsString::from_vec(b"x\xff".to_vec()));
    fs::rename(example.at("x"), &strange).expect("renamed");
    example.read();
    assert_eq!(example.paths(), ["/x%FF"]);
}

#[test]
fn another_of_the_same_name_is_another() {
    let mut example = Example::settled(&["a/b", "a"]);
    let before = inode(&example, "/a");
    fs::rename(example.at("a"), example.at("c")).expect("renamed");
    example.make("a");
    example.read();
    assert_eq!(example.paths(), ["/a", "/c", "/c/b"]);
    assert_ne!(inode(&example, "/a"), before);
    assert_eq!(inode(&example, "/c"), before);
}

#[test]
fn what_comes_and_goes_is_notified() {
    let mut example = Example::settled(&["a", "a/b"]);
    example.make("a/c");
    example.make("a/c/d");
    fs::remove_dir_all(example.at("a/b")).expect("removed");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/c", "/a/c/d"]);
    // What came since is watched as well.
    example.make("a/c/d/e");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/c", "/a/c/d", "/a/c/d/e"]);
    assert_eq!(example.problems, Health::Up);
}

/// Has a cgroup pass the controller on, or not.
fn pass_on(example: &Example, path: &str, controllers: &str) {
    fs::write(example.at(path).join("cgroup.subtree_control"), controllers).expect("written");
}

#[test]
fn whoever_is_given_the_controller_later_is_found_then() {
    let mut example = Example::new(&["a"]);
    pass_on(&example, "a", "memory");
    fs::create_dir(example.at("a/b")).expect("made");
    example.read();
    assert_eq!(example.paths(), ["/a"]);
    example.make("a/b");
    pass_on(&example, "a", "memory hugetlb");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/b"]);
}

#[test]
fn without_notifications_too_whoever_is_given_the_controller_later_is_found() {
    let mut example = Example::new(&["a"]);
    example.cgroups.watch = None;
    pass_on(&example, "a", "");
    fs::create_dir(example.at("a/b")).expect("made");
    example.read();
    assert_eq!(example.paths(), ["/a"]);
    example.make("a/b");
    pass_on(&example, "a", "hugetlb");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/b"]);
}

#[test]
fn whoever_is_given_files_without_notification_is_found_within_the_hour() {
    let mut example = Example::new(&["a"]);
    fs::create_dir(example.at("a/b")).expect("made");
    example.read();
    example.make("a/b");
    example.after(1800);
    assert_eq!(example.paths(), ["/a"]);
    example.after(1800);
    assert_eq!(example.paths(), ["/a", "/a/b"]);
}

/// Takes the controller from those below, as the kernel does: the files are gone, and the directories stay.
fn withdraw(example: &Example, path: &str, below: &[&str]) {
    pass_on(example, path, "");
    for child in below {
        for file in fs::read_dir(example.at(path).join(child)).expect("listed").flatten() {
            fs::remove_file(file.path()).expect("removed");
        }
    }
}

#[test]
fn a_controller_withdrawn_by_hand_is_missed_at_once_where_pages_are_used_and_else_within_a_minute()
{
    let mut example = Example::settled(&["a", "a/b", "a/c", "d", "d/e"]);
    example.use_pages(&["a", "a/b"], 1);
    example.read();
    withdraw(&example, "a", &["b", "c"]);
    withdraw(&example, "d", &["e"]);
    example.after(4);
    assert_eq!(example.paths()[..2], ["/a", "/d"]);
    example.after(60);
    assert_eq!(example.paths(), ["/a", "/d"]);
    assert_eq!(example.problems, Health::Up);
    // Given again, it is notified.
    ["a/b", "a/c"].iter().for_each(|path| example.make(path));
    pass_on(&example, "a", "hugetlb");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/b", "/a/c", "/d"]);
}
