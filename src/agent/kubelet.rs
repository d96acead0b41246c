//! The kubelet's word, asked for on the side and left for the poller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use super::{AgentError, can_not_start, keep_running};
use crate::config::KubeletConfig;
use crate::identity::ToldNames;
use crate::snapshot::{Declared, Health, Source};
use crate::sources::{Answer, Aside, Endpoint, Found, Kubelet};

/// It is asked at most this often when somebody waits for a name: well within the time that a container without
/// one is held back.
const BUSY: Duration = Duration::from_secs(4);

/// A request that takes longer is given up.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// In a report, somebody waits for it.
const REPORT_LIMIT: Duration = Duration::from_secs(3);

/// The first snapshot waits so long for it, no longer.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// What the kubelet last said, and whether it says it still.
#[derive(Debug, Clone)]
pub(super) struct Told {
    declared: Found<Declared>,
    names: Arc<ToldNames>,
}

/// Where the kubelet's word is left for the poller.
pub(super) struct KubeletSlot {
    newest: watch::Receiver<Told>,
    wanted: Arc<Notify>,
}

impl KubeletSlot {
    /// Starts asking; returns when there is an answer, or soon. Nothing where it is not to be asked.
    pub(super) async fn start(config: Option<KubeletConfig>) -> Result<Option<Self>, AgentError> {
        let Some(KubeletConfig { endpoint, interval }) = config else { return Ok(None) };
        if endpoint.insecure_skip_verify {
            tracing::warn!(url = %endpoint.url,
                "the kubelet's certificate is not checked: whoever answers there is given the token and believed");
        }
        let kubelet =
            Kubelet::new(endpoint, TIME_LIMIT).map_err(can_not_start("asking of the kubelet"))?;
        let kubelet = Arc::new(kubelet);
        let (sender, mut newest) = watch::channel(Told::unknown(kubelet.not_asked_yet()));
        let wanted = Arc::new(Notify::new());
        let asked = Arc::clone(&wanted);
        keep_running("the asking of the kubelet", move || {
            let (kubelet, wanted) = (Arc::clone(&kubelet), Arc::clone(&asked));
            keep_asking(kubelet, interval.duration(), sender.clone(), wanted)
        });
        // Without an answer the snapshot says so itself.
        let _ = tokio::time::timeout(FIRST_ANSWER, newest.changed()).await;
        Ok(Some(Self { newest, wanted }))
    }

    /// What it last said.
    pub(super) fn newest(&self) -> Told {
        self.newest.borrow().clone()
    }

    /// Tells that a name is wanted.
    pub(super) fn ask(&self) {
        self.wanted.notify_one();
    }
}

impl Told {
    fn unknown(health: Health) -> Self {
        Self { declared: Found { facts: Arc::default(), health }, names: Arc::default() }
    }

    /// What is known after an answer. What was known stays where there is none.
    fn after(self, kubelet: &Kubelet, answer: Result<Answer, Health>) -> Self {
        match answer {
            Ok(Answer { declared, names, problems }) => {
                let health = kubelet.health_after(problems);
                Self {
                    declared: Found { facts: Arc::new(declared), health },
                    names: Arc::new(names),
                }
            }
            Err(health) => Self { declared: Found { health, ..self.declared }, ..self },
        }
    }

    /// Puts it to what else is known on the side.
    pub(super) fn add_to(self, aside: &mut Aside) {
        aside.names.index = Arc::new(aside.names.index.with_told(self.names));
        aside.declared = Some(self.declared);
    }
}

async fn keep_asking(
    kubelet: Arc<Kubelet>,
    interval: Duration,
    sender: watch::Sender<Told>,
    wanted: Arc<Notify>,
) {
    let busy = BUSY.min(interval);
    let began = Instant::now();
    let mut is_first = true;
    loop {
        let answer = kubelet.ask().await;
        if let Err(Health::Down(reason)) = &answer
            && is_first
            && began.elapsed() >= FIRST_ANSWER
        {
            // The poller has said that it was not asked yet, and does not say twice that a source is down.
            tracing::warn!(source = %Source::Kubelet, reason, "source is down");
        }
        is_first = false;
        let told = sender.borrow().clone().after(&kubelet, answer);
        if sender.send(told).is_err() {
            return;
        }
        tokio::time::sleep(busy).await;
        // A time-out is the ordinary case: nobody asked.
        let _ = tokio::time::timeout(interval.saturating_sub(busy), wanted.notified()).await;
    }
}

/// Asks once and waits for the answer, for a report.
pub(super) fn ask_once(endpoint: Endpoint) -> Told {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().build();
    let ask = |runtime: Runtime| {
        let kubelet = Kubelet::new(endpoint, REPORT_LIMIT)?;
        let answer = runtime.block_on(kubelet.ask());
        Ok(Told::unknown(kubelet.not_asked_yet()).after(&kubelet, answer))
    };
    runtime.and_then(ask).unwrap_or_else(|error| {
        Told::unknown(Health::Down(format!("can't start asking the kubelet: {error}")))
    })
}
