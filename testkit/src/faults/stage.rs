//! The agent, everything that a fault may befall, and what is asked of the agent whatever is wrong.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::log::{Log, LogTo};
use super::table::SmallDisk;
use crate::agent::program;
use crate::exposition::Exposition;
use crate::kubelet::{Kubelet, Says};
use crate::{http, project, wait_for};

/// What it is asked to do takes no longer, whatever is wrong.
pub const IN_TIME: Duration = Duration::from_secs(5);

const POLLS: &str = "hugetlb_exporter_polls_total";

/// Where the agent stands, and how it is given something to find.
pub struct Scene {
    /// The flags that make it look there.
    pub flags: Vec<String>,
    /// The kubelet's log directories, `pods` and `containers`.
    pub logs: PathBuf,
    /// What it is started through: another user, a cgroup.
    pub through: Vec<String>,
    /// Makes the will-crash finding true, or not true.
    pub find: Box<dyn FnMut(bool)>,
    /// The finding's labels.
    pub labels: Vec<(&'static str, &'static str)>,
}

/// The agent and all around it; dropping it ends it.
pub struct Stage {
    scene: Scene,
    /// Where its log is if not on a pipe, its web configuration, and its program for the user that it is started as.
    directory: tempfile::TempDir,
    kubelet: Kubelet,
    log: Option<Log>,
    small_disk: Option<SmallDisk>,
    /// What it is started through, innermost.
    wrapper: Vec<String>,
    agent: Option<Child>,
    address: SocketAddr,
    /// What all agents of this stage have logged.
    logged: String,
    is_raised: bool,
    groups: Vec<i32>,
}

