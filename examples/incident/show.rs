//! The agent and the story it watches, side by side.

use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::stop::{Ended, Stop};
use crate::wish::Wish;

/// The story's time. Every step is a sixtieth of it.
#[derive(Debug)]
pub struct Pace {
    stop: Stop,
    step: Duration,
    once: bool,
}

impl Pace {
    /// Lets so many steps pass.
    pub fn steps(&self, steps: u32) -> Result<(), Ended> {
        self.stop.rest(self.step * steps)
    }

    /// Asks again and again until there is an answer; nothing if there is none in time.
    pub fn poll<T>(&self, mut ask: impl FnMut() -> Option<T>) -> Result<Option<T>, Ended> {
        for _ in 0..400 {
            if let Some(answer) = ask() {
                return Ok(Some(answer));
            }
            self.stop.rest(Duration::from_millis(50))?;
        }
        Ok(None)
    }

    /// The story is over; what is there to see stays until it is to end.
    pub fn over(&self) {
        if !self.once {
            tell("That was it. It goes on serving; Ctrl-C ends it.");
            self.stop.wait();
        }
    }
}

/// Says what happens.
pub fn tell(text: &str) {
    println!("      {text}");
}

/// Runs the agent with this command line, and the story beside it, until one of them ends or a signal ends both.
pub fn run(
    wish: &Wish,
    stop: &Stop,
    command_line: Vec<OsString>,
    story: impl FnOnce(&Pace) -> anyhow::Result<()> + Send,
) -> anyhow::Result<ExitCode> {
    let pace = Pace { stop: stop.clone(), step: wish.length / 60, once: wish.once };
    thread::scope(|scope| {
        let story = scope.spawn(move || {
            let told = story(&pace);
            pace.stop.end();
            told
        });
        // In this thread: the agent's own children end with the one that started them.
        let code = hugetlb_exporter::run(command_line);
        stop.agent_is_gone();
        match story.join() {
            Ok(Err(error)) if !error.is::<Ended>() => Err(error),
            Ok(_) => Ok(code),
            Err(panic) => panic::resume_unwind(panic),
        }
    })
}
