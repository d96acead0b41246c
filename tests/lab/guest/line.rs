//! What this program tells itself across the border of a guest: the task on the way in, lines on the way out.

use std::fs::{self, File};
use std::io::{self, Write};

use nix::sys::termios::tcdrain;
use serde::{Deserialize, Serialize};

/// Where the task is in the initramfs.
pub const TASK: &str = "/task.json";

/// The second serial port.
const PORT: &str = "/dev/ttyS1";

/// What is to be done inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Names of scenarios, in the order in which they run.
    pub scenarios: Vec<String>,
    /// More options of the cgroup2 mount.
    pub cgroup_options: Option<String>,
    /// Where the agent is.
    pub agent: String,
    /// Whether scenarios may take their time.
    pub is_long: bool,
}

impl Task {
    /// What this guest is to do.
    pub fn read() -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(TASK)?)?)
    }
}

/// What has happened inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The guest is up, with this kernel (`uname -r`).
    Up { release: String },
    /// A scenario has begun.
    Begun { scenario: String },
    /// A line for docs/evidence.md.
    Evidence { line: String },
    /// A scenario is over: with what is wrong, if anything is.
    Over { scenario: String, failure: Option<String> },
}

impl Line {
    /// Says it to the host.
    pub fn send(&self) -> io::Result<()> {
        let mut port = File::options().write(true).open(PORT)?;
        writeln!(port, "{}", serde_json::to_string(self)?)?;
        Ok(tcdrain(&port)?)
    }

    /// A line as the host reads it; nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim()).ok()
    }
}