impl Stage {
    /// Nothing runs yet, and nothing is to be found.
    pub fn new(mut scene: Scene, log: LogTo) -> Self {
        (scene.find)(false);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let directory = tempfile::tempdir().expect("a directory");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).expect("open to all");
        fs::create_dir(directory.path().join("disk")).expect("made");
        fs::copy(program(), directory.path().join("agent")).expect("a copy for anybody");
        let mut stage = Self {
            scene,
            directory,
            kubelet: Kubelet::start(Says::ok("{\"kind\":\"PodList\",\"items\":[]}".to_owned())),
            log: None,
            small_disk: None,
            wrapper: Vec::new(),
            agent: None,
            address: free.local_addr().expect("an address"),
            logged: String::new(),
            is_raised: false,
            groups: Vec::new(),
        };
        stage.log_to(log);
        fs::write(stage.web_config(), "http_server_config: {}\n").expect("written");
        stage
    }

    /// From the next start on, the log goes there.
    pub fn log_to(&mut self, log: LogTo) {
        let new = match log {
            LogTo::Pipe => Log::on_pipe(),
            LogTo::Disk => {
                let disk = self.disk();
                self.small_disk.get_or_insert_with(|| SmallDisk::at(&disk));
                Log::on_disk(&disk)
            }
        };
        if let Some(old) = self.log.replace(new) {
            self.logged += &old.text();
        }
    }

    /// A directory that a disk of its own may be put on, for the log.
    pub fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// The web configuration.
    pub fn web_config(&self) -> PathBuf {
        self.directory.path().join("web.yml")
    }

    /// One of the log directories.
    pub fn log_directory(&self, name: &str) -> PathBuf {
        self.scene.logs.join(name)
    }

    /// The kubelet.
    pub fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    pub(super) fn log(&self) -> &Log {
        self.log.as_ref().expect("it logs somewhere")
    }

    /// From now on whatever it starts with is started through that command.
    pub fn start_through(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
    }

    /// From now on the kernel refuses the program that system call.
    pub fn refuse(&mut self, call: &str) {
        let script = project().join("tests/refuse.py").display().to_string();
        self.start_through(&["/usr/bin/python3", &script, call]);
    }

    /// The program with these arguments and whatever makes it look at the scene, not yet started.
    pub fn command(&self, words: &[&str]) -> Command {
        let agent = self.directory.path().join("agent").display().to_string();
        let mut all = self.scene.through.iter().chain(&self.wrapper).chain([&agent]);
        let mut command = Command::new(all.next().expect("the program at least"));
        command.args(all).args(words).args(&self.scene.flags).args(self.kubelet.flags());
        // So that whatever it starts can be found.
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) {
        let mut command = self.command(&[
            "serve",
            "--poll.interval=100ms",
            &format!("--web.listen-address={}", self.address),
            &format!("--web.config.file={}", self.web_config().display()),
        ]);
        let mut agent = command.stderr(self.log().stderr()).spawn().expect("it starts");
        let began = Instant::now();
        wait_for("the agent to be ready", || {
            assert!(agent.try_wait().expect("its status").is_none(), "it ended: {}", self.so_far());
            TcpStream::connect(self.address).ok()?;
            (http::get(self.address, "/-/ready").status == 200).then_some(())
        });
        assert!(began.elapsed() < IN_TIME, "the start took {:?}", began.elapsed());
        self.groups.push(agent.id().try_into().expect("a pid"));
        self.agent = Some(agent);
    }

    fn so_far(&self) -> String {
        match self.log() {
            Log::Disk(file) => fs::read_to_string(file).unwrap_or_default(),
            Log::Pipe { .. } => "on the pipe".to_owned(),
        }
    }

    /// The agent's process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its metrics.
    #[track_caller]
    pub fn scrape(&self) -> Exposition {
        Exposition::parse(&http::get(self.address, "/metrics").text())
    }

    fn polls(&self) -> f64 {
        self.scrape().value(POLLS, &[]).expect("the polls")
    }

    /// That a poll goes by, and another.
    #[track_caller]
    pub fn polls_go_on(&self) {
        let before = self.polls();
        wait_for("two polls", || (self.polls() >= before + 2.0).then_some(()));
    }

    fn shows_finding(&self, scrape: &Exposition) -> bool {
        let labels = [&[("finding", "will-crash")], &*self.scene.labels].concat();
        scrape.value("hugetlb_finding", &labels).is_some()
    }

    /// Has something raise a finding, which must be shown in time.
    #[track_caller]
    pub fn raise(&mut self) {
        assert!(!self.shows_finding(&self.scrape()), "it is not raised yet");
        let before = self.polls();
        (self.scene.find)(true);
        self.is_raised = true;
        let shown = wait_for("the finding", || {
            Some(self.scrape()).filter(|scrape| self.shows_finding(scrape))
        });
        let polls = shown.value(POLLS, &[]).expect("the polls") - before;
        // Two to confirm it, and the one under way when it began.
        assert!(polls <= 4.0, "{polls} polls");
    }

    /// The other way round: raises the finding, or has it cleared.
    pub fn turn(&mut self) {
        if !self.is_raised {
            return self.raise();
        }
        (self.scene.find)(false);
        self.is_raised = false;
        wait_for("the finding to go", || (!self.shows_finding(&self.scrape())).then_some(()));
    }

    /// What must hold of a running agent.
    #[track_caller]
    pub fn judge(&self) {
        self.polls_go_on();
        let healthy = http::get(self.address, "/-/healthy");
        assert_eq!(healthy.status, 200, "{healthy:?}");
        self.report();
    }

    /// That a report ends in time.
    #[track_caller]
    pub fn report(&self) {
        let began = Instant::now();
        let output = self.command(&["report"]).stderr(Stdio::piped()).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(began.elapsed() < IN_TIME, "the report took {:?}", began.elapsed());
        assert!(output.status.code().is_some() && !text.contains("panicked"), "{text}");
    }

    /// That it ends when it is told to.
    #[track_caller]
    pub fn end(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        let began = Instant::now();
        kill(Pid::from_raw(agent.id().try_into().expect("a pid")), Signal::SIGTERM).expect("sent");
        let status = wait_for("the end", || agent.try_wait().expect("its status"));
        assert_eq!(status.code(), Some(0));
        assert!(began.elapsed() < IN_TIME, "the end took {:?}", began.elapsed());
    }

    /// That nothing is left, and that the log speaks of no bug. All that went wrong is mended.
    #[track_caller]
    pub fn leave(mut self) -> String {
        for group in std::mem::take(&mut self.groups) {
            wait_for("all that it started to end", || members(group).is_empty().then_some(()));
        }
        if let Some(log) = self.log.take() {
            self.logged += &log.text();
        }
        let text = std::mem::take(&mut self.logged);
        assert!(!text.contains("panicked") && !text.contains("a bug"), "{text}");
        text
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

/// The living processes of a process group.
pub(super) fn members(group: i32) -> Vec<u32> {
    let member = |path: &Path| {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, _parent, its) = (fields.next()?, fields.next()?, fields.next()?);
        (state != "Z" && its.parse() == Ok(group)).then_some(pid)
    };
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.filter_map(|entry| member(&entry.path())).collect()
}
