//! The story, and what the agent must serve at each turn of it.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::pace::Pace;
use super::served::{Observer, Served};
use super::stage::{Figures, PAGE, Stage};

/// Says what happens.
pub fn say(text: &str) {
    println!("      {text}");
}

/// Lets it happen, says so, and checks what the agent serves. Fails with what it did not serve.
///
/// What happens must be served within `latest`.
pub fn tell(
    stage: &mut impl Stage,
    pace: &Pace,
    observer: &Observer,
    latest: Duration,
) -> anyhow::Result<()> {
    let mut scene = Scene { stage, pace, observer, latest };
    let granted = scene.stage.figures()?.limit;
    scene.quiet()?;
    pace.steps(4)?;
    scene.start(granted)?;
    pace.steps(6)?;
    scene.work_until_killed(granted)?;
    pace.steps(10)?;
    let needed = scene.mend()?;
    pace.steps(6)?;
    scene.start_until_reported(granted, needed)?;
    pace.steps(6)?;
    scene.mend_second(needed)?;
    pace.steps(4)?;
    Ok(())
}

struct Scene<'a, S> {
    stage: &'a mut S,
    pace: &'a Pace,
    observer: &'a Observer,
    latest: Duration,
}

impl<S: Stage> Scene<'_, S> {
    fn quiet(&mut self) -> anyhow::Result<()> {
        self.until("a node on which nothing is wrong", |served, _| {
            served.no_finding("will-crash")?;
            served.page_says("Nothing wrong was found.")
        })
    }

    fn start(&mut self, granted: u64) -> anyhow::Result<()> {
        self.stage.start(self.pace)?;
        let Figures { reserved, .. } = self.stage.figures()?;
        ensure!(reserved > granted, "it has mapped no more than it may touch; there is no story");
        let short = mebibytes(reserved - granted);
        let [reserved, granted] = [reserved, granted].map(mebibytes);
        let database = self.stage.database();
        say(&format!(
            "{database} starts and maps {reserved}. mmap succeeds, though its pod may touch {granted}."
        ));
        self.will_crash("the warning")?;
        let Figures { used, .. } = self.stage.figures()?;
        say(&format!(
            "The agent warns: {short} too little, set {reserved}. Only {} of {granted} are used, and nothing was refused.",
            mebibytes(used)
        ));
        Ok(())
    }

    /// will-crash is served with the value to set, before anything was refused.
    fn will_crash(&mut self, what: &str) -> anyhow::Result<()> {
        let (namespace, pod) = (self.stage.namespace(), self.stage.pod());
        self.until(what, |served, now| {
            let finding = [("finding", "will-crash"), ("namespace", namespace), ("pod", pod)];
            let short = now.reserved.saturating_sub(now.limit);
            served.shows("hugetlb_finding", &finding, 1)?;
            served.shows("hugetlb_finding_shortfall_bytes", &finding, short * PAGE)?;
            served.shows("hugetlb_finding_required_limit_bytes", &finding, now.reserved * PAGE)?;
            served.shows("hugetlb_container_failures_total", &[("namespace", namespace)], 0)?;
            let value = mebibytes(now.reserved);
            served.page_says("will-crash")?;
            served
                .page_says(&format!("Set hugepages-2Mi of container postgres to at least {value}"))
        })
    }

    fn work_until_killed(&mut self, granted: u64) -> anyhow::Result<()> {
        let killed = (0..100).find_map(|_| {
            let worked = self.pace.steps(1).map_err(anyhow::Error::from);
            match worked.and_then(|()| self.stage.work(4)) {
                Ok(false) => None,
                end => Some(end),
            }
        });
        killed.context("it survived, though it has mapped more than it may touch; does anything limit pods here?")??;
        say(&format!(
            "It touches a page beyond {}: SIGBUS. Every session is reset; it starts again and maps the same.",
            mebibytes(granted)
        ));
        if let Some(said) = self.stage.recover(self.pace)? {
            say(&format!("Its log: {said}"));
        }
        let (namespace, pod) = (self.stage.namespace(), self.stage.pod());
        self.until("the refusal", |served, now| {
            served.shows(
                "hugetlb_container_failures_total",
                &[("namespace", namespace)],
                now.refusals,
            )?;
            served.shows("hugetlb_finding", &[("finding", "faults-refused"), ("pod", pod)], 1)?;
            served.page_says("faults-refused")
        })?;
        say("The agent reports the refusal, and goes on warning.");
        self.until("the warning after the restart", |served, _| {
            served.shows("hugetlb_finding", &[("finding", "will-crash"), ("pod", pod)], 1)
        })
    }

    /// Sets the value that the warning named, and returns it.
    fn mend(&mut self) -> anyhow::Result<u64> {
        let Figures { reserved, .. } = self.stage.figures()?;
        self.stage.set_limit(reserved)?;
        let value = mebibytes(reserved);
        say(&format!(
            "hugepages-2Mi is set to the {value} that the warning named. The same load goes on."
        ));
        self.until("the end of the warning", |served, _| {
            served.no_finding("will-crash")?;
            served.page_says_not("Set hugepages-2Mi")
        })?;
        for _ in 0..16 {
            self.pace.steps(1)?;
            ensure!(
                !self.stage.work(16)?,
                "it was killed, though it may touch all that it has mapped"
            );
        }
        self.until("a healthy database", |served, _| served.no_finding("will-crash"))?;
        let used = mebibytes(self.stage.figures()?.used);
        say(&format!(
            "It uses {used} of {value} and is healthy: full is no warning. The refusal is shown for 15 minutes."
        ));
        Ok(reserved)
    }

    /// The same under a kubelet of today: the mapping is refused, and the container starts again and again.
    fn start_until_reported(&mut self, granted: u64, needed: u64) -> anyhow::Result<()> {
        self.stage.make_second_pod()?;
        let (database, pod, namespace) =
            (self.stage.database(), self.stage.pod(), self.stage.namespace());
        let [granted, needed] = [granted, needed].map(mebibytes);
        say(&format!(
            "{pod} is made by a kubelet of 1.29 or newer, which limits what is mapped, too: {granted} again."
        ));
        self.until("the second pod", |served, _| served.no_finding("will-crash"))?;
        let said = self.stage.start_refused(self.pace)?;
        say(&format!(
            "{database} maps {needed}: mmap is refused, and it ends. It is started again, and again."
        ));
        if let Some(said) = said {
            say(&format!("Its log: {said}"));
        }
        for _ in 0..3 {
            self.pace.steps(3)?;
            self.stage.start_refused(self.pace)?;
        }
        self.until("the refused start", |served, _| {
            let finding = [("finding", "mapping-refused"), ("namespace", namespace), ("pod", pod)];
            served.shows("hugetlb_finding", &finding, 1)?;
            served.no_finding_of("faults-refused", pod)?;
            served.page_says("mapping-refused")
        })?;
        say(
            "The agent reports it once, however often it is started: nobody was killed, and nobody has a database.",
        );
        Ok(())
    }

    fn mend_second(&mut self, needed: u64) -> anyhow::Result<()> {
        self.stage.set_limit(needed)?;
        self.stage.start(self.pace)?;
        let value = mebibytes(needed);
        say(&format!("hugepages-2Mi is set to {value}. It starts."));
        self.until("the database that has started", |served, now| {
            if now.reserved != needed {
                return Err(format!("it has mapped {}", mebibytes(now.reserved)));
            }
            served.no_finding("will-crash")
        })
    }

    /// Waits until what is served is right, and its figures are the kernel's.
    fn until(
        &self,
        what: &str,
        is_right: impl Fn(&Served, &Figures) -> Result<(), String>,
    ) -> anyhow::Result<()> {
        let mut last = Err(String::new());
        let stage = &*self.stage;
        self.pace.poll(self.latest, || {
            last = self
                .pace
                .block_on(self.observer.look())
                .map_err(|error| format!("{error:#}"))
                .and_then(|served| {
                    let now = stage.figures().map_err(|error| format!("{error:#}"))?;
                    served.has_figures([stage.namespace(), stage.pod()], &now)?;
                    is_right(&served, &now)
                });
            last.is_ok().then_some(())
        })?;
        last.map_err(|missing| {
            let seconds = self.latest.as_secs();
            anyhow::anyhow!("the agent did not serve {what} within {seconds} s: {missing}")
        })
    }
}

