//! A batch of scenarios: mapped, judged, touched once, judged again, touched to the end, compared.

use std::time::{Duration, Instant};

use super::blame;
use super::matrix::{self, Column, Outcome};
use super::owner::Owner;
use super::scenario::{Plan, Pool};
use super::stage::Stage;
use super::verdict::{self, Verdict, Who};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods};
use crate::machine::POOL_PAGES;
use crate::scenarios::mappings::Hugetlbfs;
use crate::tenant::Tenant;

/// A finding is raised when two polls in a row have seen it; a poll under way does not count.
const POLLS: f64 = 3.0;
/// Mappings are looked for on the side, and a look under way does not count.
const LOOKS: f64 = 2.0;
/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What turns the mappings' collector on.
pub const MAPPINGS: [&str; 2] = ["--collector.mappings", "--collector.mappings-interval=200ms"];

/// A node with two agents on it: one that looks at processes' mappings and one that does not.
pub struct Node<'a> {
    pub lab: &'a Lab,
    pub kubepods: Kubepods<'a>,
    pub files: Hugetlbfs,
    plain: Agent,
    seeing: Agent,
    staged: usize,
}

/// What an agent said at one moment of every owner, stage by stage.
struct Said {
    when: &'static str,
    sees_mappings: bool,
    verdicts: Vec<Vec<(Owner, Verdict)>>,
    strays: Vec<String>,
}

impl<'a> Node<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let plain = kubepods.agent(&["--collector.idle"]);
        let seeing = kubepods.agent(&[&["--collector.idle"], &MAPPINGS[..]].concat());
        Self { lab, kubepods, files: Hugetlbfs::new(), plain, seeing, staged: 0 }
    }

    /// Runs scenarios together and returns what was said wrongly, one line for each.
    pub fn run(&mut self, plans: Vec<Plan>) -> Vec<String> {
        let pool = plans[0].pool;
        let mut stages: Vec<Stage<'_>> = Vec::new();
        for plan in plans {
            self.staged += 1;
            stages.push(Stage::new(self.lab, &self.kubepods, &self.files, plan, self.staged));
        }
        let ballast = Cgroup::new(self.lab, "lab-ballast");
        let mut sunk = (pool == Pool::Exhausted).then(|| sink(&ballast, POOL_PAGES));
        for stage in &mut stages {
            stage.map();
        }
        let unreserved: u64 = stages.iter().map(Stage::unreserved).sum();
        if pool == Pool::Exact && blame::available() > unreserved {
            sunk = Some(sink(&ballast, blame::available() - unreserved));
        }
        let refused = stages.iter().filter(|stage| stage.was_refused()).count();
        matrix::note(self.lab.phase, "scenarios in which a mapping was refused", refused);

        let mut said = self.ask("mapped", &stages);
        let figures: Vec<String> = stages.iter().map(Stage::figures).collect();
        stages.iter_mut().for_each(|stage| stage.touch(1));
        said.extend(self.ask("first page touched", &stages));
        stages.iter_mut().for_each(|stage| stage.touch(u64::MAX));
        let wrong = said.iter().flat_map(|said| self.compare(said, &stages, &figures)).collect();
        drop((stages, sunk, ballast));
        wait_for("all pages to come back", || (blame::available() == POOL_PAGES).then_some(()));
        wrong
    }

    /// What both agents export once they have had time to look twice and to find every name; the first sees mappings.
    /// They get some more time where a container is not shown by its name yet: of one without a limit nothing would
    /// be missed, though something may be said of it under its id.
    pub fn scrapes(&self, owners: &[Owner]) -> [(bool, Exposition); 2] {
        [(true, &self.seeing), (false, &self.plain)].map(|(sees, agent)| {
            let began = Instant::now();
            if sees {
                // A view may be older than the last look; from a fresh one on, looks are counted rightly.
                agent.after_polls(2.0);
                agent.after("hugetlb_exporter_mappings_looks_total", LOOKS);
            }
            let mut scrape = agent.after_polls(POLLS);
            verdict::expect_verdicts(&scrape);
            let unsettled = |scrape: &Exposition| {
                let unsettled = [Verdict::Missing, Verdict::Contradictory];
                owners.iter().any(|owner| {
                    !owner.who.is_shown(scrape) || unsettled.contains(&owner.verdict(scrape))
                })
            };
            while unsettled(&scrape) && began.elapsed() < PATIENCE {
                scrape = agent.fresh();
            }
            (sees, scrape)
        })
    }

    /// What both agents say now.
    fn ask(&self, when: &'static str, stages: &[Stage<'_>]) -> Vec<Said> {
        let owners: Vec<Owner> = stages.iter().flat_map(Stage::owners).collect();
        let known: Vec<&Who> = owners.iter().map(|owner| &owner.who).collect();
        let of_stage = |stage: &Stage<'_>, scrape: &Exposition| -> Vec<(Owner, Verdict)> {
            let living = stage.owners().into_iter().filter(|owner| !stage.has_dead_below(owner));
            living.map(|owner| (owner.clone(), owner.verdict(scrape))).collect()
        };
        let said = self.scrapes(&owners).map(|(sees_mappings, scrape)| Said {
            when,
            sees_mappings,
            verdicts: stages.iter().map(|stage| of_stage(stage, &scrape)).collect(),
            strays: verdict::strays(&scrape, &known),
        });
        said.into()
    }

    /// Counts what was said, and returns what was said wrongly.
    fn compare(&self, said: &Said, stages: &[Stage<'_>], figures: &[String]) -> Vec<String> {
        let agent = if said.sees_mappings { "mappings seen" } else { "mappings not seen" };
        let mut wrong: Vec<String> =
            said.strays.iter().map(|stray| format!("{}, {agent}: {stray}", said.when)).collect();
        for ((stage, verdicts), figures) in stages.iter().zip(&said.verdicts).zip(figures) {
            for (owner, verdict) in verdicts {
                let outcome = stage.outcome(owner);
                let unseen = !said.sees_mappings && stage.plan.has_unreserved();
                let kind = if unseen { ", MAP_NORESERVE that can't be seen" } else { "" };
                let when = format!("{}, {agent}{kind}", said.when);
                let phase = self.lab.phase.to_string();
                matrix::count(Column { phase, when }, *verdict, outcome);
                // As documented: without looking at the processes nobody can know.
                let right = outcome.is(*verdict)
                    || unseen && (*verdict, outcome) == (Verdict::Safe, Outcome::Killed);
                if !right {
                    wrong.push(format!(
                        "{}, {agent}: {}: {}: said {verdict:?}, {outcome:?}; when mapped: {figures}",
                        said.when, stage.plan.name, owner.who
                    ));
                }
            }
        }
        wrong
    }
}

/// Takes pages from the pool, outside kubepods.
fn sink(ballast: &Cgroup, pages: u64) -> Tenant {
    let mut tenant = Tenant::new(ballast, "private");
    tenant.map(pages);
    tenant
}
