//! What a terminal is shown, and what it is spared.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::pty::openpty;

use crate::machine::Machine;

/// All that a terminal is shown of a command that is given one for both outputs.
fn shown(arguments: &[String], environment: &[(&str, &str)]) -> String {
    let terminal = openpty(None, None).expect("a terminal");
    let slave = |descriptor: &OwnedFd| Stdio::from(descriptor.try_clone().expect("once more"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(slave(&terminal.slave))
        .stderr(slave(&terminal.slave))
        .spawn()
        .expect("it runs");
    drop(terminal.slave);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let mut terminal = File::from(terminal.master);
    loop {
        // A terminal that nobody writes to any more can't be read (EIO).
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => io::copy(&mut &buffer[..read], &mut bytes).expect("kept"),
        };
    }
    child.wait().expect("its end");
    String::from_utf8(bytes).expect("text")
}

/// A help, a report, an error of the command line, and a log line on the way to an error.
fn commands(machine: &Machine) -> [(&'static str, Vec<String>, bool); 4] {
    let with = |words: &[&str]| {
        words.iter().map(|word| (*word).to_owned()).chain(machine.flags()).collect::<Vec<_>>()
    };
    [
        ("Usage:", with(&["--help"]), true),
        ("CRITICAL", with(&["report"]), true),
        ("expected", with(&["--poll.interval=2"]), false),
        ("hugetlb-exporter starts", with(&["--web.listen-address=192.0.2.1:1"]), true),
    ]
}

#[test]
fn a_terminal_is_shown_colours_unless_none_are_wanted() {
    let machine = Machine::named("seed");
    for (part, arguments, coloured) in commands(&machine) {
        let text = shown(&arguments, &[]);
        assert_eq!(text.contains("\x1b["), coloured, "{arguments:?}: {text:?}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        let text = shown(&arguments, &[("NO_COLOR", "1")]);
        assert!(text.contains(part) && !text.contains("\x1b["), "{arguments:?}: {text:?}");
    }
    let [_, (_, mut report, _), ..] = commands(&machine);
    report.push("--color=always".to_owned());
    assert!(shown(&report, &[("NO_COLOR", "1")]).contains("\x1b["), "who says always means it");
}
