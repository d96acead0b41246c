//! What strangers do to the one who scrapes honestly: little.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use super::Named;
use super::abuse::Descriptors;
use crate::Lab;
use crate::evidence::{self, Section};
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::http;
use crate::kubepods::{Driver, Kubepods, id};

pub const V2: &[Named] =
    &[("clients::none_makes_it_dear_for_the_others", none_makes_it_dear_for_the_others)];

const SECTION: Section = Section { title: "Clients", scenarios: "clients::" };
const PODS: usize = 100;
const MEBIBYTE: f64 = 1_048_576.0;
const MOST_GROWTH: f64 = 32.0 * MEBIBYTE;
/// Of a core: one thread serves, and each view is encoded once in each form.
const MOST_PROCESSOR: f64 = 1.5;
/// So often it is measured before it is believed.
const TIMES: usize = 3;
/// A poll and a moment.
const NEW_VIEW: Duration = Duration::from_millis(260);
const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
const LAST_REQUEST: &str =
    "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";

/// A client that does something until it is told to stop.
type Client = fn(SocketAddr, &AtomicBool);

/// Who comes, and how many of them at a time.
const STRANGERS: [(&str, Client); 6] = [
    ("who hang up after 0.5 ms", hang_up),
    ("who take no gzip", plain),
    ("who read a byte at a time, 200 at once", read_slowly),
    ("who write a byte at a time, 200 at once", write_slowly),
    ("who ask 64 times at once", pipeline),
    ("3,000 connections at once", connect_often),
];

fn none_makes_it_dear_for_the_others(lab: &Lab) {
    let seconds = if evidence::is_long() { 10 } else { 4 };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let tenants: Vec<_> = (0..PODS)
        .map(|number| {
            let pod = kubepods.pod(&format!("db-{number}"), 8);
            let containers = ["a", "b"]
                .map(|name| kubepods.container(&pod, name, &id(&format!("{name}{number:03}")), 0));
            (pod, containers)
        })
        .collect();
    let agent =
        kubepods.agent(&["--poll.interval=250ms", "--poll.adaptive=false", "--collector.idle"]);
    let _limit = Descriptors::raised();
    evidence::tell(SECTION, format!("{PODS} pods of two containers, a new view each 250 ms"));
    for (who, client) in STRANGERS {
        // Something else on the machine may come between the two measurements, but not each time.
        let is_cheap = (0..TIMES).any(|_| {
            let alone = Honest::scrapes(&agent, seconds);
            let crowd = Crowd::of(agent.address(), client);
            let among = Honest::scrapes(&agent, seconds);
            drop(crowd);
            evidence::tell(SECTION, format!("alone: {alone}; among clients {who}: {among}"));
            among.median < alone.median * 2
                && among.processor < MOST_PROCESSOR
                && among.resident - alone.resident < MOST_GROWTH
        });
        assert!(is_cheap, "{who}: {TIMES} times");
    }
    agent.end();
    drop(tenants);
}

/// How the honest one fared.
struct Honest {
    median: Duration,
    slowest: Duration,
    /// The agent's processor time for each second.
    processor: f64,
    resident: f64,
}

impl Honest {
    /// Each scrape finds a new view, whose body has yet to be made unless a stranger has come first.
    fn scrapes(agent: &Agent, seconds: u64) -> Self {
        let began = Instant::now();
        let before = cost(&agent.scrape());
        let mut times = Vec::new();
        while began.elapsed() < Duration::from_secs(seconds) {
            park_timeout(NEW_VIEW);
            let asked = Instant::now();
            let answer = http::request(agent.address(), LAST_REQUEST);
            assert_eq!(answer.status, 200, "{answer:?}");
            times.push(asked.elapsed());
        }
        let after = cost(&agent.scrape());
        times.sort_unstable();
        Self {
            median: times[times.len() / 2],
            slowest: times[times.len() - 1],
            processor: (after.0 - before.0) / began.elapsed().as_secs_f64(),
            resident: after.1,
        }
    }
}

impl std::fmt::Display for Honest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a scrape takes {:.1} ms (median; the slowest {:.0} ms), the agent {:.0} % of a core and {:.0} MiB",
            self.median.as_secs_f64() * 1e3,
            self.slowest.as_secs_f64() * 1e3,
            self.processor * 100.0,
            self.resident / MEBIBYTE,
        )
    }
}

/// Processor time and resident memory.
fn cost(scrape: &Exposition) -> (f64, f64) {
    let figure = |name| scrape.value(name, &[]).expect("a figure of its own");
    (figure("process_cpu_seconds_total"), figure("process_resident_memory_bytes"))
}

/// Strangers, until this is dropped.
struct Crowd {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn of(address: SocketAddr, client: Client) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let come = move || {
            while !told.load(Ordering::Relaxed) {
                client(address, &told);
            }
        };
        Self { stopping, thread: Some(std::thread::spawn(come)) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The agent may close it at any moment.
fn ask(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = http::connect(address);
    let _ = stream.write_all(text.as_bytes());
    stream
}

fn hang_up(address: SocketAddr, _: &AtomicBool) {
    let stream = ask(address, REQUEST);
    park_timeout(Duration::from_micros(500));
    drop(stream);
}

fn plain(address: SocketAddr, _: &AtomicBool) {
    let text = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let _ = ask(address, text).read_to_end(&mut Vec::new());
}

fn read_slowly(address: SocketAddr, stopping: &AtomicBool) {
    let mut streams: Vec<_> = (0..200).map(|_| ask(address, &REQUEST.repeat(8))).collect();
    while !stopping.load(Ordering::Relaxed) {
        for stream in &mut streams {
            let _ = stream.read(&mut [0]);
        }
        park_timeout(Duration::from_millis(100));
    }
}

fn write_slowly(address: SocketAddr, stopping: &AtomicBool) {
    let mut streams: Vec<_> = (0..200).map(|_| ask(address, "GET / HTTP/1.1\r\nX: ")).collect();
    while !stopping.load(Ordering::Relaxed) {
        for stream in &mut streams {
            let _ = stream.write(b"x");
        }
        park_timeout(Duration::from_millis(100));
    }
}

fn pipeline(address: SocketAddr, _: &AtomicBool) {
    let _ =
        ask(address, &[&*REQUEST.repeat(63), LAST_REQUEST].concat()).read_to_end(&mut Vec::new());
}

fn connect_often(address: SocketAddr, stopping: &AtomicBool) {
    let streams: Vec<_> = (0..3_000)
        .take_while(|_| !stopping.load(Ordering::Relaxed))
        .map(|_| ask(address, REQUEST))
        .collect();
    drop(streams);
}
