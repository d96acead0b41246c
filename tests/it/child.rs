//! The process that touches: what it keeps of the one that started it.

use std::fs;
use std::process::{Command, Stdio};

use hugetlb_exporter::host::toucher::Toucher;

/// A child that was started by a shell which had one more file open, and which marks none to be closed.
fn started() -> Toucher {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec 9</dev/null; exec "$0" touch-child --mapping=private"#]);
    Toucher::start(command.arg(env!("CARGO_BIN_EXE_hugetlb-exporter"))).expect("it starts")
}

#[test]
fn it_holds_no_descriptor_but_its_pipes_and_leaves_no_core() {
    let mut started = started();
    // By its first answer it has made itself harmless.
    assert_eq!(started.order("unmap").expect("an answer").as_deref(), Some("unmapped"));
    let process = format!("/proc/{}", started.pid());
    let directory = format!("{process}/fd");
    // Not dumpable, its descriptors are root's to see.
    if let Ok(open) = fs::read_dir(directory) {
        let mut open: Vec<String> = open
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a number"))
            .collect();
        open.sort();
        assert_eq!(open, ["0", "1", "2"]);
    }
    let limits = fs::read_to_string(format!("{process}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let core: Vec<&str> = core.split_ascii_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
}

#[test]
fn it_ends_at_an_order_it_does_not_know_and_when_nobody_tells_it_any_more() {
    let mut started = started();
    assert_eq!(started.order("touch 1").expect("its end"), None, "nothing is mapped");
    assert_eq!(started.wait().expect("its end").code(), Some(1));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"));
    command.args(["touch-child", "--mapping=private"]).stdin(Stdio::null());
    assert!(command.status().expect("its end").success());
}
