//! What goes wrong around the agent: before it starts, while it runs, and at the very poll that raises a finding. One
//! oracle judges all: whatever it is, the agent polls, shows the finding, is healthy, can be asked for a report, and ends.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::harness::agent::program;
use crate::harness::exposition::Exposition;
use crate::harness::kubelet::{Kubelet, Says};
use crate::harness::{http, wait_for};
use crate::machine::Machine;

/// What it is asked to do takes no longer, whatever is wrong.
const IN_TIME: Duration = Duration::from_secs(5);
const POLLS: &str = "hugetlb_exporter_polls_total";
const LOST: &str = "hugetlb_exporter_log_lines_lost_total";
const PAGES_64: &str = "134217728";
const PAGES_100: &str = "209715200";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    Running,
    AtFinding,
}

const ALWAYS: &[When] = &[When::Before, When::Running, When::AtFinding];
const LATER: &[When] = &[When::Running, When::AtFinding];

/// Everything that a fault may befall.
struct Stage {
    machine: Machine,
    kubelet: Kubelet,
    /// The system call that the agent is refused.
    refused: Option<&'static str>,
    stderr: Stdio,
    /// The log, which nobody reads before the end.
    log: Option<PipeReader>,
    log_too: Option<PipeWriter>,
    agent: Option<Child>,
    address: SocketAddr,
}

impl Stage {
    fn new() -> Self {
        let (log, writer) = pipe().expect("a pipe");
        let log_too = writer.try_clone().expect("the pipe again");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stage = Self {
            machine: Machine::named("seed"),
            kubelet: Kubelet::start(Says::ok("{\"kind\":\"PodList\",\"items\":[]}".to_owned())),
            refused: None,
            stderr: writer.into(),
            log: Some(log),
            log_too: Some(log_too),
            agent: None,
            address: free.local_addr().expect("an address"),
        };
        fs::write(stage.web_config(), "http_server_config: {}\n").expect("written");
        // So that the finding is not there yet.
        stage.reserve(PAGES_64);
        stage
    }

    fn below(&self, path: &str) -> PathBuf {
        self.machine.root().join(path)
    }

    fn web_config(&self) -> PathBuf {
        self.below("web.yml")
    }

