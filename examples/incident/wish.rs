//! What was asked for.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, bail};

/// Where the agent listens unless it is told otherwise: nobody else is shown a demonstration.
pub const ADDRESS: &str = "127.0.0.1:10270";

/// The flags of the demonstration, and those of the agent.
#[derive(Debug)]
pub struct Wish {
    pub real: bool,
    pub length: Duration,
    pub once: bool,
    agents: Vec<OsString>,
}

impl Wish {
    pub fn of(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut wish =
            Self { real: false, length: Duration::from_secs(60), once: false, agents: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--real") => wish.real = true,
                Some("--once") => wish.once = true,
                Some("--seconds") => {
                    let seconds = arguments.next().and_then(|text| text.to_str()?.parse().ok());
                    let seconds: u64 = seconds.context("--seconds expects a whole number")?;
                    if seconds == 0 {
                        bail!("--seconds expects a number above zero");
                    }
                    wish.length = Duration::from_secs(seconds);
                }
                _ => wish.agents.push(argument),
            }
        }
        Ok(wish)
    }

    /// The agent's command line, with these flags of ours.
    pub fn command_line(&self, ours: impl IntoIterator<Item = String>) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["incident".into()];
        // The log says what is found, in the agent's own words, and no more.
        for (flag, value) in [("--log.level", "error"), ("--web.listen-address", ADDRESS)] {
            if !self.says(flag) {
                line.push(format!("{flag}={value}").into());
            }
        }
        line.extend(ours.into_iter().map(OsString::from));
        line.extend(self.agents.iter().cloned());
        line
    }

    /// Where to look.
    pub fn place(&self) -> &'static str {
        if self.says("--web.listen-address") { "where you said" } else { "http://localhost:10270/" }
    }

    fn says(&self, flag: &str) -> bool {
        let variable = flag.trim_start_matches('-').replace(['.', '-'], "_").to_uppercase();
        std::env::var_os(format!("HUGETLB_EXPORTER_{variable}")).is_some()
            || self.agents.iter().any(|given| given.to_string_lossy().starts_with(flag))
    }
}
