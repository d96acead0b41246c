//! What a terminal is shown, and what it is spared.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect_file;
use nix::pty::{Winsize, openpty};

use crate::command::program;
use crate::machine::Machine;

/// All that a terminal is shown of a command that is given one for both outputs.
fn shown(arguments: &[String], environment: &[(&str, &str)]) -> String {
    shown_in(None, arguments, environment)
}

/// The same of a terminal of that many columns.
fn shown_in(columns: Option<u16>, arguments: &[String], environment: &[(&str, &str)]) -> String {
    let size = |ws_col| Winsize { ws_row: 24, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(columns.map(size).as_ref(), None).expect("a terminal");
    let slave = |descriptor: &OwnedFd| Stdio::from(descriptor.try_clone().expect("once more"));
    let mut child = Command::new(program())
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
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

/// What `report` shows of a machine with strange and long names.
struct Strange {
    machine: Machine,
    arguments: Vec<String>,
}

impl Strange {
    fn new() -> Self {
        let machine = Machine::named("hostile-names");
        let arguments = [vec!["report".to_owned()], machine.flags()].concat();
        Self { machine, arguments }
    }

    fn plain(&self, text: &str) -> String {
        let root = self.machine.root().display().to_string();
        text.replace("\r\n", "\n").replace(&root, "ROOT")
    }

    fn shown_in(&self, columns: Option<u16>, wanted: &[(&str, &str)]) -> String {
        let environment = [&[("NO_COLOR", "1")], wanted].concat();
        self.plain(&shown_in(columns, &self.arguments, &environment))
    }
}

#[test]
fn a_report_is_as_wide_as_the_terminal() {
    let strange = Strange::new();
    for columns in [40, 60, 80, 120, 200] {
        let text = strange.shown_in(Some(columns), &[]);
        let golden = format!("tests/golden/hostile-names.{columns}-columns.txt");
        expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)].assert_eq(&text);
    }
    let usual = strange.shown_in(Some(80), &[]);
    assert_eq!(strange.shown_in(None, &[]), usual, "nothing is known of it");
    assert_eq!(strange.shown_in(Some(1), &[]), strange.shown_in(Some(20), &[]));
}

#[test]
fn a_report_is_as_wide_as_columns_says() {
    let strange = Strange::new();
    let narrow = strange.shown_in(Some(60), &[]);
    assert_eq!(strange.shown_in(Some(200), &[("COLUMNS", "60")]), narrow);
    for nonsense in ["0", "-1", "wide", ""] {
        assert_eq!(strange.shown_in(Some(60), &[("COLUMNS", nonsense)]), narrow, "{nonsense:?}");
    }
    // watch shows what is written to a pipe, and says how much room there is.
    let piped = |columns: &str| {
        let mut command = Command::new(program());
        let output = command.args(&strange.arguments).env("COLUMNS", columns).output();
        let output = output.expect("a report");
        let text = [output.stdout, output.stderr].concat();
        strange.plain(&String::from_utf8(text).expect("text"))
    };
    assert_eq!(piped("60"), narrow);
    assert_eq!(piped(""), strange.shown_in(Some(80), &[]));
}
