//! All faults at random, one after the other and several at once, around an agent that is started again now and then.

use std::time::{Duration, Instant};

use super::{FAULTS, Fault, LogTo, Mend, ROOTS_FAULTS, Scene, Stage, When};

/// A run of random faults; the same seed draws the same ones.
pub struct Shuffle {
    stage: Stage,
    random: u64,
    log: LogTo,
    active: Vec<(&'static Fault, Mend)>,
    turns: u32,
    starts: u32,
    befallen: Vec<&'static str>,
}

impl Shuffle {
    /// An agent of that scene, without a fault.
    pub fn new(scene: Scene, seed: u64) -> Self {
        let mut stage = Stage::new(scene, LogTo::Pipe);
        stage.start();
        Self {
            stage,
            random: seed,
            log: LogTo::Pipe,
            active: Vec::new(),
            turns: 0,
            starts: 1,
            befallen: Vec::new(),
        }
    }

    /// For so long. Says what there was; the oracle held throughout.
    pub fn run(mut self, length: Duration) -> String {
        let began = Instant::now();
        while began.elapsed() < length {
            match self.draw(5) {
                0 => self.start_again(),
                1 => self.mend_one(),
                2 | 3 => self.befall(When::Running),
                _ => self.befall(When::AtFinding),
            }
            self.stage.turn();
            self.stage.judge();
            self.turns += 1;
        }
        self.stage.end();
        for (_, mend) in self.active.drain(..) {
            mend(&mut self.stage);
        }
        let times = self.befallen.len();
        self.befallen.sort_unstable();
        self.befallen.dedup();
        let (kinds, all) = (self.befallen.len(), FAULTS.len() + ROOTS_FAULTS.len());
        let (turns, starts) = (self.turns, self.starts);
        self.stage.leave();
        format!(
            "{kinds} of {all} kinds of faults, {times} in all, {starts} starts; {turns} times a finding was raised or cleared, a report made, and all was well"
        )
    }

    fn draw(&mut self, below: usize) -> usize {
        // xorshift64*, of which the high bits are good.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % below
    }

    /// One that may befall it now, if there is one.
    fn befall(&mut self, when: When) {
        let is_free = |fault: &&Fault| {
            fault.moments.contains(&when)
                && fault.log_fits(self.log)
                && !self.active.iter().any(|(other, _)| other.place == fault.place)
        };
        let free: Vec<&'static Fault> = FAULTS.iter().chain(ROOTS_FAULTS).filter(is_free).collect();
        if free.is_empty() {
            return;
        }
        let fault = free[self.draw(free.len())];
        eprintln!("{when:?}: {}", fault.name);
        self.befallen.push(fault.name);
        let mend = (fault.befall)(&mut self.stage);
        self.active.push((fault, mend));
        if when == When::Running {
            self.stage.polls_go_on();
        }
    }

    fn mend_one(&mut self) {
        let may_go: Vec<usize> =
            (0..self.active.len()).filter(|at| !self.active[*at].0.for_life).collect();
        if !may_go.is_empty() {
            let at = may_go[self.draw(may_go.len())];
            self.mend(at);
        }
    }

    fn mend(&mut self, at: usize) {
        let (fault, mend) = self.active.swap_remove(at);
        eprintln!("mended: {}", fault.name);
        mend(&mut self.stage);
    }

    /// What an agent can't be started with is mended; another fault may be there from the start.
    fn start_again(&mut self) {
        eprintln!("once more");
        self.stage.end();
        let hinders =
            |fault: &Fault| fault.place == "log" || !fault.moments.contains(&When::Before);
        while let Some(at) = self.active.iter().position(|(fault, _)| hinders(fault)) {
            self.mend(at);
        }
        self.log = if self.draw(2) == 0 { LogTo::Pipe } else { LogTo::Disk };
        self.stage.log_to(self.log);
        self.befall(When::Before);
        self.stage.start();
        self.starts += 1;
    }
}

impl Fault {
    /// Whether it may befall an agent that logs to there.
    fn log_fits(&self, log: LogTo) -> bool {
        self.place != "log" || self.log == log
    }
}
