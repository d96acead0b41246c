//! What the agents of several nodes say, as they say it in `/api/v1/view`: read without believing it, and put in order.
//!
//! The agents may be of other versions than this: what is not known is passed on, and what is missing is not there.

mod node;
mod read;

pub use node::{Figures, NodeFinding, NodeReport, NodeTenant};

/// The nodes that were asked: those that answered, the worst first, and those that did not, in the order they were asked.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Where each was asked, and what it says.
    pub reports: Vec<(String, NodeReport)>,
    /// Where no answer came from, and why.
    pub unanswered: Vec<(String, String)>,
}

impl Fleet {
    /// Of what was asked and what came of it.
    pub fn of(heard: impl IntoIterator<Item = (String, Result<NodeReport, String>)>) -> Self {
        let mut fleet = Self::default();
        for (from, answer) in heard {
            match answer {
                Ok(report) => fleet.reports.push((from, report)),
                Err(why) => fleet.unanswered.push((read::clean(&from), read::clean(&why))),
            }
        }
        fleet.reports.sort_by_cached_key(|(from, report)| {
            (report.danger(), report.name.clone(), from.clone())
        });
        fleet
    }

    /// Leaves only the pods of that namespace and name, and what is found of them and of their nodes.
    pub fn keep_only(&mut self, namespace: Option<&str>, pod: Option<&str>) {
        if (namespace, pod) != (None, None) {
            self.reports.iter_mut().for_each(|(_, report)| report.keep_only(namespace, pod));
            self.reports.sort_by_key(|(_, report)| report.danger());
        }
    }

    /// Every finding with the place of its node, the worst first.
    pub fn findings(&self) -> Vec<(usize, NodeFinding)> {
        let of_node = |(place, (_, report)): (usize, &(String, NodeReport))| {
            report.findings().into_iter().map(move |finding| (place, finding)).collect::<Vec<_>>()
        };
        let mut findings: Vec<_> = self.reports.iter().enumerate().flat_map(of_node).collect();
        findings.sort_by_key(|(place, finding)| (finding.rank(), *place));
        findings
    }

    /// Whether something will crash on some node.
    pub fn will_crash(&self) -> bool {
        self.reports.iter().any(|(_, report)| report.will_crash())
    }

    /// What could not be looked at, on which node.
    pub fn failures(&self) -> Vec<(usize, String)> {
        let reports = self.reports.iter().enumerate();
        let of_node = |(place, (_, report)): (usize, &(String, NodeReport))| {
            report.failures().into_iter().map(move |why| (place, why)).collect::<Vec<_>>()
        };
        reports.flat_map(of_node).collect()
    }

    /// What a node is called: by its name, and by where it was asked if it has none or another has the same.
    pub fn name(&self, place: usize) -> String {
        let Some((from, report)) = self.reports.get(place) else { return String::new() };
        let Some(name) = &report.name else { return from.clone() };
        let same = self.reports.iter().filter(|(_, other)| other.name.as_ref() == Some(name));
        if same.count() > 1 { format!("{name} ({from})") } else { name.clone() }
    }
}

#[cfg(test)]
mod tests;
