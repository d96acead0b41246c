//! The faults: what goes wrong, and when it may.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::park_timeout;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};

use super::When::{AtFinding, Before, Running};
use super::stage::members;
use super::{Fault, LogTo, Mend, Stage, When};
use crate::kubelet::Says;
use crate::project;

const ALWAYS: &[When] = &[Before, Running, AtFinding];
const LATER: &[When] = &[Running, AtFinding];

/// What anybody can make go wrong.
pub const FAULTS: &[Fault] = &[
    Fault { for_life: true, ..fault("nobody has stderr open", "log", ALWAYS, log_closed) },
    fault("nobody reads the pipe of stderr", "log", ALWAYS, log_held),
    fault("the log directories are gone", "logs", ALWAYS, logs_gone),
    fault("a log directory is no directory", "logs", ALWAYS, logs_of_the_wrong_type),
    fault("the kubelet never answers", "kubelet", ALWAYS, |it| says(it, Says::Nothing)),
    fault("the kubelet hangs up", "kubelet", ALWAYS, |it| says(it, Says::HangUp)),
    fault("the kubelet talks nonsense", "kubelet", ALWAYS, |it| {
        says(it, Says::Bytes(b"\0\xff\r\n\r\n"))
    }),
    fault("the web configuration is garbage", "web", LATER, |it| {
        in_place_of_web_config(it, |path| fs::write(path, "\0[").expect("written"))
    }),
    fault("the web configuration is gone", "web", LATER, |it| in_place_of_web_config(it, |_| ())),
    fault("the web configuration is a directory", "web", LATER, |it| {
        in_place_of_web_config(it, |path| fs::create_dir(path).expect("made"))
    }),
    fault("the web configuration is a pipe", "web", LATER, |it| {
        in_place_of_web_config(it, |path| mkfifo(path, Mode::S_IRWXU).expect("a pipe"))
    }),
    fault("hardly a descriptor is left", "descriptors", ALWAYS, few_descriptors),
    fault("inotify is refused", "inotify", &[Before], |it| refuse(it, "inotify_init1")),
    fault("limits can't be read", "inotify", &[Before], |it| refuse(it, "prlimit64")),
];

/// What takes root, and an agent that has no privilege.
pub const ROOTS_FAULTS: &[Fault] = &[
    Fault { log: LogTo::Disk, ..fault("the log's disk is full", "log", ALWAYS, disk_full) },
    fault("a log directory never answers", "logs", ALWAYS, |it| stuck(it, "pods")),
    fault("the other log directory never answers", "logs", ALWAYS, |it| stuck(it, "containers")),
    fault("a log directory may not be read", "logs", ALWAYS, logs_closed),
    fault("no more threads or processes", "threads", LATER, no_threads),
    fault("inotify takes no more watches", "inotify", ALWAYS, no_watches),
    fault("the probe's children are killed", "probe", LATER, |it| signals(it, Signal::SIGKILL)),
    fault("the probe's children are stopped", "probe", LATER, |it| signals(it, Signal::SIGSTOP)),
];

const fn fault(
    name: &'static str,
    place: &'static str,
    moments: &'static [When],
    befall: fn(&mut Stage) -> Mend,
) -> Fault {
    Fault { name, place, moments, log: LogTo::Pipe, for_life: false, befall }
}

/// The next agent has another pipe.
fn log_closed(stage: &mut Stage) -> Mend {
    stage.log().close();
    Box::new(|_| ())
}

fn log_held(stage: &mut Stage) -> Mend {
    stage.log().hold();
    Box::new(|stage| stage.log().release())
}

/// A small disk under the log, filled up by something else.
fn disk_full(stage: &mut Stage) -> Mend {
    let filler = stage.disk().join("filler");
    let full = fs::write(&filler, vec![0; 2 * SMALL_DISK]).expect_err("the disk is small");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    Box::new(move |_| fs::remove_file(filler).expect("removed"))
}

/// As much as a small disk holds, in bytes.
const SMALL_DISK: usize = 1 << 20;

