//! Everything that may lie where a file is expected.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    words: Vec<String>,
}

impl Content for Words {
    const SCHEMA: &'static str = "words";
    const VERSION: u32 = 3;
    const FILE: &'static str = "words.json";

    fn check(&self) -> Result<(), String> {
        if self.words.iter().any(|word| word == "no") {
            Err("it says no".to_owned())
        } else {
            Ok(())
        }
    }
}

const WITHIN: Duration = Duration::from_secs(30);

fn words(words: &[&str]) -> Words {
    Words { words: words.iter().map(|word| (*word).to_owned()).collect() }
}

fn at(seconds: u64) -> Moment {
    Moment { boot: "boot".to_owned(), since_boot: Duration::from_secs(seconds) }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn complaint(directory: &Path, now: &Moment) -> String {
    let error = read::<Words>(directory, now).expect_err("it is not to be believed").to_string();
    let path = path_of::<Words>(directory).display().to_string();
    error.strip_prefix(&format!("{path}: ")).expect("it names the file").to_owned()
}

#[test]
fn what_was_written_is_read() {
    let directory = directory();
    for said in [words(&["a"]), words(&["b", "c"])] {
        write(directory.path(), &said, WITHIN, &at(100)).expect("written");
        let expected = Received { content: said, age: Duration::from_secs(20), is_late: false };
        assert_eq!(read(directory.path(), &at(120)).expect("read"), expected);
    }
    let late: Received<Words> = read(directory.path(), &at(131)).expect("read");
    assert!(late.is_late, "{late:?}");
    let left: Vec<_> = fs::read_dir(directory.path()).expect("listed").collect();
    assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
}

#[test]
fn the_clock_is_the_machines() {
    let mut now = Moment::now(Path::new("/proc")).expect("now");
    let before = now.clone();
    now.renew().expect("a clock");
    assert_eq!((now.boot.len(), &now.boot), (36, &before.boot));
    assert!(now.since_boot >= before.since_boot && now.since_boot > Duration::ZERO);
}

#[test]
fn what_is_of_another_time_is_not_believed() {
    let directory = directory();
    assert_eq!(complaint(directory.path(), &at(1)), "no such file yet");
    write(directory.path(), &words(&[]), WITHIN, &at(100)).expect("written");
    assert_eq!(complaint(directory.path(), &at(99)), "says it was written later than now");
    let other = Moment { boot: "other".to_owned(), ..at(101) };
    assert_eq!(complaint(directory.path(), &other), "left from before the machine was booted");
}

#[test]
fn what_is_no_such_file_gets_one_clear_line() {
    let directory = directory();
    let path = path_of::<Words>(directory.path());
    let sent = |schema: &str, version: u32, content: &str| {
        format!(
            r#"{{"schema":{schema:?},"version":{version},"boot":"boot","written_ms":1,"due_ms":2,"content":{content}}}"#
        )
    };
    for (text, expected) in [
        (String::new(), "not of the form expected: "),
        ("[".repeat(100_000), "not of the form expected: "),
        ("\u{0}\u{ff}".to_owned(), "not of the form expected: "),
        (
            sent(&"x".repeat(500), 3, "{}"),
            "says it is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", expected \"words\"",
        ),
        (sent("words", 4, "{}"), "of version 4, expected 3"),
        (sent("words", 3, r#"{"words":[7]}"#), "not of the form expected: "),
        (sent("words", 3, r#"{"words":["no"]}"#), "not to be believed: it says no"),
        (" ".repeat(300_000), "larger than 262144 bytes"),
    ] {
        fs::write(&path, text).expect("written");
        let complaint = complaint(directory.path(), &at(1));
        assert!(complaint.starts_with(expected), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

#[test]
fn neither_links_nor_pipes_nor_directories_are_opened() {
    let directory = directory();
    let path = path_of::<Words>(directory.path());
    fs::write(directory.path().join("secret"), "{}").expect("written");
    symlink(directory.path().join("secret"), &path).expect("linked");
    assert_eq!(complaint(directory.path(), &at(1)), "not a regular file");
    // A writer replaces it, and does not write through it.
    write(directory.path(), &words(&[]), WITHIN, &at(1)).expect("written");
    assert_eq!(fs::read_to_string(directory.path().join("secret")).expect("text"), "{}");
    fs::remove_file(&path).expect("removed");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert_eq!(complaint(directory.path(), &at(1)), "not a regular file");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert_eq!(complaint(directory.path(), &at(1)), "not a regular file");
    assert!(write(directory.path(), &words(&[]), WITHIN, &at(1)).is_err());
    assert!(!directory.path().join(".words.json.new").exists(), "nothing is left of it");
}

#[test]
fn what_a_killed_writer_left_is_in_nobodys_way() {
    let directory = directory();
    symlink("/nowhere/at/all", directory.path().join(".words.json.new")).expect("linked");
    write(directory.path(), &words(&["a"]), WITHIN, &at(1)).expect("written");
    assert!(read::<Words>(directory.path(), &at(2)).is_ok());
}

#[test]
fn what_is_not_to_be_believed_is_not_written() {
    let directory = directory();
    write(directory.path(), &words(&["a"]), WITHIN, &at(1)).expect("written");
    let long = "x".repeat(300_000);
    for wrong in [words(&["no"]), words(&[&long])] {
        assert!(write(directory.path(), &wrong, WITHIN, &at(1)).is_err());
    }
    let kept: Received<Words> = read(directory.path(), &at(2)).expect("read");
    assert_eq!(kept.content, words(&["a"]));
}

proptest! {
    #[test]
    fn no_file_panics(bytes: Vec<u8>) {
        let directory = directory();
        fs::write(path_of::<Words>(directory.path()), bytes).expect("written");
        let _ = read::<Words>(directory.path(), &at(1));
    }
}
