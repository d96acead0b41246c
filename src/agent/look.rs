//! A report's look at the node: once more, without the loop.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::kubelet;
use crate::assessment::{Findings, Thresholds, assess};
use crate::history::{History, Retention};
use crate::incidents::Incidents;
use crate::snapshot::{Health, Reading, Taken};
use crate::sources::{
    Aside, Endpoint, Found, Lister, LogDirectory, Named, Names, Reader, Reported, Roots,
    WitnessFile, read_guard, scan_mappings,
};
use crate::view::{Poll, View};

/// A report waits so long for names.
const NAMES: Duration = Duration::from_secs(1);

/// And so long for mappings.
const MAPPINGS: Duration = Duration::from_secs(3);

/// What a report is to be made of.
#[derive(Debug)]
pub struct Looking {
    /// What the node is called, where that is known.
    pub node: Option<Arc<str>>,
    /// Where the files are.
    pub roots: Roots,
    /// What to show, and of what to speak.
    pub thresholds: Thresholds,
    /// The kubelet, if it is to be asked.
    pub kubelet: Option<Endpoint>,
    /// Whether to look at what processes have mapped.
    pub at_mappings: bool,
    /// Where the guard leaves its report, if it is to be read.
    pub guard: Option<PathBuf>,
    /// The directory that the witness of SIGBUS writes to, if it is to be asked.
    pub witness: Option<PathBuf>,
    /// Who lists the log directories.
    pub lister: Lister,
    /// The time between the two looks.
    pub apart: Duration,
}

impl Looking {
    /// Looking at the files below these roots, twice without a pause.
    pub fn at(roots: Roots) -> Self {
        Self {
            node: None,
            roots,
            thresholds: Thresholds::default(),
            kubelet: None,
            at_mappings: false,
            guard: None,
            witness: None,
            lister: Lister::Here,
            apart: Duration::ZERO,
        }
    }
}

/// What may take its time, as far as it comes in time.
fn look_aside(roots: &Roots, lister: Lister, at_mappings: bool) -> Aside {
    let named = LogDirectory::ALL.map(|directory| {
        let roots = roots.clone();
        (directory, Pending::start("names", NAMES, move || directory.scan(&roots, lister)))
    });
    let mappings = at_mappings.then(|| {
        let roots = roots.clone();
        Pending::start("mappings", MAPPINGS, move || scan_mappings(&roots, &AtomicU32::default()))
    });
    let named = named.map(|(directory, pending)| {
        pending.wait().unwrap_or_else(|why| {
            let mut named = Named::default();
            named.fail(roots, directory, &why);
            named
        })
    });
    let mappings = mappings.map(|pending| {
        let unknown = |why| Found { facts: Arc::default(), health: Health::Down(why) };
        pending.wait().unwrap_or_else(unknown)
    });
    Aside { names: Names::of(roots, &named), mappings, ..Aside::default() }
}

/// The guard's report, as far as it comes in time.
fn look_at_guard(directory: PathBuf, roots: &Roots) -> Reported {
    let proc = roots.proc.clone();
    let pending = Pending::start("guard", NAMES, move || read_guard(&directory, &proc, None));
    pending.wait().unwrap_or_else(|why| Reported { guard: None, health: Health::Down(why) })
}

/// Something that is looked for on a thread of its own, which is left behind where it is stuck.
struct Pending<T> {
    result: io::Result<mpsc::Receiver<T>>,
    until: Instant,
    patience: Duration,
}

impl<T: Send + 'static> Pending<T> {
    fn start(name: &str, patience: Duration, look: impl FnOnce() -> T + Send + 'static) -> Self {
        let (leave, result) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned());
        // An error means that nobody waits any more.
        let started = thread.spawn(move || drop(leave.send(look())));
        let until = Instant::now() + patience;
        Self { result: started.map(|_| result), until, patience }
    }

    /// The result, or why there is none.
    fn wait(self) -> Result<T, String> {
        let rest = self.until.saturating_duration_since(Instant::now());
        let result = self.result.map_err(|error| format!("can't start a thread: {error}"))?;
        result
            .recv_timeout(rest)
            .map_err(|_| format!("no answer for {} s", self.patience.as_secs()))
    }
}

/// Two looks at the node, for a report: what is found in both is believed. Where huge pages count as memory a third one, since
/// who hangs is found by what has changed since the look before. Waits a moment for names, and holds nothing back for want of
/// one.
pub fn look(looking: Looking) -> View {
    let Looking { node, roots, thresholds, kubelet, at_mappings, guard, witness, lister, apart } =
        looking;
    let mut aside = look_aside(&roots, lister, at_mappings);
    aside.guard = guard.map(|directory| look_at_guard(directory, &roots));
    if let Some(endpoint) = kubelet {
        kubelet::ask_once(endpoint).add_to(&mut aside);
    }
    aside.witness = witness
        .map(|directory| WitnessFile::new(directory, roots.proc.clone(), Instant::now()).read());
    let mut reader = Reader::new(roots);
    let mut history = History::new(Retention { hold_back: Duration::ZERO, ..Retention::default() });
    let mut findings = Findings::default();
    let begun = Instant::now();
    let mut look = |number| {
        let started = Instant::now();
        let since_start = started.saturating_duration_since(begun);
        let taken = Taken { wall: SystemTime::now(), since_start };
        let snapshot = reader.read(taken, aside.clone());
        history.update(&snapshot);
        let mut assessment = assess(&snapshot, &history, &thresholds);
        findings.confirm(&mut assessment.findings);
        let poll = Poll {
            number,
            woken: 0,
            log_lines_lost: 0,
            events: None,
            duration: started.elapsed(),
            next: apart,
            process: Reading::Absent,
        };
        let assessment = Arc::new(assessment);
        View { node: node.clone(), snapshot, assessment, incidents: Incidents::default(), poll }
    };
    let counts_as_memory = look(1).snapshot.accounting.is_on();
    #[expect(clippy::disallowed_methods, reason = "a report has nothing else to do meanwhile")]
    let mut look_again = |number| {
        thread::sleep(apart);
        look(number)
    };
    let view = look_again(2);
    if counts_as_memory { look_again(3) } else { view }
}
