//! The table of refusals: who asks for huge pages, under which limits, and what became of it, against what was said.
//!
//! The oracle is each process's own end: the signal that killed it, the code it ended with, what it printed. No kill
//! is passed over in silence, no kill is reported that was none, and what is harmless wakes nobody.

mod heard;
mod judge;
mod play;
mod program;
mod row;
mod shares;

pub use heard::{Heard, Said};
pub use program::mimalloc;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use play::{Played, Run, Theatre};
use program::{Files, Program, USUAL};
use row::Row;
use shares::Shares;

use crate::Lab;
use crate::evidence::{self, Section};
use crate::kubepods::{Driver, Kubepods};
use crate::machine::{LargerPool, Phase, on_path};
use crate::postgres::Cluster;
use crate::scenarios::Named;

pub const BOTH: &[Named] = &[("refusals::the_table", the_table)];

const SECTION: Section = Section { title: "Refusals", scenarios: "refusals::" };
/// How often each row is run, and one that takes a core where there is not all the time in the world.
const RUNS: usize = 10;
const FEW: usize = 2;
/// Runs at the same time: of PostgreSQL's servers, of what takes a core, of all else.
const WORKERS: [usize; 3] = [60, 30, 360];
/// So large that runs need not wait for each other, where there is memory for it.
const POOL: u64 = 1_200;
/// For the poller and for what is still undecided.
const LAST_WORDS: Duration = Duration::from_secs(10);

fn the_table(lab: &Lab) {
    let began = Instant::now();
    let with_java = ["java", "javac"].into_iter().all(on_path);
    let mut programs = USUAL.to_vec();
    if with_java {
        programs.push(Program::Java);
    }
    let rows = row::product(&programs);
    let rows = if lab.phase == Phase::V1 { row::pairwise(&rows) } else { rows };
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let is_short = lab.phase == Phase::V1 && !evidence::is_long();
    let runs = if is_short { RUNS / 2 } else { RUNS };
    let pool = LargerPool::of(POOL);
    let theatre = Theatre {
        kubepods: &kubepods,
        files: Files::new(with_java),
        pages: Shares::new(vec![(); (pool.pages - 20).try_into().expect("few")]),
        cores: Shares::new(vec![(); 2]),
        clusters: Shares::new(clusters(if lab.phase == Phase::V1 { 4 } else { 12 })),
    };
    let agent = kubepods.agent(&["--poll.interval=2s", "--probe.target=off"]);
    let heard = Heard::default();
    let played = std::thread::scope(|scope| {
        let listening = heard.listen(scope, &agent);
        let played = play_all(&theatre, &rows, runs);
        std::thread::park_timeout(LAST_WORDS);
        drop(listening);
        played
    });
    let log = agent.log();
    assert!(!log.iter().any(|line| line.contains("panicked")), "{log:?}");
    let java = if with_java { "" } else { ", none of OpenJDK, which is not here" };
    evidence::tell(
        SECTION,
        format!(
            "{}: {} rows{java}, {} runs in {:.0} s",
            lab.phase,
            rows.len(),
            played.len(),
            began.elapsed().as_secs_f64()
        ),
    );
    judge::judge(lab, &played, &heard);
}

/// Data directories.
fn clusters(number: usize) -> Vec<Cluster> {
    let make = |_| std::thread::spawn(Cluster::new);
    let made: Vec<_> = (0..number).map(make).collect();
    made.into_iter().map(|made| made.join().expect("a data directory")).collect()
}

/// Plays every row so often, many at the same time.
fn play_all(theatre: &Theatre<'_>, rows: &[Row], runs: usize) -> Vec<(Run, Played)> {
    let runs = (0..runs).flat_map(|number| rows.iter().map(move |row| Run { row: *row, number }));
    let mut queues = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
    for run in runs {
        let queue = match run.row.program {
            Program::Postgres => 0,
            program if program.is_heavy() => 1,
            _ => 2,
        };
        if queue == 1 && run.number >= FEW && !evidence::is_long() {
            continue;
        }
        queues[queue].push_back(run);
    }
    let queues = queues.map(Mutex::new);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (queue, workers) in queues.iter().zip(WORKERS) {
            for _ in 0..workers {
                scope.spawn(|| work(theatre, queue, &played));
            }
        }
    });
    played.into_inner().expect("all that was played")
}

fn work(theatre: &Theatre<'_>, queue: &Mutex<VecDeque<Run>>, played: &Mutex<Vec<(Run, Played)>>) {
    loop {
        let Some(run) = queue.lock().expect("the queue").pop_front() else { return };
        let name = name(run);
        let result = theatre.play(run, &name);
        played.lock().expect("what was played").push((run, result));
    }
}

/// A pod's name tells its row.
fn name(run: Run) -> String {
    let text = format!("run {} {}", run.number, run.row).to_lowercase();
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
