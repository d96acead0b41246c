//! The process that touches: what it keeps of the one that started it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A child that was started by a shell which had one more file open, and which marks none to be closed.
struct Started {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Started {
    fn new() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec 9</dev/null; exec "$0" touch-child --mapping=private"#]);
        command.arg(env!("CARGO_BIN_EXE_hugetlb-exporter"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let orders = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, orders, answers }
    }

    fn tell(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").expect("told");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        answer.trim().to_owned()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect(name)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_holds_no_descriptor_but_its_pipes_and_leaves_no_core() {
    let mut started = Started::new();
    // By its first answer it has made itself harmless.
    assert_eq!(started.tell("unmap"), "unmapped");
    let directory = format!("/proc/{}/fd", started.child.id());
    // Not dumpable, its descriptors are root's to see.
    if let Ok(open) = fs::read_dir(directory) {
        let mut open: Vec<String> = open
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a number"))
            .collect();
        open.sort();
        assert_eq!(open, ["0", "1", "2"]);
    }
    let limits = started.file("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let core: Vec<&str> = core.split_ascii_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
}

#[test]
fn it_ends_at_an_order_it_does_not_know_and_when_nobody_tells_it_any_more() {
    let mut started = Started::new();
    assert_eq!(started.tell("touch 1"), "", "nothing is mapped");
    assert_eq!(started.child.wait().expect("its end").code(), Some(1));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"));
    command.args(["touch-child", "--mapping=private"]).stdin(Stdio::null());
    assert!(command.status().expect("its end").success());
}
