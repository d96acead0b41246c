//! The demonstration: PostgreSQL maps more huge pages than its pod may touch, is killed, and is given what it needs. Then the
//! same under a kubelet of today: its mapping is refused, and it is started again and again.
//!
//! The agent serves a node on which this happens: one made of files ([`replay`]), or this machine ([`real`]). [`story`]
//! says what happens and follows what the agent serves meanwhile. What the story says must be on /metrics and on the
//! page; otherwise the demonstration fails and says what was missing.

mod pace;
mod real;
mod replay;
mod served;
mod stage;
mod story;

use std::net::SocketAddr;
use std::panic;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, oneshot, watch};

use crate::agent::{Agent, Signals};
use crate::config::{Config, Interval};
use crate::sources::Lister;
use pace::{Ended, Pace};
use served::Observer;
use stage::Stage;

/// Without `--once` the story begins when somebody looks, or after this time.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// What happens is served within this time: some polls, also on a busy machine.
const LATEST: Duration = Duration::from_secs(20);

/// The story has about so many steps.
const STEPS: u32 = 92;

/// What to demonstrate.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// On this machine, with real huge pages and cgroups, rather than on files.
    pub real: bool,
    /// About how long the story takes.
    pub length: Duration,
    /// Whether to begin at once and to end with the story.
    pub once: bool,
}

/// Serves the story. Fails if the agent did not serve what happened.
pub fn run(demo: Demo, config: Config) -> anyhow::Result<ExitCode> {
    ensure!(config.web_config.is_none(), "demo serves plain HTTP: leave out --web.config.file");
    let show = Show::prepare(demo, config)?;
    if demo.real { real::run(show) } else { replay::run(show) }
}

/// What the agent and the story need, on either stage.
struct Show {
    demo: Demo,
    config: Config,
    runtime: Runtime,
    signals: Signals,
    latest: Duration,
}

impl Show {
    /// From here on a signal does not end the process: what was changed on the machine is put back first.
    fn prepare(demo: Demo, config: Config) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("can't start the runtime")?;
        let signals = {
            let _inside = runtime.enter();
            Signals::with_hangup()?
        };
        let poll_interval = Interval::nearest(config.poll_interval.duration().min(demo.step()));
        let (lister, probe, kubelet, mappings) = (Lister::Here, None, None, None);
        // A cluster's Events tell of no demonstration.
        let config =
            Config { poll_interval, lister, probe, kubelet, mappings, events: None, ..config };
        Ok(Self { demo, config, runtime, signals, latest: LATEST })
    }

    /// Runs the agent, and the story on a thread of its own, until the story is over or a signal ends both.
    fn run(self, setting: &str, stage: impl Stage + Send) -> anyhow::Result<ExitCode> {
        let Self { demo, config, runtime, mut signals, latest } = self;
        let path = config.telemetry_path.clone();
        let agent = runtime.block_on(Agent::bind(config))?;
        let address = agent.addresses().next().context("the agent has no address")?;
        let observer = Observer::new(address, path.as_str());
        println!("{setting}: {}", place(address));
        let first_request = (!demo.once).then(|| agent.first_request());
        let (end, ending) = watch::channel(false);
        let (story_ends, mut story_over) = oneshot::channel::<()>();
        let pace = Pace::new(demo.step(), ending)?;
        let result = thread::scope(|scope| {
            let story = scope.spawn(move || {
                let _told_by_dropping = story_ends;
                // Dropped before that: the agent ends when the stage is cleared.
                let mut stage = stage;
                if let Some(first_request) = first_request {
                    wait_for_audience(&pace, &first_request)?;
                }
                story::tell(&mut stage, &pace, &observer, latest)?;
                if !demo.once {
                    story::say("That was all. It goes on serving; Ctrl-C ends it.");
                    pace.wait_for_end();
                }
                Ok(())
            });
            let until = async {
                tokio::select! {
                    signal = signals.wait() => {
                        let _ = end.send(true);
                        // The agent serves until the story has put away its processes.
                        let _ = story_over.await;
                        signal
                    }
                    _ = &mut story_over => "end of the story",
                }
            };
            let served = runtime.block_on(agent.run(until));
            // An agent that has failed ends the story.
            let _ = end.send(true);
            let told = story.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            served.map_err(anyhow::Error::from).and(told)
        });
        runtime.shutdown_background();
        result.map(|()| ExitCode::SUCCESS)
    }
}

impl Demo {
    fn step(self) -> Duration {
        self.length / STEPS
    }
}

fn wait_for_audience(pace: &Pace, first_request: &Notify) -> Result<(), Ended> {
    let seconds = FIRST_REQUEST.as_secs();
    story::say(&format!("The story begins when you open that page, or in {seconds} s."));
    pace.wait_for(first_request.notified(), FIRST_REQUEST)
}

/// Where to look.
fn place(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_loopback() {
        format!("http://localhost:{}/", address.port())
    } else {
        format!("http://{address}/")
    }
}

#[cfg(test)]
mod tests;
