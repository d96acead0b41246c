//! `hugetlb-exporter demo` as a user meets it: the story on stdout, the page meanwhile, and the exit code.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Lines, http, wait_for, wait_within};
use std::time::Duration;

/// A running demonstration; dropping it ends it.
struct Demo {
    child: Child,
    said: Lines,
    complaints: Lines,
    temporary: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
            .args(["demo", "--web.listen-address=127.0.0.1:0"])
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Lines::of(child.stdout.take().expect("its output"));
        let complaints = Lines::of(child.stderr.take().expect("its errors"));
        Self { child, said, complaints, temporary }
    }

    /// Where it says that one should look.
    fn address(&self) -> SocketAddr {
        wait_for("the place to look at", || {
            let said = self.said.so_far();
            let port = said.first()?.split("http://localhost:").nth(1)?.trim_end_matches('/');
            Some(SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port"))))
        })
    }

    fn page(&self) -> String {
        http::get(self.address(), "/?still").text()
    }

    fn has_said(&self, text: &str) -> bool {
        self.said.so_far().iter().any(|line| line.contains(text))
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, Signal::SIGINT).expect("it is there");
    }

    /// Waits until it has ended, and checks that it has left no file.
    fn end(&mut self) -> ExitStatus {
        let status = wait_within("its end", Duration::from_secs(60), || {
            self.child.try_wait().expect("its status")
        });
        let left: Vec<_> = fs::read_dir(self.temporary.path()).expect("it").collect();
        assert!(left.is_empty(), "{left:?}");
        status
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_story_is_told_and_served() {
    let mut demo = Demo::start(&["--seconds=5", "--once"]);
    wait_for("the warning", || demo.has_said("The agent warns").then_some(()));
    let page = demo.page();
    assert!(page.contains("prod/db-0"), "{page}");
    let status = demo.end();
    assert_eq!(status.code(), Some(0), "{:?} {:?}", demo.said.so_far(), demo.complaints.so_far());
    for text in [
        "PostgreSQL starts and maps 280Mi. mmap succeeds, though its pod may touch 128Mi.",
        "The agent warns: 152Mi too little, set 280Mi. Only 24Mi of 128Mi are used, and nothing was refused.",
        "It touches a page beyond 128Mi: SIGBUS.",
        "The agent reports the refusal",
        "hugepages-2Mi is set to the 280Mi that the warning named.",
        "It uses 280Mi of 280Mi and is healthy",
    ] {
        assert!(demo.has_said(text), "{text:?} is not in {:?}", demo.said.so_far());
    }
    let logged = demo.complaints.so_far();
    let first = |finding: &str| logged.iter().position(|line| line.contains(finding));
    assert!(first("will-crash") < first("faults-refused"), "{logged:?}");
    assert!(first("will-crash").is_some(), "{logged:?}");
}

#[test]
fn the_story_begins_when_somebody_looks() {
    let mut demo = Demo::start(&["--seconds=5"]);
    wait_for("the invitation", || demo.has_said("The story begins when you open").then_some(()));
    // A health check is nobody who looks.
    assert_eq!(http::get(demo.address(), "/-/healthy").status, 200);
    std::thread::park_timeout(Duration::from_secs(1));
    assert!(!demo.has_said("PostgreSQL starts"), "{:?}", demo.said.so_far());
    wait_for("the page", || (http::get(demo.address(), "/?still").status == 200).then_some(()));
    wait_for("the story", || demo.has_said("PostgreSQL starts").then_some(()));
    demo.interrupt();
    assert_eq!(demo.end().code(), Some(1), "it was not over");
    let complaints = demo.complaints.so_far();
    let last = complaints.last().expect("why");
    assert!(last.contains("the demonstration was ended before it was over"), "{complaints:?}");
}

#[test]
fn the_readme_shows_what_report_says_of_it() {
    let mut demo = Demo::start(&["--seconds=60", "--once"]);
    wait_for("the warning", || demo.has_said("The agent warns").then_some(()));
    let entry = fs::read_dir(demo.temporary.path()).expect("it").next().expect("its files");
    let root = entry.expect("a directory").path();
    let below = |flag: &str, path: &str| format!("--path.{flag}={}", root.join(path).display());
    let report = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
        .args(["report", "--node.name=node-1"])
        .args([below("procfs", "proc"), below("sysfs", "sys")])
        .args([below("pod-logs", "var/log/pods"), below("container-logs", "var/log/containers")])
        .output()
        .expect("it runs");
    assert_eq!(report.status.code(), Some(2), "something will crash");
    let said = String::from_utf8(report.stdout).expect("text");
    let readme = fs::read_to_string(testkit::project().join("README.md")).expect("the README");
    assert!(readme.contains(&said), "the README does not show:\n{said}");
    demo.interrupt();
    demo.end();
}

#[test]
fn it_goes_on_serving_after_the_story() {
    let mut demo = Demo::start(&["--seconds=5"]);
    demo.page();
    wait_within("the end of the story", Duration::from_secs(60), || {
        demo.has_said("That was all.").then_some(())
    });
    assert!(demo.page().contains("prod/db-0"));
    demo.interrupt();
    assert_eq!(demo.end().code(), Some(0), "{:?}", demo.complaints.so_far());
}

#[test]
fn a_web_configuration_is_refused() {
    let mut demo = Demo::start(&["--web.config.file=/nowhere"]);
    assert_eq!(demo.end().code(), Some(1));
    assert!(demo.complaints.so_far().concat().contains("leave out --web.config.file"));
}
