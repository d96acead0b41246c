//! `try` and `fit`: the story of 64, 100, and 100 written to, in one command each.

use std::process::Command;

use super::Named;
use super::mappings::Hugetlbfs;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::{agent, wait_for};
use crate::machine::POOL_PAGES;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[
    ("by_hand::the_story", the_story),
    ("by_hand::by_what_it_was_refused", by_what_it_was_refused),
    ("by_hand::what_is_held_can_be_looked_at", held),
    ("by_hand::a_need_is_held_against_limits_and_pool", fit),
];

/// A command line that will run in a cgroup.
fn command(cgroup: &Cgroup, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(cgroup.path());
    command.arg(agent::program()).args(arguments);
    command
}

/// Runs a command line in a cgroup: what it says, and its exit code.
fn run(cgroup: &Cgroup, arguments: &[&str]) -> (String, Option<i32>) {
    let output = command(cgroup, arguments).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).expect("text"), output.status.code())
}

#[track_caller]
fn check(cgroup: &Cgroup, arguments: &[&str], code: i32, words: &[&str]) -> String {
    let (said, got) = run(cgroup, arguments);
    assert_eq!(got, Some(code), "{arguments:?}: {said}");
    let unwrapped = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in words {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unwrapped.contains(&words), "{words:?} is not in {said}");
    }
    let fits_a_terminal =
        |line: &str| line.chars().count() <= 80 || !line.starts_with(char::is_uppercase);
    assert!(said.lines().all(fits_a_terminal), "{said}");
    said
}

fn the_story(lab: &Lab) {
    let cgroup = Cgroup::new(lab, "lab-try");
    cgroup.limit(64);
    let mapped =
        check(&cgroup, &["try", "--pages=64"], 0, &["128Mi", "500 pages of 2Mi: 500 free"]);
    assert!(mapped.contains("not touched"), "{mapped}");
    check(&cgroup, &["try", "--pages=100"], 0, &["may touch 64 more: a touch beyond is SIGBUS"]);
    let died = ["Touched  64 pages", "the touch of page 65", "the limit of /lab-try", "128Mi"];
    check(&cgroup, &["try", "--pages=100", "--touch=100", "--yes"], 3, &died);
    check(&cgroup, &["try", "--pages=64", "--touch=64", "--yes"], 0, &["Touched  64 pages"]);
    check(&cgroup, &["try", "--pages=100", "--touch=2"], 64, &["--yes", "neighbour"]);
    let json =
        check(&cgroup, &["try", "--pages=100", "--touch=100", "--yes", "--output=json"], 3, &[]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["touched_pages"], &json["refused_by"]["kind"]),
        (&64.into(), &"limit".into())
    );
    for kind in [&["--shared"][..], &["--noreserve"], &["--shared", "--noreserve"]] {
        let arguments = [&["try", "--pages=65", "--touch=65", "--yes"], kind].concat();
        check(&cgroup, &arguments, 3, &["the touch of page 65"]);
    }
    let files = Hugetlbfs::new();
    let directory = files.file("").display().to_string();
    let arguments = ["try", "--pages=65", "--touch=65", "--yes", "--file", &directory];
    check(&cgroup, &arguments, 3, &["of a file", "the touch of page 65"]);
    let left = std::fs::read_dir(&directory).expect("the directory").count();
    assert_eq!(left, 0, "its file is removed");
    assert_eq!(cgroup.read("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes"), "0");
}