    /// Has the container and all above it hold so much reserved.
    fn reserve(&self, bytes: &str) {
        let mut directory = self.below("sys/fs/cgroup");
        let path = "kubepods.slice/kubepods-burstable.slice/\
            kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice/\
            cri-containerd-aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567.scope";
        for part in Path::new(path) {
            directory.push(part);
            fs::write(directory.join("hugetlb.2MB.rsvd.current"), bytes).expect("written");
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = match self.refused {
            None => Command::new(program()),
            Some(name) => {
                let mut command = Command::new("python3");
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refuse.py");
                command.arg(script).arg(name).arg(program());
                command
            }
        };
        command.args(words).args(self.machine.flags()).args(self.kubelet.flags());
        command.stdin(Stdio::null());
        command
    }

    fn start(&mut self) {
        let mut command = self.command(&[
            "serve",
            "--poll.interval=100ms",
            &format!("--web.listen-address={}", self.address),
            &format!("--web.config.file={}", self.web_config().display()),
        ]);
        command.stderr(std::mem::replace(&mut self.stderr, Stdio::null()));
        self.agent = Some(command.spawn().expect("it starts"));
        wait_for("the agent to be ready", || {
            std::net::TcpStream::connect(self.address).ok()?;
            (http::get(self.address, "/-/ready").status == 200).then_some(())
        });
    }

    fn pid(&self) -> u32 {
        self.agent.as_ref().expect("it runs").id()
    }

    fn scrape(&self) -> Exposition {
        Exposition::parse(&http::get(self.address, "/metrics").text())
    }

    fn polls(&self) -> f64 {
        self.scrape().value(POLLS, &[]).expect("the polls")
    }

    /// That a poll goes by, and another.
    fn polls_go_on(&self) -> f64 {
        let before = self.polls();
        wait_for("two polls", || Some(self.polls()).filter(|now| *now >= before + 2.0))
    }

    fn raise_a_finding(&self) {
        let will_crash = |scrape: &Exposition| {
            scrape.value("hugetlb_finding", &[("finding", "will-crash")]).is_some()
        };
        assert!(!will_crash(&self.scrape()), "it is not raised yet");
        let before = self.polls();
        self.reserve(PAGES_100);
        let shown = wait_for("the finding", || Some(self.scrape()).filter(will_crash));
        let polls = shown.value(POLLS, &[]).expect("the polls") - before;
        // Two to confirm it, and the one under way when it began.
        assert!(polls <= 4.0, "{polls} polls");
    }

    fn report(&self) {
        let began = Instant::now();
        let output = self.command(&["report"]).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(began.elapsed() < IN_TIME, "the report took {:?}", began.elapsed());
        assert!(output.status.code().is_some() && !text.contains("panicked"), "{text}");
    }

    fn end(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        let began = Instant::now();
        kill(Pid::from_raw(agent.id().try_into().expect("a pid")), Signal::SIGTERM).expect("sent");
        let status = wait_for("the end", || agent.try_wait().expect("its status"));
        assert_eq!(status.code(), Some(0));
        assert!(began.elapsed() < IN_TIME, "the end took {:?}", began.elapsed());
    }

    fn judge(mut self, fault: fn(&mut Self), when: When) {
        if when == When::Before {
            fault(&mut self);
        }
        self.start();
        if when == When::Running {
            fault(&mut self);
            self.polls_go_on();
        }
        if when == When::AtFinding {
            fault(&mut self);
        }
        self.raise_a_finding();
        self.polls_go_on();
        assert_eq!(http::get(self.address, "/-/healthy").status, 200);
        self.report();
        self.end();
        drop(self.log_too.take());
        let mut text = Vec::new();
        if let Some(mut log) = self.log.take() {
            log.read_to_end(&mut text).expect("the log");
        }
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("panicked") && !text.contains("a bug"), "{text}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

#[track_caller]
fn check(moments: &[When], fault: fn(&mut Stage)) {
    for when in moments {
        eprintln!("{when:?}");
        Stage::new().judge(fault, *when);
    }
}

#[test]
fn without_a_fault_all_is_well() {
    check(&[When::Before], |_| {});
}

#[test]
fn nobody_has_stderr_open() {
    check(ALWAYS, |stage| drop(stage.log.take()));
}

#[test]
fn stderr_is_on_a_full_disk() {
    check(&[When::Before], |stage| {
        stage.stderr = File::options().write(true).open("/dev/full").expect("/dev/full").into();
    });
}

#[test]
fn nobody_reads_the_pipe_of_stderr() {
    check(ALWAYS, |stage| {
        let path =
            format!("/proc/self/fd/{}", stage.log_too.as_ref().expect("the pipe").as_raw_fd());
        let mut options = File::options();
        let mut again = options
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .expect("the pipe");
        for piece in [4096, 1] {
            while again.write(&vec![b'\n'; piece]).is_ok() {}
        }
    });
}

#[test]
fn the_log_directories_are_gone() {
    check(ALWAYS, |stage| fs::remove_dir_all(stage.below("var/log")).expect("removed"));
}

#[test]
fn one_log_directory_is_no_directory() {
    check(ALWAYS, |stage| {
        fs::remove_dir_all(stage.below("var/log/pods")).expect("removed");
        fs::write(stage.below("var/log/pods"), "").expect("written");
    });
}

#[test]
fn the_kubelet_never_answers() {
    check(ALWAYS, |stage| stage.kubelet.say(Says::Nothing));
}

#[test]
fn the_kubelet_hangs_up() {
    check(ALWAYS, |stage| stage.kubelet.say(Says::HangUp));
}

#[test]
fn the_kubelet_talks_nonsense() {
    check(ALWAYS, |stage| stage.kubelet.say(Says::Bytes(b"\0\xff\r\n\r\n")));
}

#[test]
fn the_web_configuration_is_garbage() {
    check(LATER, |stage| fs::write(stage.web_config(), "\0[").expect("written"));
}

#[test]
fn the_web_configuration_is_on_a_stuck_disk() {
    check(LATER, |stage| {
        let pipe = stage.below("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        fs::rename(pipe, stage.web_config()).expect("in its place");
    });
}

#[test]
fn hardly_a_descriptor_is_left() {
    check(LATER, |stage| {
        let pid = stage.pid();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
        let limit = format!("--nofile={}:", open + 4);
        let prlimit = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
        assert!(prlimit.expect("util-linux's prlimit").success());
    });
}

#[test]
fn there_is_no_inotify() {
    check(&[When::Before], |stage| stage.refused = Some("inotify_init1"));
}

#[test]
fn limits_can_not_be_read() {
    check(&[When::Before], |stage| stage.refused = Some("prlimit64"));
}

/// What glibc does not work around, one line explains.
#[test]
fn a_runtime_that_does_not_know_clone3_is_named_as_the_reason() {
    let mut stage = Stage::new();
    stage.refused = Some("clone3");
    let output = stage.command(&["serve", "--web.listen-address=127.0.0.1:0"]).output();
    let output = output.expect("it runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("clone3") && text.contains("not permitted"), "{text}");
    stage.report();
}

#[test]
fn lines_that_stderr_does_not_take_are_counted() {
    let mut stage = Stage::new();
    stage.start();
    assert_eq!(stage.scrape().value(LOST, &[]), Some(0.0));
    drop(stage.log.take());
    stage.raise_a_finding();
    let lost = || stage.scrape().value(LOST, &[]).filter(|lost| *lost > 0.0);
    wait_for("lost lines to be counted", lost);
    stage.end();
}
