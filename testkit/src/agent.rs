//! The real program, serving on a port of the system's choice.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

pub use hugetlb_exporter::host::tied;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::exposition::Exposition;
use super::tls::Client;
use super::{Lines, address, built, http, wait_for};

/// A running agent; dropping it ends it.
pub struct Agent {
    child: Child,
    address: SocketAddr,
    log: Lines,
    /// Who asks it, where it speaks TLS.
    client: Option<Client>,
}

/// How an agent is started.
pub struct Start {
    program: PathBuf,
    arguments: Vec<String>,
    user: Option<u32>,
    group: Option<u32>,
    cgroup: Option<PathBuf>,
    variables: Vec<(&'static str, &'static str)>,
    tied: bool,
    client: Option<Client>,
}

impl Start {
    /// With these flags; on loopback, polling every 100 ms, if they do not say otherwise.
    pub fn new(flags: &[String]) -> Self {
        let mut arguments = flags.to_vec();
        for (flag, value) in [("--web.listen-address", "127.0.0.1:0"), ("--poll.interval", "100ms")]
        {
            if !flags.iter().any(|given| given.starts_with(&format!("{flag}="))) {
                arguments.push(format!("{flag}={value}"));
            }
        }
        Self {
            program: program(),
            arguments,
            user: None,
            group: None,
            cgroup: None,
            variables: Vec::new(),
            tied: false,
            client: None,
        }
    }

    /// As that user and group, without any privilege.
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// With that group besides the user's own.
    pub fn with_group(mut self, id: u32) -> Self {
        self.group = Some(id);
        self
    }

    /// In that cgroup, from its first instruction on.
    pub fn in_cgroup(mut self, directory: &Path) -> Self {
        self.cgroup = Some(directory.to_owned());
        self
    }

    /// With that variable in its environment.
    pub fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Speaking TLS to that client.
    pub fn over_tls(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// To be killed if the thread that starts it ends first, by a signal too.
    pub fn tied_to_us(mut self) -> Self {
        self.tied = true;
        self
    }

    /// Starts it and waits until it is ready.
    pub fn go(self) -> Agent {
        // The build may lie where only its owner may look, so another user gets a copy.
        let copy = self.user.map(|_| copy_for_all(&self.program));
        let program = copy.as_ref().map_or(self.program, |copy| copy.path().join("agent"));
        let mut command = if self.tied { tied(&program) } else { Command::new(&program) };
        if let Some(cgroup) = &self.cgroup {
            command = tied("sh");
            command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(cgroup);
            // It takes root to get there; what is lost with that is to be asked for again.
            command.args(self.user.map(|id| as_user(id, None)).unwrap_or_default()).arg(&program);
        } else if let (Some(id), Some(_)) = (self.user, self.group) {
            command = tied("env");
            command.args(as_user(id, self.group)).arg(&program);
        } else if let Some(id) = self.user {
            command.uid(id).gid(id);
        }
        command.args(self.arguments).envs(self.variables);
        Agent::started(command, self.client)
    }
}

/// The program; `HUGETLB_EXPORTER_BINARY` names another build of it.
pub fn program() -> PathBuf {
    let program = std::env::var_os("HUGETLB_EXPORTER_BINARY");
    program.map_or_else(built, PathBuf::from)
}

/// What becomes another user's command, without any privilege, that ends with us.
fn as_user(id: u32, group: Option<u32>) -> Vec<String> {
    let groups = group.map_or_else(|| "--clear-groups".to_owned(), |id| format!("--groups={id}"));
    let words = format!("setpriv --reuid={id} --regid={id} {groups} --pdeathsig=KILL --");
    words.split(' ').map(str::to_owned).collect()
}

/// A copy of the program that anyone may execute.
fn copy_for_all(program: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
    fs::copy(program, directory.path().join("agent")).expect("a copy");
    directory
}

impl Agent {
    /// The agent that some command becomes or starts, once it is ready.
    pub fn started_by(command: Command) -> Self {
        Self::started(command, None)
    }

    fn started(mut command: Command, client: Option<Client>) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the agent starts");
        let log = Lines::of(child.stderr.take().expect("its log"));
        let address = wait_for("the agent's address", || {
            if let Some(status) = child.try_wait().expect("its status") {
                panic!("the agent ended with {status}: {:?}", log.so_far());
            }
            address(&log, "listening")
        });
        let agent = Self { child, address, log, client };
        wait_for("the agent to be ready", || (agent.get("/-/ready").status == 200).then_some(()));
        agent
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it for a page.
    pub fn get(&self, path: &str) -> http::Answer {
        match &self.client {
            None => http::get(self.address, path),
            Some(client) => client.get(self.address, path, "").expect("an answer"),
        }
    }

    /// Its metrics, whatever their age.
    pub fn scrape(&self) -> Exposition {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Exposition::parse(&answer.text())
    }

    /// Its metrics, read wholly after this call: the poll under way now does not count.
    pub fn fresh(&self) -> Exposition {
        self.after_polls(2.0)
    }

    /// Its metrics after so many more polls.
    pub fn after_polls(&self, polls: f64) -> Exposition {
        self.after("hugetlb_exporter_polls_total", polls)
    }

    /// A scrape after a counter of the exporter's own has grown by so much.
    pub fn after(&self, counter: &str, by: f64) -> Exposition {
        let number = |exposition: &Exposition| exposition.value(counter, &[]).unwrap_or_default();
        let enough = number(&self.scrape()) + by;
        wait_for(counter, || Some(self.scrape()).filter(|exposition| number(exposition) >= enough))
    }

    /// What it has logged.
    pub fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    /// Its open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }

    /// Tells it to end and waits until it has.
    pub fn end(mut self) -> ExitStatus {
        self.terminate()
    }

    /// The same of one that somebody else keeps.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        wait_for("the agent to end", || self.child.try_wait().expect("its status"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), signal)
            .expect("it is there");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and little to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
