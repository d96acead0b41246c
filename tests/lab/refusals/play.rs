//! One run of a row: its pod, the instances of its container, and how each of them ended.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::program::{Files, Program, SERVER};
use super::row::{End, HELD, Reservation, Row};
use super::shares::Shares;
use crate::cgroup::Cgroup;
use crate::harness::Lines;
use crate::harness::agent::tied;
use crate::harness::wait_within;
use crate::kubepods::{Kubepods, Pod, id};
use crate::postgres::{Cluster, Ipc, Server};
use crate::tenant::Tenant;

/// How long a pod is there after the last that happened in it.
const AFTERWARDS: Duration = Duration::from_secs(8);
/// What the kubelet waits before it starts a container again, shortened.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// Every program says that it is done, or ends, in less.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row, for the so-manieth time.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub row: Row,
    pub number: usize,
}

/// What became of a pod, by its processes' own ends.
#[derive(Debug, Clone, Default)]
pub struct Played {
    pub uid: String,
    /// Processes that SIGBUS killed.
    pub killed: usize,
    /// Instances of the container that failed otherwise: huge pages are all that they were refused.
    pub failed: usize,
    /// Refusals that the kernel has counted.
    pub refusals: u64,
    /// The ids of its instances.
    pub instances: Vec<String>,
    /// More was mapped than may be touched.
    pub is_beyond: bool,
}

/// What all runs share.
pub struct Theatre<'a> {
    pub kubepods: &'a Kubepods<'a>,
    pub files: Files,
    /// The pool's pages.
    pub pages: Shares<()>,
    /// For what takes a whole one.
    pub cores: Shares<()>,
    /// Data directories.
    pub clusters: Shares<Cluster>,
}

impl Theatre<'_> {
    /// Plays it.
    pub fn play(&self, run: Run, name: &str) -> Played {
        let row = run.row;
        let pod = self.kubepods.pod(name, row.limit_pages());
        if row.reservation == Reservation::Equal {
            pod.cgroup.reservation_limit(row.limit_pages());
        }
        let holder = row.beside.then(|| (self.pages.take(1), self.holder(&pod)));
        // At any moment between two polls.
        std::thread::park_timeout(random(Duration::from_secs(2)));
        let pages = self.pages.take((row.most() - row.held()).try_into().expect("few"));
        let cluster = (row.program == Program::Postgres).then(|| self.clusters.take(1));
        let mut played = Played { uid: pod.uid.clone(), ..Played::default() };
        let often = if run.number.is_multiple_of(2) { 1 } else { 1 + BACK_OFF.len() };
        let mut after = After::Failed;
        for instance in 0..often {
            if let Some(wait) = instance.checked_sub(1).map(|before| BACK_OFF[before]) {
                std::thread::park_timeout(wait);
            }
            let id = instance_id(&pod, instance);
            let attempt = instance.try_into().expect("few");
            let container = self.kubepods.container(&pod, "main", &id, attempt);
            played.instances.push(id);
            let on = Stage { row, pod: &pod, container: &container };
            after = match cluster.as_ref().map(|held| &held.things()[0]) {
                Some(cluster) => on.server(cluster, &mut played),
                None => on.program(self, &mut played),
            };
            // Only what failed is started again, as of a job.
            if after != After::Failed {
                break;
            }
        }
        drop((pages, cluster));
        if after != After::Lived {
            std::thread::park_timeout(AFTERWARDS);
        }
        drop(holder);
        for id in &played.instances {
            self.kubepods.unname(&pod, "main", id);
        }
        self.kubepods.remove_logs(&pod);
        played
    }

    fn holder(&self, pod: &Pod) -> (Tenant, Cgroup) {
        let id = instance_id(pod, 0xeee);
        let container = self.kubepods.container(pod, "holder", &id, 0);
        let mut tenant = Tenant::new(&container, "private");
        tenant.map(HELD);
        tenant.touch(HELD);
        (tenant, container)
    }
}

fn instance_id(pod: &Pod, number: usize) -> String {
    id(&format!("{}{number:x}f", pod.uid.replace('-', "")))
}

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It was there until its pod was deleted.
    Lived,
    Succeeded,
    Failed,
}

impl After {
    fn of(ended: Option<ExitStatus>) -> Self {
        match ended {
            None => Self::Lived,
            Some(status) if status.success() => Self::Succeeded,
            Some(_) => Self::Failed,
        }
    }
}

/// Where an instance runs.
struct Stage<'a> {
    row: Row,
    pod: &'a Pod,
    container: &'a Cgroup,
}

