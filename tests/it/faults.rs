//! What goes wrong around the agent, and what anybody can make go wrong: fault by fault, at each of its moments. What takes
//! root is in tests/lab/scenarios/faults.rs; the oracle is the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::faults::{self, FAULTS, LogTo, Scene, Stage};
use crate::harness::{http, wait_for};
use crate::machine::Machine;

const LOST: &str = "hugetlb_exporter_log_lines_lost_total";
const PAGES_64: &str = "134217728";
const PAGES_100: &str = "209715200";

/// A machine of files, where a container comes to reserve more than it may touch.
fn scene() -> Scene {
    let machine = Machine::named("seed");
    Scene {
        flags: machine.flags(),
        logs: machine.roots().pod_logs.parent().map(Path::to_owned).expect("a directory"),
        through: Vec::new(),
        find: Box::new(move |found| reserve(&machine, if found { PAGES_100 } else { PAGES_64 })),
        labels: Vec::new(),
    }
}

/// Has the container and all above it hold so much reserved.
fn reserve(machine: &Machine, bytes: &str) {
    let mut directory: PathBuf = machine.root().join("sys/fs/cgroup");
    let path = "kubepods.slice/kubepods-burstable.slice/\
        kubepods-burstable-pod6f1c2a3b_4d5e_4f60_8a7b_9c0d1e2f3a4b.slice/\
        cri-containerd-aaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef01234567.scope";
    for part in Path::new(path) {
        directory.push(part);
        fs::write(directory.join("hugetlb.2MB.rsvd.current"), bytes).expect("written");
    }
}

/// A test for each of these faults, and none is left out.
macro_rules! each {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                faults::named($name).check(scene);
            }
        )*

        #[test]
        fn every_fault_has_its_test() {
            let tested = [$($name),*];
            let all: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
            assert_eq!(all, tested);
        }
    };
}

each! {
    nobody_has_stderr_open: "nobody has stderr open",
    nobody_reads_the_pipe_of_stderr: "nobody reads the pipe of stderr",
    the_log_directories_are_gone: "the log directories are gone",
    a_log_directory_is_no_directory: "a log directory is no directory",
    the_kubelet_never_answers: "the kubelet never answers",
    the_kubelet_hangs_up: "the kubelet hangs up",
    the_kubelet_talks_nonsense: "the kubelet talks nonsense",
    the_web_configuration_is_garbage: "the web configuration is garbage",
    the_web_configuration_is_gone: "the web configuration is gone",
    the_web_configuration_is_a_directory: "the web configuration is a directory",
    the_web_configuration_is_a_pipe: "the web configuration is a pipe",
    hardly_a_descriptor_is_left: "hardly a descriptor is left",
    inotify_is_refused: "inotify is refused",
    limits_can_not_be_read: "limits can't be read",
}

#[test]
fn without_a_fault_all_is_well() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    stage.start();
    stage.raise();
    stage.judge();
    stage.turn();
    stage.end();
    assert!(stage.leave().contains("cleared: "));
}

/// What it can't start with, one line explains.
#[track_caller]
fn can_not_start(stage: &Stage, code: i32, parts: &[&str]) {
    let config = format!("--web.config.file={}", stage.web_config().display());
    let words = ["serve", "--log.level=warn", "--web.listen-address=127.0.0.1:0", &config];
    let output = stage.command(&words).stderr(Stdio::piped()).output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), text.lines().count()), (Some(code), 1), "{text}");
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

/// What glibc does not work around.
#[test]
fn a_runtime_that_does_not_know_clone3_is_named_as_the_reason() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    stage.refuse("clone3");
    can_not_start(&stage, 1, &["clone3", "not permitted"]);
    stage.report();
}

#[test]
fn a_web_configuration_that_can_not_be_read_is_named_before_the_start() {
    let stage = Stage::new(scene(), LogTo::Pipe);
    let path = stage.web_config();
    fs::write(&path, "\0[").expect("written");
    can_not_start(&stage, 64, &["web.yml", "expected"]);
    fs::remove_file(&path).expect("removed");
    can_not_start(&stage, 64, &["web.yml", "No such file"]);
    fs::create_dir(&path).expect("made");
    can_not_start(&stage, 64, &["web.yml", "no regular file"]);
    fs::remove_dir(&path).expect("removed");
    mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
    can_not_start(&stage, 64, &["web.yml", "no regular file"]);
}

/// With no more than the standard three, it can't even have a runtime.
#[test]
fn without_descriptors_it_does_not_start_and_says_so() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    stage.start_through(&["prlimit", "--nofile=4:4"]);
    can_not_start(&stage, 1, &["open files"]);
    stage.report();
}

#[test]
fn clients_can_not_take_the_descriptors_that_polls_need() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    stage.start_through(&["prlimit", "--nofile=48:48"]);
    stage.start();
    let idle: Vec<_> = (0..100).map(|_| http::connect(stage.address())).collect();
    stage.raise();
    stage.judge();
    drop(idle);
    stage.end();
    stage.leave();
}

#[test]
fn a_log_on_dev_full_costs_nothing_but_lines() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    let quiet = r#"exec "$@" 2>/dev/full"#;
    stage.start_through(&["sh", "-c", quiet, "sh"]);
    stage.start();
    stage.raise();
    stage.judge();
    assert!(stage.scrape().value(LOST, &[]) > Some(0.0));
    stage.end();
    stage.leave();
}

#[test]
fn lines_that_stderr_does_not_take_are_counted() {
    let mut stage = Stage::new(scene(), LogTo::Pipe);
    stage.start();
    assert_eq!(stage.scrape().value(LOST, &[]), Some(0.0));
    let mend = (faults::named("nobody has stderr open").befall)(&mut stage);
    stage.raise();
    let lost = || stage.scrape().value(LOST, &[]).filter(|lost| *lost > 0.0);
    wait_for("lost lines to be counted", lost);
    stage.end();
    mend(&mut stage);
    stage.leave();
}
