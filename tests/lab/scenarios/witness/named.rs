//! A database in a container: who it was, in every place where people look.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::super::postgres::{BUFFERS, GRANT, HUGE};
use super::{SECTION, Witness, killed, kills::process_of};
use crate::Lab;
use crate::evidence;
use crate::harness::agent::Agent;
use crate::harness::{wait_for, wait_within};
use crate::kubepods::{Driver, Kubepods, id};
use crate::postgres::{Cluster, Server};

/// More rows than the limit has pages for.
const WORK: &str = "create table t as select n, repeat('x', 600) as text from generate_series(1, 10) n; \
    select pg_backend_pid(); \
    insert into t select n, repeat('x', 600) from generate_series(1, 600000) n";

/// The node's number of a process that the server's namespace calls that.
fn outside(inside: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let mut numbers = processes.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let is_postgres = status.starts_with("Name:\tpostgres");
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let numbers: Vec<&str> = numbers.unwrap_or_default().split_whitespace().collect();
        is_postgres && numbers.len() > 1 && numbers.last() == Some(&inside.to_string().as_str())
    })
}

/// Has a backend of the server's killed: its number in the server's namespace and on the node, and what the log says of it.
fn kill_backend(server: &Server<'_>) -> (u32, u32, String) {
    let mut psql = server.client("psql");
    psql.args(["--no-psqlrc", "-qAt", "-c", WORK]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = psql.spawn().expect("psql starts");
    let inside = wait_for("the backend", || {
        let asked = "select pid from pg_stat_activity where query like 'create table t as%'";
        String::from_utf8_lossy(&server.sql(asked).stdout).trim().parse::<u32>().ok()
    });
    let node = outside(inside).expect("its number on the node");
    client.wait().expect("psql ends");
    let line = wait_for("PostgreSQL to say it", || {
        let log = server.log();
        log.lines().find(|line| line.contains("was terminated by signal 7")).map(str::to_owned)
    });
    assert_eq!(process_of(&line), Some(inside), "PostgreSQL calls it by the inner number: {line}");
    (inside, node, line)
}

/// What the view says, in every other place.
fn is_everywhere(agent: &Agent, it: &Value, node: u32) {
    let labels = [("pod", "db-0"), ("container", "postgres"), ("cause", "limit")];
    let counted = agent.scrape().value("hugetlb_container_sigbus_total", &labels);
    assert_eq!(counted, Some(1.0));
    wait_for("the finding to name it", || {
        let view = agent.get("/api/v1/view").text();
        let words = format!("postgres (pid {node} on the node) was killed by SIGBUS");
        view.contains(&words).then_some(())
    });
    let page = agent.get("/").text();
    assert!(page.contains(&format!("(pid {node} on the node) got SIGBUS")), "{page}");
    let incidents: Value =
        serde_json::from_str(&agent.get("/api/v1/incidents").text()).expect("incidents");
    let events = incidents["incidents"][0]["events"].as_array().expect("events");
    let event = events.iter().find_map(|event| event.get("killed")).expect("who was killed");
    for key in ["pid", "comm", "address", "cause", "timestamp_seconds"] {
        assert_eq!(event[key], it[key], "{key}");
    }
}

pub(super) fn a_contained_postgres_is_named(lab: &Lab) {
    let witness = Witness::start();
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", GRANT);
    let container = kubepods.container(&pod, "postgres", &id("db"), 0);
    let agent = witness.agent(&kubepods, &["--poll.interval=2s"]);
    let cluster = Cluster::new();
    let settings = [HUGE, BUFFERS, "log_line_prefix=%n [%p] "];
    let server = Server::start_contained(&cluster, &container, &settings);
    let (inside, node, line) = kill_backend(&server);
    assert_ne!(inside, node);
    let it = wait_within("the kill to be told", Duration::from_secs(1), || killed(&agent).pop());
    assert_eq!((&it["comm"], &it["pid"]), (&"postgres".into(), &node.into()), "{it}");
    assert_eq!((&it["pod"], &it["container"]), (&"db-0".into(), &"postgres".into()));
    assert_eq!((&it["cause"], &it["pagesize"]), (&"limit".into(), &"2Mi".into()));
    // %n: seconds since 1970, with milliseconds.
    let said: f64 = line.split(' ').next().and_then(|time| time.parse().ok()).expect("a time");
    let at = it["timestamp_seconds"].as_f64().expect("a time");
    assert!((-0.005..1.0).contains(&(said - at)), "{said} against {at}");
    is_everywhere(&agent, &it, node);
    evidence::tell(
        SECTION,
        format!(
            "A PostgreSQL in a pid namespace: its backend {inside} was named as {node}, the node's number; its log said it {:.0} ms later.",
            (said - at) * 1e3
        ),
    );
}
