//! What goes wrong around the agent, and the one oracle that judges all of it: the agent polls, shows a new finding, is
//! healthy, can be asked for a report, ends, and leaves nothing behind.
//!
//! ```text
//! stage   the agent, and everything that a fault may befall     log     where its log goes
//! table   the faults: fault × moment                            shuffle all of them at random, for a while
//! ```

mod log;
mod shuffle;
mod stage;
mod table;

pub use log::LogTo;
pub use shuffle::Shuffle;
pub use stage::{Scene, Stage};
pub use table::{FAULTS, ROOTS_FAULTS};

/// When it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the agent starts.
    Before,
    /// While it runs.
    Running,
    /// At the very poll that raises a finding.
    AtFinding,
}

/// Undoes a fault.
pub type Mend = Box<dyn FnOnce(&mut Stage)>;

/// Something that goes wrong.
pub struct Fault {
    /// What.
    pub name: &'static str,
    /// What it is that goes wrong: one thing goes wrong in one way at a time.
    pub place: &'static str,
    /// When it may.
    pub moments: &'static [When],
    /// Where the log has to go for that.
    pub log: LogTo,
    /// Whether it can't be mended while that agent lives.
    pub for_life: bool,
    /// Makes it go wrong.
    pub befall: fn(&mut Stage) -> Mend,
}

impl Fault {
    /// Has it befall an agent of that scene at each of its moments, and judges the agent.
    #[track_caller]
    pub fn check(&self, scene: impl Fn() -> Scene) {
        for when in self.moments {
            eprintln!("{}: {when:?}", self.name);
            self.check_at(*when, Stage::new(scene(), self.log));
        }
    }

    fn check_at(&self, when: When, mut stage: Stage) {
        let early = (when == When::Before).then(|| (self.befall)(&mut stage));
        stage.start();
        let mend = early.unwrap_or_else(|| (self.befall)(&mut stage));
        if when == When::Running {
            stage.polls_go_on();
        }
        stage.raise();
        stage.judge();
        stage.end();
        mend(&mut stage);
        stage.leave();
    }
}

/// The fault of that name.
pub fn named(name: &str) -> &'static Fault {
    let mut all = FAULTS.iter().chain(ROOTS_FAULTS);
    all.find(|fault| fault.name == name).unwrap_or_else(|| panic!("there is no fault {name}"))
}
