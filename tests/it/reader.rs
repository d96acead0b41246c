//! A reader that stays, on a copied tree: nothing keeps the sums there and nothing notifies, so each of its reads equals a
//! new reader's first, however files and directories were changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hugetlb_exporter::bench::{Resident, Snapshot, read_once};
use proptest::prelude::*;

use crate::machine::Machine;

/// What of a snapshot is read from files, as text; of several problems of a source, either may come first.
fn facts(snapshot: &Snapshot) -> String {
    let Snapshot { pools, memory, cgroups, sources, .. } = snapshot;
    let health = sources.iter().map(|it| (it.source, &format!("{:?}", it.health)[..2] == "Up"));
    let health: Vec<_> = health.collect();
    format!("{pools:#?}\n{memory:#?}\n{cgroups:#?}\n{health:#?}")
}

/// The first line of one text that is not the other's.
fn difference(left: &str, right: &str) -> Option<String> {
    let mut lines = left.lines().zip(right.lines()).enumerate();
    let other = lines.find(|(_, (left, right))| left != right);
    let other = other.map(|(number, (left, right))| format!("line {number}: {left} is {right}"));
    other.or_else(|| (left != right).then(|| "one has more".to_owned()))
}

/// Every regular file below a directory, and every directory, each in order.
fn tree(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    let mut next = 0;
    while let Some(directory) = directories.get(next).cloned() {
        for entry in fs::read_dir(directory).expect("listed").flatten() {
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
        next += 1;
    }
    files.sort_unstable();
    directories.sort_unstable();
    (files, directories)
}

/// The same text with another number at the end of each line that ends in one, a unit aside. Page sizes stay.
fn other_numbers(text: &str) -> String {
    let other = |line: &str| {
        let (number, unit) = match line.strip_suffix(" kB") {
            Some(number) => (number, " kB"),
            None => (line, ""),
        };
        let digits = number.trim_end_matches(|character: char| character.is_ascii_digit());
        match number[digits.len()..].parse::<u64>() {
            Ok(value) if !line.starts_with("Hugepagesize") => {
                format!("{digits}{}{unit}\n", value.saturating_add(1 << 21))
            }
            _ if line == "max" => "4194304\n".to_owned(),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(other).collect()
}

/// Puts another file in a file's place, as an atomic write does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("renamed");
}

#[test]
fn files_that_are_replaced_by_others_are_read_anew() {
    for name in ["v2-systemd-runc", "v1-cgroupfs-runc", "numa-five-nodes"] {
        let machine = Machine::named(name);
        let mut resident = Resident::new(machine.roots());
        resident.read(Duration::ZERO);
        let before = resident.read(Duration::from_secs(2));
        for path in tree(machine.root()).0 {
            // What tells where the others are.
            if !path.ends_with("self/mountinfo") && !path.ends_with("self/cgroup") {
                let text = fs::read(&path).expect("read");
                replace(&path, &other_numbers(&String::from_utf8_lossy(&text)));
            }
        }
        let after = resident.read(Duration::from_secs(4));
        let new = read_once(machine.roots());
        assert_eq!(difference(&facts(&after), &facts(&new)), None, "{name}");
        for (before, after) in before.cgroups.iter().zip(after.cgroups.iter()) {
            for (before, after) in before.hugetlb.iter().zip(after.hugetlb.iter()) {
                assert_ne!((before.usage, before.limit), (after.usage, after.limit), "{name}");
            }
        }
        assert_ne!(format!("{:?}", before.pools), format!("{:?}", after.pools), "{name}");
        assert_ne!(format!("{:?}", before.memory), format!("{:?}", after.memory), "{name}");
    }
}

/// What is done to the tree; files and directories are chosen by number.
#[derive(Debug, Clone)]
enum Edit {
    Write(usize, usize),
    Replace(usize, usize),
    RemoveFile(usize),
    RemoveDirectory(usize),
    /// One cgroup more, with the files of another.
    Copy(usize, usize),
}

const TEXTS: [&str; 8] = ["0", "2097152", "6291456", "max", "max 0", "max 7", "total=0 N0=0", "x"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let number = 0..10_000_usize;
    let pair = (number.clone(), number.clone());
    let edit = prop_oneof![
        4 => pair.clone().prop_map(|(file, text)| Edit::Write(file, text)),
        4 => pair.clone().prop_map(|(file, text)| Edit::Replace(file, text)),
        1 => number.clone().prop_map(Edit::RemoveFile),
        1 => number.prop_map(Edit::RemoveDirectory),
        2 => pair.prop_map(|(from, to)| Edit::Copy(from, to)),
    ];
    proptest::collection::vec(edit, 1..40)
}

fn apply(edit: &Edit, root: &Path, number: usize) {
    let (files, directories) = tree(root);
    let files: Vec<_> =
        files.iter().filter(|it| it.to_string_lossy().contains("hugetlb.")).collect();
    let file = |which: usize| files.get(which.checked_rem(files.len()).unwrap_or_default());
    let directory = |which: usize| &directories[which % directories.len()];
    match *edit {
        Edit::Write(which, text) => {
            if let Some(file) = file(which) {
                fs::write(file, TEXTS[text % TEXTS.len()]).expect("written");
            }
        }
        Edit::Replace(which, text) => {
            if let Some(file) = file(which) {
                replace(file, TEXTS[text % TEXTS.len()]);
            }
        }
        Edit::RemoveFile(which) => {
            // The hierarchy's root keeps its files: by them a new reader knows it, and the kernel takes none away.
            let is_root =
                |file: &Path| ["cgroup", "hugetlb"].iter().any(|name| file.ends_with(name));
            if let Some(file) = file(which).filter(|file| !file.parent().is_some_and(is_root)) {
                fs::remove_file(file).expect("removed");
            }
        }
        // Not the root.
        Edit::RemoveDirectory(which) if which % directories.len() == 0 => {}
        Edit::RemoveDirectory(which) => fs::remove_dir_all(directory(which)).expect("removed"),
        Edit::Copy(from, to) => {
            let new = directory(to).join(format!("new-{number}"));
            fs::create_dir(&new).expect("made");
            for file in fs::read_dir(directory(from)).expect("listed").flatten() {
                if file.file_type().expect("a type").is_file() {
                    fs::copy(file.path(), new.join(file.file_name())).expect("copied");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_copied_tree_is_read_as_by_a_new_reader(edits in edits()) {
        for name in ["v2-systemd-runc", "v1-cgroupfs-runc"] {
            let machine = Machine::named(name);
            let mut resident = Resident::new(machine.roots());
            for (number, edit) in edits.iter().enumerate() {
                apply(edit, &machine.root().join("sys/fs/cgroup"), number);
                let stays = resident.read(Duration::from_secs(2 * number as u64));
                let new = read_once(machine.roots());
                prop_assert_eq!(difference(&facts(&stays), &facts(&new)), None, "{} {:?}", name, edit);
            }
        }
    }
}
