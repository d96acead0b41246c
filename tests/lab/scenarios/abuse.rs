//! What strangers and kill -9 do to it: nothing that lasts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use super::Named;
use super::probe::verdict;
use super::probing::scratch_cgroups;
use crate::Lab;
use crate::evidence::{self, Section};
use crate::harness::agent::{Agent, program};
use crate::harness::exposition::Exposition;
use crate::harness::{http, wait_for};
use crate::kubepods::{Driver, Kubepods};

pub const V2: &[Named] = &[
    ("abuse::slow_connections_keep_nobody_out", slow_connections),
    ("abuse::killed_under_load_it_is_back_at_once", killed_under_load),
];

const SECTION: Section = Section { title: "Abuse", scenarios: "abuse::" };
const CONNECTIONS: usize = 5_000;
/// Prometheus gives a scrape so long, unless told otherwise.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
const MEBIBYTE: f64 = 1_048_576.0;
const MOST_GROWTH: f64 = 32.0 * MEBIBYTE;

fn resident(scrape: &Exposition) -> f64 {
    scrape.value("process_resident_memory_bytes", &[]).expect("its memory")
}

/// Connections that send their request byte by byte, and come again when they are closed.
fn slow_connections(lab: &Lab) {
    let seconds = if evidence::is_long() { 60 } else { 20 };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let agent = kubepods.agent(&["--poll.interval=2s"]);
    // What it keeps open it has opened by its second poll.
    let before = wait_for("the agent to have settled", || {
        let scrape = agent.scrape();
        scrape.value("hugetlb_exporter_polls_total", &[]).filter(|polls| *polls >= 3.0)?;
        Some(scrape)
    });
    let first = Wave::over(&agent, Duration::from_secs(seconds));
    let growth = first.largest - resident(&before);
    evidence::tell(
        SECTION,
        format!(
            "{CONNECTIONS} slow connections for {seconds} s, {} made in all: the slowest scrape took {} ms, resident memory grew by {:.1} MiB",
            first.made,
            first.slowest.as_millis(),
            growth / MEBIBYTE,
        ),
    );
    assert!(first.slowest < SCRAPE_TIMEOUT, "{:?}", first.slowest);
    assert!(growth < MOST_GROWTH, "{growth} bytes");
    let settled = before.value("process_open_fds", &[]).expect("its descriptors");
    wait_for("the descriptors to be as they were", || {
        agent.scrape().value("process_open_fds", &[]).filter(|now| *now <= settled + 1.0)
    });
    // What was given back the allocator keeps for the next time; so the next time takes no more.
    let second = Wave::over(&agent, Duration::from_secs(5));
    let more = second.largest - first.largest;
    assert!(more < 4.0 * MEBIBYTE, "{more} bytes more the second time");
}

/// What a crowd did to the agent.
struct Wave {
    made: usize,
    slowest: Duration,
    largest: f64,
}

impl Wave {
    fn over(agent: &Agent, length: Duration) -> Self {
        let _limit = Descriptors::raised();
        let mut crowd = Crowd::new(agent.address());
        let (mut slowest, mut largest) = (Duration::ZERO, 0.0_f64);
        let began = Instant::now();
        while began.elapsed() < length {
            crowd.push();
            let asked = Instant::now();
            largest = largest.max(resident(&agent.scrape()));
            slowest = slowest.max(asked.elapsed());
        }
        Self { made: crowd.made, slowest, largest }
    }
}

/// The right to many descriptors, for a while.
pub struct Descriptors(u64, u64);

impl Descriptors {
    pub fn raised() -> Self {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
        Self(soft, hard)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        setrlimit(Resource::RLIMIT_NOFILE, self.0, self.1).expect("as it was");
    }
}

struct Crowd {
    address: SocketAddr,
    streams: Vec<TcpStream>,
    made: usize,
}

impl Crowd {
    fn new(address: SocketAddr) -> Self {
        let streams = (0..CONNECTIONS).map(|_| slow(address)).collect();
        Self { address, streams, made: CONNECTIONS }
    }

    /// A byte more from each that is still served, and at most a thousand others anew.
    fn push(&mut self) {
        let mut anew = 0;
        for stream in &mut self.streams {
            let is_closed = matches!(stream.read(&mut [0]), Ok(0))
                || stream
                    .write(b"x")
                    .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
            if is_closed && anew < 1_000 {
                *stream = slow(self.address);
                anew += 1;
            }
        }
        self.made += anew;
    }
}

fn slow(address: SocketAddr) -> TcpStream {
    let mut stream = http::connect(address);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").expect("sent");
    stream.set_nonblocking(true).expect("set");
    stream
}

/// Scrapers that never stop asking, whoever answers.
struct Load {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let scraper = |_| {
            let stopping = Arc::clone(&stopping);
            std::thread::spawn(move || {
                while !stopping.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(address) else { continue };
                    // It may be killed at any moment of this.
                    let _ = stream.write_all(
                        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                    );
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            })
        };
        let threads = (0..2).map(scraper).collect();
        Self { stopping, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn killed_under_load(lab: &Lab) {
    let rounds = if evidence::is_long() { 200 } else { 20 };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let mut agent = kubepods.agent(&["--probe.target=scratch", "--probe.interval=100ms"]);
    let address = agent.address();
    let again = [
        &format!("--web.listen-address={address}"),
        "--probe.target=scratch",
        "--probe.interval=100ms",
    ];
    let load = Load::on(address);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        agent.signal(Signal::SIGKILL);
        drop(agent);
        let began = Instant::now();
        agent = kubepods.agent(&again);
        slowest = slowest.max(began.elapsed());
    }
    drop(load);
    evidence::tell(
        SECTION,
        format!(
            "{rounds} times killed (kill -9) under load: ready again within {} ms",
            slowest.as_millis()
        ),
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // What the others left is removed before the first probe.
    assert_eq!(verdict(&agent, "2Mi", "fault"), "enforced");
    agent.end();
    assert_eq!(scratch_cgroups(lab), Vec::<PathBuf>::new());
    wait_for("its children to be gone", || (others() == 0).then_some(()));
}

/// Processes of the program that are not of this test's; no agent of the lab's runs now.
fn others() -> usize {
    let program = std::fs::canonicalize(program()).expect("the program");
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let runs = |path: PathBuf| std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe == program);
    processes.filter(|entry| runs(entry.path())).count()
}
