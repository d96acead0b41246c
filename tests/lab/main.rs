//! The lab: the agent against the real kernel, with real huge pages, cgroups, runtimes and Prometheus.
//!
//! It needs root, CONFIG_CGROUP_HUGETLB, memory for 500 huge pages, and from Debian prometheus,
//! prometheus-alertmanager, runc, crun, buildah, postgresql-15, php-cli and libmimalloc2.0; with `HUGETLB_LAB=long` a JDK.
//! `HUGETLB_LAB_SUITES` names a directory with the programs of newer suites (`suite`).
//! What it lacks is shown as ignored with the reason; with `HUGETLB_LAB=require` that is a failure. One thread:
//! the pool is the machine's. Other kernels run in guests (`guest`). Everything is put back, also after a failure; what a killed run left, the next
//! undoes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::exit,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod bundle;
mod cgroup;
mod contained;
mod deadline;
mod evidence;
mod flicker;
mod guest;
mod image;
mod kubepods;
mod machine;
mod monitoring;
mod picture;
mod postgres;
mod refusals;
mod sampler;
mod scenarios;
mod suite;
mod tenant;
mod truth;

use std::cell::LazyCell;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use testkit as harness;

use machine::{Machine, Phase};
use scenarios::Scenario;

fn main() -> ExitCode {
    if flicker::is_wanted() {
        return flicker::run();
    }
    if guest::is_inside() {
        return guest::run_inside();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let required =
        std::env::var("HUGETLB_LAB").is_ok_and(|wish| wish == "require" || wish == "long");
    let missing = machine::missing().filter(|_| !guest::are_asked_for_alone(&arguments));
    if let (Some(missing), true) = (&missing, required) {
        eprintln!("the lab is required and can't be had: {missing}");
        return ExitCode::FAILURE;
    }
    let scenarios = scenarios::all();
    let guests = guest::trials(&arguments, required);
    let mut trials: Vec<Trial> = if arguments.list || missing.is_some() {
        scenarios.into_iter().map(|scenario| ignored(&scenario, missing.as_deref())).collect()
    } else {
        // Entered when the first scenario on it runs: guests do without.
        let machine = Arc::new(Mutex::new(LazyCell::new(Machine::enter as fn() -> Machine)));
        scenarios.into_iter().map(|scenario| trial(scenario, &machine)).collect()
    };
    trials.extend(guests);
    trials.extend(suite::NEWER.into_iter().filter_map(|suite| left_out(suite, required)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let whole = arguments.filter.is_none() && arguments.skip.is_empty();
    truth::publish(whole);
    if arguments.skip.is_empty() {
        evidence::publish_lines(arguments.filter.as_deref());
    }
    conclusion.exit_code()
}

fn name(scenario: &Scenario) -> String {
    format!("{}::{}", scenario.phase, scenario.name)
}

/// A scenario that can't run here, with the reason in its name.
fn ignored(scenario: &Scenario, reason: Option<&str>) -> Trial {
    let reason = reason.map(|reason| format!(" (needs {reason})")).unwrap_or_default();
    Trial::test(format!("{}{reason}", name(scenario)), || Ok(()))
        .with_ignored_flag(!reason.is_empty())
}

/// A suite that the heirs do without, with the reason in its name: ignored, or a failure where it is required.
fn left_out(suite: suite::Suite, required: bool) -> Option<Trial> {
    let missing = suite.missing()?;
    let name = format!("heirs::with_{suite} (needs {missing})");
    let trial = Trial::test(name, move || Err(Failed::from(format!("there is no {missing}"))));
    Some(trial.with_ignored_flag(!required))
}

/// A scenario, run in its phase, within its deadline.
fn trial(scenario: Scenario, machine: &Arc<Mutex<LazyCell<Machine>>>) -> Trial {
    let machine = Arc::clone(machine);
    Trial::test(name(&scenario), move || {
        // A scenario that failed leaves the machine whole: its guards have run.
        let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine
            .change_to(scenario.phase)
            .map_err(|error| Failed::from(format!("{}: {error}", scenario.phase)))?;
        machine.within_deadline(|lab| (scenario.run)(lab));
        machine::is_clean().map_err(Failed::from)
    })
}

/// What a scenario may use.
#[derive(Debug)]
pub struct Lab {
    /// The version of the hugetlb hierarchy.
    pub phase: Phase,
    /// Its root.
    pub root: std::path::PathBuf,
    /// What the cgroups on v2 have, as `cgroup.subtree_control` takes it.
    pub controllers: &'static str,
    /// When the scenario has to be over.
    pub deadline: deadline::Deadline,
}
