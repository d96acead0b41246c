//! Who was killed, by the witness as the chart runs it: root with CAP_BPF and CAP_PERFMON alone.

mod cost;
mod kills;
mod named;
mod others;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Named;
use crate::cgroup::Cgroup;
use crate::evidence::Section;
use crate::harness::agent::{Agent, program, tied};
use crate::harness::wait_for;
use crate::kubepods::Kubepods;

pub const V2: &[Named] = &[
    ("witness::every_kill_is_named", kills::every_kill_is_named),
    ("witness::a_contained_postgres_is_named", named::a_contained_postgres_is_named),
    ("witness::an_empty_pool_is_told", others::an_empty_pool_is_told),
    ("witness::what_is_not_for_huge_pages", others::what_is_not_for_huge_pages),
    ("witness::a_flood_costs_little", cost::a_flood_costs_little),
    ("witness::at_rest_it_costs_nothing", cost::at_rest_it_costs_nothing),
    ("witness::without_privilege_it_says_so", others::without_privilege_it_says_so),
];

/// On kernels of every age, where root is root.
pub const EVERY_KERNEL: &[Named] = &[("witness::a_kill_is_named", kills::a_kill_is_named)];

const SECTION: Section = Section { title: "The witness", scenarios: "witness::" };

/// A witness that watches; dropping it ends it.
struct Witness {
    directory: TempDir,
    child: Child,
}

impl Witness {
    /// With these two capabilities and no other.
    fn start() -> Self {
        let witness = Self::with_capabilities("-all,+perfmon,+bpf");
        wait_for("the witness to see", || witness.told()?.contains("since").then_some(()));
        witness
    }

    /// With all of root's capabilities.
    fn privileged() -> Self {
        let witness = Self::become_of(tied(program()));
        wait_for("the witness to see", || witness.told()?.contains("since").then_some(()));
        witness
    }

    fn with_capabilities(bounding: &str) -> Self {
        let mut command = tied("setpriv");
        command.arg(format!("--bounding-set={bounding}")).arg("--").arg(program());
        Self::become_of(command)
    }

    fn become_of(mut command: Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        command.args(["witness", "--log.level=warn", "--witness.report"]);
        let child = command.arg(directory.path()).spawn().expect("the witness starts");
        Self { directory, child }
    }

    fn told(&self) -> Option<String> {
        std::fs::read_to_string(self.directory.path().join("witness.json")).ok()
    }

    fn flag(&self) -> String {
        format!("--collector.witness={}", self.directory.path().display())
    }

    /// An agent that reads it.
    fn agent(&self, kubepods: &Kubepods<'_>, more: &[&str]) -> Agent {
        let flag = self.flag();
        kubepods.agent(&[&[flag.as_str()], more].concat())
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who was killed, as the view says it.
fn killed(agent: &Agent) -> Vec<Value> {
    let view: Value = serde_json::from_str(&agent.get("/api/v1/view").text()).expect("a view");
    view.get("killed").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A process that gets SIGBUS as it is told.
struct Bus {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Bus {
    fn new(cgroup: &Cgroup, how: &[&str]) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/scenarios/witness/bus.py");
        let mut command: Command = tied("python3");
        command.arg(script).args(how).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        let orders = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        let mut bus = Self { child, orders, answers };
        assert_eq!(bus.answer(), "ready");
        cgroup.add(bus.child.id());
        bus
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().to_owned()
    }

    fn order(&mut self) {
        self.orders.write_all(b"go\n").expect("told");
    }

    /// Has it done once: the child's number, and the signal that ended it.
    fn once(&mut self) -> (u32, i32) {
        self.order();
        let answer = self.answer();
        let (pid, signal) = answer.split_once(' ').expect("two numbers");
        (pid.parse().expect("a number"), signal.parse().expect("a number"))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
