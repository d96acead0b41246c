//! Tells the program its commit and compiler, for `--version` and `hugetlb_exporter_build_info`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=HUGETLB_EXPORTER_REVISION");
    // The log of HEAD changes with each commit. Named only if it is there: a missing file is always "changed".
    if Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
    let revision = std::env::var("HUGETLB_EXPORTER_REVISION")
        .ok()
        .filter(|revision| !revision.is_empty())
        .or_else(|| first_line("git", &["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = first_line(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    let rustc = rustc.split_ascii_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo:rustc-env=HUGETLB_EXPORTER_REVISION={revision}");
    println!("cargo:rustc-env=HUGETLB_EXPORTER_RUSTC={rustc}");
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