impl Stage<'_> {
    /// Runs a program to its end, or for a while.
    fn program(&self, theatre: &Theatre<'_>, played: &mut Played) -> After {
        let is_heavy = self.row.program.is_heavy();
        let core = is_heavy.then(|| theatre.cores.take(1));
        let command = self.row.program.command(self.row.end, &theatre.files);
        let mut shell = tied("sh");
        let enter = r#"ulimit -c 0; echo $$ > "$0/cgroup.procs" && exec "$@""#;
        shell.args(["-c", enter]).arg(self.container.path());
        shell.arg(command.get_program()).args(command.get_args());
        let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.envs(variables).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
        let mut child = shell.spawn().expect("it starts");
        let said = Lines::of(child.stdout.take().expect("what it says"));
        let _complaints = Lines::of(child.stderr.take().expect("what it complains of"));
        let ended = wait_within(&self.row.to_string(), PATIENCE, || {
            let ended = child.try_wait().expect("its status");
            let goes_on = self.row.end == End::Lives && said.with("done").is_some();
            (ended.is_some() || goes_on).then_some(ended)
        });
        drop(core);
        self.note(played);
        if ended.is_none() {
            std::thread::park_timeout(AFTERWARDS);
            self.end(&mut child);
        }
        let killed = self.killed(ended, &said, played);
        played.killed += killed;
        played.failed += usize::from(killed == 0 && ended.is_some_and(|status| !status.success()));
        After::of(ended)
    }

    /// The processes of an instance that SIGBUS killed.
    fn killed(&self, ended: Option<ExitStatus>, said: &Lines, played: &Played) -> usize {
        let children = said.so_far().iter().filter(|line| *line == "killed 7").count();
        // It tries settings in processes whose end it does not show. No mapping can be refused here.
        let is_unseen =
            self.row.program == Program::Initdb && self.row.reservation == Reservation::Unset;
        let unseen = if is_unseen && played.refusals > 0 { 1 } else { 0 };
        let own = ended.is_some_and(|status| self.is_by_sigbus(status));
        children.max(unseen).max(usize::from(own))
    }

    /// Whether it was killed, or tells by its code that a child was. A JVM catches the signal, says so, and aborts.
    fn is_by_sigbus(&self, status: ExitStatus) -> bool {
        let by = |signal| {
            status.signal() == Some(signal as i32) || status.code() == Some(128 + signal as i32)
        };
        by(Signal::SIGBUS) || self.row.program == Program::Java && by(Signal::SIGABRT)
    }

    /// The same of a server: `huge_pages=on`, or `try` where it is to live on.
    fn server(&self, cluster: &Cluster, played: &mut Played) -> After {
        let pages = if self.row.end == End::Ends { "huge_pages=on" } else { "huge_pages=try" };
        let settings = [&[pages], &SERVER[..]].concat();
        let mut server = Server::launch(cluster, self.container, &settings, Ipc::Shared);
        let ended = wait_within(&self.row.to_string(), PATIENCE, || {
            let ended = server.ended();
            (ended.is_some() || server.has_logged("ready to accept connections")).then_some(ended)
        });
        self.note(played);
        if ended.is_none() {
            std::thread::park_timeout(AFTERWARDS);
        }
        let killed = ended.is_some_and(|status| self.is_by_sigbus(status))
            || server.has_logged("terminated by signal 7");
        played.killed += usize::from(killed);
        played.failed += usize::from(ended.is_some() && !killed);
        drop(server);
        self.container.kill_all();
        After::of(ended)
    }

    /// Reads what the kernel has counted, before anybody's end.
    fn note(&self, played: &mut Played) {
        let bytes = |[v2, v1]: [&str; 2]| -> u64 {
            let text = self.pod.cgroup.read(v2, v1);
            text.rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a number")
        };
        let both = [
            ["hugetlb.2MB.events", "hugetlb.2MB.failcnt"],
            ["hugetlb.2MB.events", "hugetlb.2MB.rsvd.failcnt"],
        ];
        played.refusals = both.map(bytes).into_iter().max().unwrap_or_default();
        let reserved = bytes(["hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes"]);
        played.is_beyond |= reserved >> 21 > self.row.limit_pages();
    }

    fn end(&self, child: &mut Child) {
        self.container.kill_all();
        child.wait().expect("its end");
    }
}

/// Any time up to that.
fn random(most: Duration) -> Duration {
    let number = RandomState::new().hash_one(0_u8) % 1_000;
    most * u32::try_from(number).unwrap_or_default() / 1_000
}
