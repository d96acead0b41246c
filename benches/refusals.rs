//! How long it takes from a touch that is refused to the metric that tells of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::figures::rest;
use testkit::agent::{Agent, program, tied};

/// From one refusal to the next.
const EVERY: Duration = Duration::from_millis(200);
const ASK_EVERY: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(10);

/// The times, in milliseconds, from the order to touch a page too many until `/metrics` shows one more failure of the
/// pod; the way of the order to the process and of the answer to us included.
pub fn latencies(agent: &Agent, container: &Path, uid: &str, count: usize) -> Vec<f64> {
    let mut next = Instant::now();
    (0..count)
        .map(|_| {
            let mut tenant = Tenant::new(container);
            let before = failures(agent, uid);
            next += EVERY;
            rest(next.saturating_duration_since(Instant::now()));
            let began = Instant::now();
            tenant.tell("touch 2");
            while failures(agent, uid) <= before {
                assert!(began.elapsed() < DEADLINE, "the refusal is not told");
                rest(ASK_EVERY);
            }
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}

/// What `/metrics` tells of a pod's failures.
fn failures(agent: &Agent, uid: &str) -> f64 {
    let text = agent.get("/metrics").text();
    let of_pod = |line: &&str| {
        line.starts_with("hugetlb_pod_failures_total{")
            && line.contains(uid)
            && line.contains("pagesize=\"2Mi\"")
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    text.lines().filter(of_pod).filter_map(value).sum()
}

/// A process that has mapped two pages, of which the second will be refused.
struct Tenant(Child);

impl Tenant {
    fn new(container: &Path) -> Self {
        let mut command = tied(program());
        command.args(["touch-child", "--mapping=private", "--noreserve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tenant = Self(command.spawn().expect("a process"));
        fs::write(container.join("cgroup.procs"), tenant.0.id().to_string()).expect("a cgroup");
        tenant.tell("map 2");
        tenant
    }

    fn tell(&mut self, order: &str) {
        let orders = self.0.stdin.as_mut().expect("it listens");
        writeln!(orders, "{order}").expect("told");
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // It has died of the touch already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
