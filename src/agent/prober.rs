//! The touch-probe's loop, beside the poller: it takes the newest view, tries, and leaves what came of it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

#[cfg(feature = "scratch-probe")]
use super::can_not_start;
use super::{AgentError, keep_running};
use crate::config::ProbeConfig;
#[cfg(feature = "scratch-probe")]
use crate::probe::scratch;
use crate::probe::{Pace, Places, Site, check};
use crate::snapshot::{
    Check, LastProbe, Pool, Probes, Reading, Taken, Target, Verdict, VerdictKind,
};
use crate::sources::{Roots, read_pools};
use crate::units::{Bytes, PageSize};
use crate::view::View;
#[cfg(feature = "scratch-probe")]
use crate::worker::Worker;

/// Children that have not ended yet, at most; more than one page size's is a sign that the kernel holds them.
const MOST_CHILDREN: usize = 4;

/// Reservation limits first: whether they refuse tells which limit a refused touch met.
const CHECKS: [Check; 2] = [Check::Reserve, Check::Fault];

/// Where the probe's results are left for the poller.
pub(super) struct ProbeSlot {
    newest: watch::Receiver<Arc<Probes>>,
}

impl ProbeSlot {
    /// Starts probing as soon as there is a view. Must be called by the runtime's own thread, which lives as long as the
    /// process: the kernel ends children with the thread that started them.
    pub(super) fn start(
        config: ProbeConfig,
        roots: Roots,
        views: watch::Receiver<Option<Arc<View>>>,
        started: Instant,
    ) -> Result<Self, AgentError> {
        let probes = Probes::none_yet(config.target, config.interval.duration());
        let (sender, newest) = watch::channel(Arc::new(probes));
        let pace = Pace {
            deadline: config.deadline,
            pause: config.pause,
            places: Places::new(MOST_CHILDREN),
        };
        let prober = Prober {
            #[cfg(feature = "scratch-probe")]
            scratch: (config.target == Target::Scratch)
                .then(|| Worker::start("scratch"))
                .transpose()
                .map_err(can_not_start("probe"))?,
            config,
            pace,
            roots,
            views,
            started,
        };
        keep_running("the probe", move || prober.clone().run(sender.clone()));
        Ok(Self { newest })
    }

    /// What was found so far.
    pub(super) fn newest(&self) -> Arc<Probes> {
        Arc::clone(&self.newest.borrow())
    }
}

#[derive(Clone)]
struct Prober {
    config: ProbeConfig,
    pace: Pace,
    roots: Roots,
    views: watch::Receiver<Option<Arc<View>>>,
    started: Instant,
    /// Makes and removes the cgroups of the scratch target.
    #[cfg(feature = "scratch-probe")]
    scratch: Option<Worker>,
}

impl Prober {
    async fn run(mut self, results: watch::Sender<Arc<Probes>>) {
        while !results.is_closed() {
            let view = match self.views.wait_for(Option::is_some).await {
                Ok(view) => view.clone(),
                // The poller has ended, and so will we.
                Err(_) => return,
            };
            if let Some(view) = view {
                self.round(&view, &results).await;
            }
            tokio::time::sleep(jittered(self.config.interval.duration())).await;
        }
    }

    /// Every page size once.
    async fn round(&self, view: &View, results: &watch::Sender<Arc<Probes>>) {
        #[cfg(feature = "scratch-probe")]
        if let (Some(worker), Some(hierarchy)) = (&self.scratch, &view.snapshot.hierarchy) {
            for problem in scratch::remove_leftovers(hierarchy, worker).await {
                tracing::warn!(problem, "a scratch cgroup is left");
            }
        }
        let site = Site::of(&view.snapshot, self.config.in_kubernetes);
        for pool in &view.snapshot.pools {
            self.probe(view, pool, &site, results).await;
        }
    }

    async fn probe(
        &self,
        view: &View,
        pool: &Pool,
        site: &Site,
        results: &watch::Sender<Arc<Probes>>,
    ) {
        let began = Instant::now();
        for tried in CHECKS {
            let verdict = self.check(tried, view, pool, site).await;
            results.send_modify(|probes| {
                let probes = Arc::make_mut(probes);
                let changed = probes.add(pool.page_size, tried, verdict.clone());
                if let Some(before) = changed {
                    log(probes.target, pool.page_size, tried, &verdict, before.as_ref());
                }
            });
        }
        let ended = Taken { wall: SystemTime::now(), since_start: self.started.elapsed() };
        let last = LastProbe { ended, took: began.elapsed() };
        results.send_modify(|probes| {
            Arc::make_mut(probes).last.insert(pool.page_size, last);
        });
    }
}

impl Prober {
    async fn check(&self, tried: Check, view: &View, pool: &Pool, site: &Site) -> Verdict {
        #[cfg(feature = "scratch-probe")]
        if let Some(worker) = &self.scratch {
            let hierarchy = view.snapshot.hierarchy.as_ref();
            let terms = self.config.scratch;
            return scratch::check(tried, pool, hierarchy, terms, &self.pace, worker).await;
        }
        let spare = spare(view, pool.page_size);
        check(tried, &self.as_of_now(pool), spare, site, &self.pace).await
    }

    /// The pool, read once more: a view is a poll old.
    fn as_of_now(&self, pool: &Pool) -> Pool {
        let mut now = read_pools(&self.roots.sys).into_iter();
        now.find(|now| now.page_size == pool.page_size).unwrap_or_else(|| pool.clone())
    }
}

/// What nobody holds and nobody was promised.
fn spare(view: &View, page_size: PageSize) -> Reading<Bytes> {
    let pools = &view.assessment.pools;
    let state = pools.iter().find(|state| state.page_size == page_size);
    state.map_or(Reading::Absent, |state| state.spare)
}

/// One line where a check shows something else than before.
fn log(
    target: Target,
    page_size: PageSize,
    check: Check,
    verdict: &Verdict,
    before: Option<&Verdict>,
) {
    let before = before.map(ToString::to_string);
    // Not to refuse a reservation is how most nodes are; findings say where that is dangerous.
    let alarming = verdict.kind() == VerdictKind::NotEnforced && check == Check::Fault;
    if alarming {
        tracing::warn!(%target, %page_size, %check, before, "probe: {verdict}");
    } else {
        tracing::info!(%target, %page_size, %check, before, "probe: {verdict}");
    }
}

/// A tenth sooner or later, so that the nodes of a fleet don't probe in step.
fn jittered(interval: Duration) -> Duration {
    // A new hasher's keys are as random as they need to be here.
    let random = RandomState::new().hash_one(0_u8) % 2_001;
    interval.mul_f64(0.9 + f64::from(u16::try_from(random).unwrap_or_default()) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_varies_by_a_tenth() {
        let interval = Duration::from_secs(300);
        let drawn: Vec<Duration> = (0..1_000).map(|_| jittered(interval)).collect();
        assert!(drawn.iter().all(|time| (270.0..=330.1).contains(&time.as_secs_f64())));
        let (least, most) = (drawn.iter().min(), drawn.iter().max());
        assert!(least < Some(&Duration::from_secs(280)) && most > Some(&Duration::from_secs(320)));
    }
}