impl Served {
    fn has_figures(&self, [namespace, pod]: [&str; 2], now: &Figures) -> Result<(), String> {
        let container = [("namespace", namespace), ("pod", pod), ("container", "postgres")];
        let pool = [("pagesize", "2Mi")];
        self.shows("hugetlb_container_limit_bytes", &container, now.limit * PAGE)?;
        self.shows("hugetlb_container_reserved_bytes", &container, now.reserved * PAGE)?;
        self.shows("hugetlb_container_usage_bytes", &container, now.used * PAGE)?;
        self.shows("hugetlb_pool_free_bytes", &pool, now.pool_free * PAGE)?;
        self.shows("hugetlb_pool_reserved_bytes", &pool, now.pool_reserved * PAGE)
    }

    fn shows(&self, name: &str, labels: &[(&str, &str)], expected: u64) -> Result<(), String> {
        let found = self.value(name, labels);
        if found == Some(expected as f64) {
            return Ok(());
        }
        let found = found.map_or("absent".to_owned(), |found| found.to_string());
        let labels: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        Err(format!("{name}{{{}}} is {found}, expected {expected}", labels.join(",")))
    }

    fn no_finding(&self, finding: &str) -> Result<(), String> {
        match self.value("hugetlb_finding", &[("finding", finding)]) {
            None => Ok(()),
            Some(_) => {
                Err(format!("hugetlb_finding{{finding=\"{finding}\"}} is there, expected none"))
            }
        }
    }

    fn no_finding_of(&self, finding: &str, pod: &str) -> Result<(), String> {
        match self.value("hugetlb_finding", &[("finding", finding), ("pod", pod)]) {
            None => Ok(()),
            Some(_) => Err(format!("{finding} of {pod} is there, expected none")),
        }
    }

    fn page_says(&self, text: &str) -> Result<(), String> {
        if self.page.contains(text) {
            Ok(())
        } else {
            Err(format!("the page does not say {text:?}"))
        }
    }

    fn page_says_not(&self, text: &str) -> Result<(), String> {
        if self.page.contains(text) { Err(format!("the page still says {text:?}")) } else { Ok(()) }
    }
}

/// So many pages, as a pod spec has it.
fn mebibytes(pages: u64) -> String {
    format!("{}Mi", (pages * PAGE) >> 20)
}