fn by_what_it_was_refused(lab: &Lab) {
    let above = Cgroup::new(lab, "lab-above");
    let cgroup = Cgroup::new(lab, "lab-above/try");
    above.limit(10);
    let touch = ["try", "--pages=11", "--touch=11", "--yes"];
    check(&cgroup, &touch, 3, &["the limit of /lab-above (", "20Mi"]);
    above.reservation_limit(10);
    check(&cgroup, &touch, 2, &["at mmap", "the reservation limit of /lab-above (", "20Mi"]);
    let noreserve = [&touch[..], &["--noreserve"]].concat();
    check(&cgroup, &noreserve, 3, &["the reservation limit of /lab-above (", "20Mi"]);
    let free = Cgroup::new(lab, "lab-free");
    check(&free, &["try", &format!("--pages={}", POOL_PAGES + 1)], 2, &["the node's pool"]);
    let ballast = Cgroup::new(lab, "lab-ballast");
    let mut sunk = Tenant::new(&ballast, "private");
    sunk.map(POOL_PAGES - 3);
    let arguments = ["try", "--pages=4", "--touch=4", "--yes", "--noreserve"];
    check(&free, &arguments, 3, &["Touched  3 pages", "the node's pool"]);
    check(&free, &["try", "--pages=1", "--pagesize=1Gi"], 2, &["the node's pool"]);
    check(&free, &["try", "--pages=1", "--pagesize=4Mi"], 2, &["Invalid argument"]);
    check(&free, &["try", "--pages=1", "--file=/tmp"], 1, &["/tmp is no hugetlbfs"]);
}

fn held(lab: &Lab) {
    let cgroup = Cgroup::new(lab, "lab-try");
    let arguments = ["try", "--pages=7", "--touch=2", "--yes", "--hold=60s"];
    let mut trial = command(&cgroup, &arguments).spawn().expect("it runs");
    let reserved = || cgroup.read("hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes");
    let used = || cgroup.read("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes");
    let holds =
        |pages: [u64; 2]| [reserved(), used()] == pages.map(|pages| (pages << 21).to_string());
    wait_for("it to hold 7 and to use 2", || holds([7, 2]).then_some(()));
    // Ended before its time, it gives everything back: its child ends with it.
    trial.kill().expect("killed");
    trial.wait().expect("its end");
    wait_for("all to come back", || holds([0, 0]).then_some(()));
    let files = Hugetlbfs::new();
    let directory = files.file("").display().to_string();
    let arguments = [&arguments[..], &["--file", &directory]].concat();
    let mut trial = command(&cgroup, &arguments).spawn().expect("it runs");
    wait_for("it to hold a file of 7 and to use 2", || holds([7, 2]).then_some(()));
    trial.kill().expect("killed");
    trial.wait().expect("its end");
    wait_for("the file to be gone", || holds([0, 0]).then_some(()));
}

fn fit(lab: &Lab) {
    let cgroup = Cgroup::new(lab, "lab-fit");
    cgroup.limit(141);
    check(&cgroup, &["fit", "--need=282Mi"], 0, &["282Mi of 2Mi pages fit"]);
    check(&cgroup, &["fit", "--need-pages=142"], 2, &["the limit of /lab-fit is 282Mi", "284Mi"]);
    check(&cgroup, &["fit", "--need=10Mi", "--limit=8Mi"], 2, &["hugepages-2Mi: 8Mi"]);
    cgroup.reservation_limit(100);
    check(&cgroup, &["fit", "--need=282Mi"], 2, &["the reservation limit of /lab-fit is 200Mi"]);
    let free = Cgroup::new(lab, "lab-free");
    check(&free, &["fit", "--need-pages=501"], 2, &["the node's pool can give 1000Mi"]);
    check(&free, &["fit", "--need=1Gi", "--pagesize=1Gi"], 2, &["the node's pool can give 0"]);
    check(&free, &["fit", "--need=1Gi", "--pagesize=16Mi"], 2, &["no pool of 16Mi pages"]);
    let log = tempfile::NamedTempFile::new().expect("a file");
    let path = log.path().display().to_string();
    let said = check(&free, &["fit", "--need-pages=501", "--termination-log", &path], 2, &[]);
    assert_eq!(std::fs::read_to_string(log.path()).expect("written"), said);
    assert_eq!(said.lines().count(), 1);
}
