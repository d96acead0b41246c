//! Tells the program its commit and compiler, for `--version` and `hugetlb_exporter_build_info`.
//!
//! The commit comes from whoever builds (`HUGETLB_EXPORTER_REVISION`), from what `cargo package` or `git archive` wrote
//! into a tarball, or from git; else it is "unknown". No time and no path, so that two builds of a commit are the same.

use std::fs;
use std::path::Path;
use std::process::Command;

/// As long as `git rev-parse --short=12` has it.
const LENGTH: usize = 12;

fn main() {
    println!("cargo:rerun-if-env-changed=HUGETLB_EXPORTER_REVISION");
    let told = std::env::var("HUGETLB_EXPORTER_REVISION").ok().filter(|told| !told.is_empty());
    let revision = told
        .or_else(packaged)
        .or_else(archived)
        .or_else(checked_out)
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = first_line(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    let rustc = rustc.split_ascii_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo:rustc-env=HUGETLB_EXPORTER_REVISION={revision}");
    println!("cargo:rustc-env=HUGETLB_EXPORTER_RUSTC={rustc}");
}

/// `cargo package` writes `"sha1": "…"` into a file of its own.
fn packaged() -> Option<String> {
    let text = read(".cargo_vcs_info.json")?;
    commit(text.split("\"sha1\"").nth(1)?.split('"').nth(1)?)
}

/// `git archive`, and so a forge's tarball, puts the commit into this file (.gitattributes).
fn archived() -> Option<String> {
    commit(read(".revision")?.trim())
}

/// Of this very directory: a tarball may lie in a repository of somebody else's.
fn checked_out() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // Changes with each commit, and lies elsewhere in a worktree. Named only if it is there: a missing file is
    // always "changed".
    if let Some(log) = first_line("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
    commit(&first_line("git", &["rev-parse", "HEAD"])?)
}

/// The file's text; the build follows it if it is there.
fn read(name: &str) -> Option<String> {
    let text = fs::read_to_string(name).ok()?;
    println!("cargo:rerun-if-changed={name}");
    Some(text)
}

/// A commit's first digits, if it is one.
fn commit(text: &str) -> Option<String> {
    let digits = text.get(..LENGTH)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| digits.to_owned())
}

/// What a program says, if it is there and succeeds.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().next()?.to_owned())
}
