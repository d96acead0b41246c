//! What the benchmarks in benches/ measure: one step at a time, on a real reading.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio::runtime;
use tokio::sync::watch;

use crate::assessment::{Assessment, Thresholds, assess};
use crate::history::{History, Retention};
use crate::incidents::Incidents;
pub use crate::snapshot::{Cgroup, Failures, Hugetlb, Snapshot};
use crate::snapshot::{Reading, Taken};
use crate::sources::{Aside, Reader, Roots, scan_names};
use crate::view::{Poll, View};
use crate::web::{Server, Site, WebConfig};

/// A reader that stays, as the agent's.
#[derive(Debug)]
pub struct Resident(Reader);

impl Resident {
    /// One that the kernel notifies.
    pub fn new(roots: Roots) -> Self {
        Self(Reader::resident(roots))
    }

    /// One that nothing notifies.
    pub fn without_notifications(roots: Roots) -> Self {
        Self(Reader::new(roots))
    }

    /// What it reads at that time after its start.
    pub fn read(&mut self, since_start: Duration) -> Snapshot {
        self.0.read(Taken { wall: SystemTime::now(), since_start }, Aside::default())
    }

    /// Whether the kernel reported a refusal to anybody but us.
    pub fn heed_refusals(&mut self) -> bool {
        self.0.heed_refusals()
    }
}

/// What a new reader reads.
pub fn read_once(roots: Roots) -> Snapshot {
    let taken = Taken { wall: SystemTime::now(), since_start: Duration::ZERO };
    Reader::new(roots).read(taken, Aside::default())
}

/// A node that was read once and is assessed as often as wanted.
#[derive(Debug)]
pub struct Assessing {
    snapshot: Snapshot,
    history: History,
    thresholds: Thresholds,
}

impl Assessing {
    /// Reads the node below these roots.
    pub fn new(roots: Roots) -> Self {
        let aside = Aside { names: scan_names(&roots), ..Aside::default() };
        let taken = Taken { wall: SystemTime::now(), since_start: Duration::ZERO };
        let snapshot = Reader::new(roots).read(taken, aside);
        let mut history = History::new(Retention::default());
        history.update(&snapshot);
        Self { snapshot, history, thresholds: Thresholds::default() }
    }

    /// Takes the reading into the memory once more.
    pub fn remember(&mut self) {
        self.history.update(&self.snapshot);
    }

    /// Assesses it.
    pub fn assess(&self) -> Assessment {
        assess(&self.snapshot, &self.history, &self.thresholds)
    }

    /// What the poll of this number has to show.
    pub fn view(&self, number: u64) -> View {
        View {
            node: None,
            snapshot: self.snapshot.clone(),
            assessment: Arc::new(self.assess()),
            incidents: Incidents::default(),
            poll: Poll {
                number,
                woken: 0,
                log_lines_lost: 0,
                events: None,
                duration: Duration::ZERO,
                next: Duration::ZERO,
                process: Reading::Absent,
            },
        }
    }
}

/// The server, with a runtime like the agent's, on a thread of its own until this is dropped.
#[derive(Debug)]
pub struct Serving {
    views: watch::Sender<Option<Arc<View>>>,
    address: SocketAddr,
    _end: watch::Sender<bool>,
}

impl Serving {
    /// Starts it on loopback.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let server = runtime.block_on(Server::bind(&["127.0.0.1:0".parse()?]))?;
        let address = server.addresses().next().context("no address")?;
        let (views, view) = watch::channel(None);
        let (end, ending) = watch::channel(false);
        let (path, interval) = ("/metrics".parse()?, Duration::from_secs(2));
        let config = WebConfig::load(None)?;
        let site = Site::new(view, path, Instant::now(), interval, ending, &config)?;
        thread::Builder::new().spawn(move || runtime.block_on(server.serve(site)))?;
        Ok(Self { views, address, _end: end })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it show this from now on.
    pub fn show(&self, view: View) {
        self.views.send_replace(Some(Arc::new(view)));
    }
}