/// A small disk; dropping it takes it away.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// There.
    pub(super) fn at(place: &Path) -> Self {
        let size = format!("size={SMALL_DISK},mode=755");
        let (none, kind) = (None::<&str>, Some("tmpfs"));
        mount(none, place, kind, MsFlags::empty(), Some(&*size)).expect("a small disk");
        Self(place.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn logs_gone(stage: &mut Stage) -> Mend {
    let moved = ["pods", "containers"].map(|name| {
        let (here, away) =
            (stage.log_directory(name), stage.log_directory(&format!("{name}.away")));
        fs::rename(&here, &away).expect("moved");
        (here, away)
    });
    Box::new(move |_| {
        for (here, away) in moved {
            fs::rename(away, here).expect("moved back");
        }
    })
}

fn logs_of_the_wrong_type(stage: &mut Stage) -> Mend {
    let (here, away) = (stage.log_directory("pods"), stage.log_directory("pods.away"));
    fs::rename(&here, &away).expect("moved");
    fs::write(&here, "").expect("written");
    Box::new(move |_| {
        fs::remove_file(&here).expect("removed");
        fs::rename(away, here).expect("moved back");
    })
}

fn logs_closed(stage: &mut Stage) -> Mend {
    let directory = stage.log_directory("pods");
    let set = |directory: &Path, mode| {
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("set");
    };
    set(&directory, 0o700);
    Box::new(move |_| set(&directory, 0o755))
}

/// A file system that never finishes a listing.
fn stuck(stage: &mut Stage, name: &str) -> Mend {
    let place = stage.log_directory(name);
    let mut command = Command::new("/usr/bin/python3");
    command.arg(project().join("tests/lab/hang.py")).arg(&place).stdout(Stdio::piped());
    let server = command.spawn().expect("Debian's python3-pyfuse3");
    let mut stuck = Stuck { place, server };
    let mut line = String::new();
    let said = stuck.server.stdout.take().expect("what it says");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("read");
    assert_eq!(line, "mounted\n");
    Box::new(move |_| drop(stuck))
}

struct Stuck {
    place: PathBuf,
    server: Child,
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn says(stage: &Stage, says: Says) -> Mend {
    stage.kubelet().say(says);
    let well = Says::ok("{\"kind\":\"PodList\",\"items\":[]}".to_owned());
    Box::new(|stage| stage.kubelet().say(well))
}

/// Something else stands where it stood, from one moment to the next.
fn in_place_of_web_config(stage: &Stage, put: impl Fn(&Path)) -> Mend {
    let path = stage.web_config();
    let (new, old) = (path.with_extension("new"), path.with_extension("old"));
    fs::rename(&path, &old).expect("moved");
    put(&new);
    // Where nothing is put, nothing is there to be moved.
    let _ = fs::rename(&new, &path);
    Box::new(move |_| {
        let _ = fs::remove_dir(&path);
        fs::rename(old, path).expect("moved back");
    })
}

/// So many it opens for a moment: for the probe's and the listings' pipes, the kubelet, a scrape and a poll's files.
const AT_WORK: usize = 12;

/// No more than it needs at work.
fn few_descriptors(stage: &mut Stage) -> Mend {
    let Some(pid) = stage.pid() else {
        stage.start_through(&["prlimit", "--nofile=40:40"]);
        return Box::new(|stage| stage.start_through(&[]));
    };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
    limit(pid, "nofile", open + AT_WORK)
}

fn no_threads(stage: &mut Stage) -> Mend {
    limit(stage.pid().expect("it runs"), "nproc", 1)
}

/// Sets a soft limit of a process, and mends it where the process is still there.
fn limit(pid: u32, what: &'static str, soft: usize) -> Mend {
    // Its owner may, and root perhaps not.
    let owner = fs::metadata(format!("/proc/{pid}")).expect("it runs").uid();
    let prlimit = move |arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid.to_string()]).args(arguments).stderr(Stdio::null());
        if owner != geteuid().as_raw() {
            command.uid(owner).gid(owner);
        }
        command.output().expect("util-linux's prlimit")
    };
    let flag = format!("--{what}");
    let before = prlimit(&[&flag, "--output=SOFT", "--noheadings", "--raw"]);
    let before = String::from_utf8(before.stdout).expect("text").trim().to_owned();
    assert!(prlimit(&[&format!("{flag}={soft}:")]).status.success(), "{flag}");
    Box::new(move |_| {
        let _ = prlimit(&[&format!("{flag}={before}:")]);
    })
}

/// The kernel refuses one system call from the start.
fn refuse(stage: &mut Stage, call: &str) -> Mend {
    stage.refuse(call);
    Box::new(|stage| stage.start_through(&[]))
}

/// Nobody gets another watch.
fn no_watches(_: &mut Stage) -> Mend {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";
    struct Limit(String);
    impl Drop for Limit {
        fn drop(&mut self) {
            let _ = fs::write(LIMIT, &self.0);
        }
    }
    let limit = Limit(fs::read_to_string(LIMIT).expect("the limit"));
    fs::write(LIMIT, "0").expect("set");
    Box::new(move |_| drop(limit))
}

/// Each child of the agent gets that signal as soon as it is seen.
fn signals(stage: &Stage, signal: Signal) -> Mend {
    let agent = stage.pid().expect("it runs");
    let group = agent.try_into().expect("a pid");
    let stopping = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopping);
    let send = move || {
        while !told.load(Ordering::Relaxed) {
            for child in members(group).into_iter().filter(|pid| *pid != agent && is_touching(*pid))
            {
                let _ = kill(Pid::from_raw(child.try_into().expect("a pid")), signal);
            }
            park_timeout(Duration::from_millis(1));
        }
    };
    let sending = std::thread::spawn(send);
    Box::new(move |_| {
        stopping.store(true, Ordering::Relaxed);
        sending.join().expect("it ends");
    })
}

fn is_touching(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == b"touch-child")
}
