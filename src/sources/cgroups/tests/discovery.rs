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

/// So many idle pods that there is no room for three of them.
fn crowded() -> Example {
    let mut example = Example::new(&["k"]);
    example.tree().most = 6;
    (0..7).for_each(|number| example.make(&format!("k/p{number}")));
    example.read();
    assert_eq!(example.paths(), ["/k", "/k/p0", "/k/p1", "/k/p2", "/k/p3"]);
    example
}

#[test]
fn how_many_there_is_no_room_for_is_said_at_every_poll() {
    let mut example = crowded();
    for _ in 0..2 {
        let Health::Down(why) = &example.problems else { panic!("it is said") };
        assert!(why.starts_with("3 cgroups are left out: beyond 6 "), "{why}");
        example.read();
    }
    fs::remove_dir_all(example.at("k/p0")).expect("removed");
    example.read();
    assert_eq!(example.paths(), ["/k", "/k/p1", "/k/p2", "/k/p3", "/k/p4"]);
    ["k/p1", "k/p2"].iter().for_each(|it| fs::remove_dir_all(example.at(it)).expect("removed"));
    example.read();
    assert_eq!(example.problems, Health::Up);
}

#[test]
fn there_is_room_for_those_that_use_pages_or_were_granted_some() {
    const POD: &str = "k/pod11111111-1111-4222-8333-444444444444";
    let mut example = crowded();
    example.make(POD);
    example.write(POD, "max", "2097152");
    example.make(&format!("{POD}/c"));
    example.read();
    let more = |example: &Example| -> Vec<String> {
        example.paths()[5..].iter().map(|path| path.replace(POD, "pod")).collect()
    };
    assert_eq!(more(&example), ["/pod", "/pod/c"], "as they come");
    example.use_pages(&["k", "k/p5"], 2);
    (0..2).for_each(|_| example.read());
    assert_eq!(more(&example), ["/k/p5", "/pod", "/pod/c"], "something is left over");
    assert_eq!(example.pages("/k/p5"), 2);
    example.write("k/p6", "max", "2097152");
    example.after(60);
    assert_eq!(more(&example), ["/k/p5", "/k/p6", "/pod", "/pod/c"], "in the parent's turn");
}
