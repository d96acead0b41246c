//! A trial for each scenario of each guest; a guest is booted once, for all of its trials that are asked for.

use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use super::boot::{self, Outcomes};
use super::{Guest, PREFIX, When, all};
use crate::evidence;

/// Whether nothing but guests is asked for.
pub fn are_asked_for_alone(arguments: &Arguments) -> bool {
    arguments.filter.as_ref().is_some_and(|filter| filter.starts_with(PREFIX))
}

/// All of them. Where they are required, none is left out for what this machine lacks.
pub fn trials(arguments: &Arguments, required: bool) -> Vec<Trial> {
    let all_wanted = evidence::is_long() || are_asked_for_alone(arguments);
    all().into_iter().flat_map(|guest| of(&guest, arguments, required, all_wanted)).collect()
}

fn of(guest: &Guest, arguments: &Arguments, required: bool, all_wanted: bool) -> Vec<Trial> {
    let ignored = if guest.when == When::Long && !all_wanted {
        Some("HUGETLB_LAB=long".to_owned())
    } else {
        boot::missing(guest).filter(|_| !required)
    };
    let scenarios: Vec<String> =
        guest.scenarios.iter().map(|(scenario, _)| (*scenario).to_owned()).collect();
    let wanted = |scenario: &&String| is_wanted(&name(guest, scenario), arguments);
    let run = Arc::new(Run {
        scenarios: scenarios.iter().filter(wanted).cloned().collect(),
        outcomes: Mutex::default(),
        guest: guest.clone(),
    });
    let trial = |scenario: String| {
        let reason = ignored.as_ref().map(|reason| format!(" (needs {reason})"));
        let name = format!("{}{}", name(guest, &scenario), reason.as_deref().unwrap_or_default());
        let run = Arc::clone(&run);
        Trial::test(name, move || run.result_of(&scenario)).with_ignored_flag(reason.is_some())
    };
    scenarios.into_iter().map(trial).collect()
}

fn name(guest: &Guest, scenario: &str) -> String {
    format!("{PREFIX}{}::{scenario}", guest.name)
}

/// Whether a trial is run, by the rules of libtest.
fn is_wanted(name: &str, arguments: &Arguments) -> bool {
    let fits =
        |filter: &String| if arguments.exact { name == filter } else { name.contains(filter) };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

/// One guest in this run of the lab.
struct Run {
    guest: Guest,
    /// Those of its scenarios that are asked for.
    scenarios: Vec<String>,
    /// Nothing before it has been booted.
    outcomes: Mutex<Option<Outcomes>>,
}

impl Run {
    fn result_of(&self, scenario: &str) -> Result<(), Failed> {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(missing)) = (&*outcomes, boot::missing(&self.guest)) {
            return Err(Failed::from(format!("it needs {missing}")));
        }
        let outcomes = outcomes.get_or_insert_with(|| boot::run(&self.guest, &self.scenarios));
        let (_, failure) =
            outcomes.iter().find(|(name, _)| name == scenario).expect("a scenario that was run");
        failure.as_ref().map_or(Ok(()), |failure| Err(Failed::from(failure.as_str())))
    }
}
