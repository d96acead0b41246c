//! A case built by hand: pods, containers, tenants that come and go, and who is to be judged.

use super::blame::{self, Death};
use super::judge::Node;
use super::matrix::{self, Column};
use super::owner::Owner;
use super::verdict::{self, Verdict, Who};
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::harness::exposition::Exposition;
use crate::kubepods::{Pod, id};
use crate::tenant::Tenant;

/// Which verdicts are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// What happens, and that alone.
    Foretold,
    /// Uncertain too: it is charged to someone else than has reserved it.
    Uncertain,
}

/// A case under way.
pub struct Case<'a> {
    pub node: Node<'a>,
    owners: Vec<Owner>,
    deaths: Vec<Death>,
    /// By agent: whether it sees mappings, and what it said of each owner.
    said: Vec<(bool, Vec<Verdict>)>,
    figures: Vec<String>,
    /// Only the agent that sees mappings can know.
    pub unseen_without_mappings: bool,
}

impl<'a> Case<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        Self {
            node: Node::new(lab),
            owners: Vec::new(),
            deaths: Vec::new(),
            said: Vec::new(),
            figures: Vec::new(),
            unseen_without_mappings: false,
        }
    }

    /// A pod; with a limit it is judged.
    pub fn pod(&mut self, name: &str, limit: Option<u64>) -> Pod {
        let pod = self.node.kubepods.pod_in("kubepods/burstable", name);
        if let Some(limit) = limit {
            pod.cgroup.limit(limit);
            let who = Who::Pod { uid: pod.uid.clone() };
            self.owners.push(Owner { who, limited: true, directory: pod.cgroup.path().to_owned() });
        }
        pod
    }

    /// A container; with a limit it is judged.
    pub fn container(&mut self, pod: &Pod, name: &str, limit: Option<u64>) -> Cgroup {
        let number = self.owners.len();
        let id = id(&format!(
            "{:x}{number:x}f",
            name.bytes().fold(7_u64, |sum, byte| sum * 31 + u64::from(byte))
        ));
        let cgroup = self.node.kubepods.container(pod, name, &id, 0);
        if let Some(limit) = limit {
            cgroup.limit(limit);
            self.judge(pod, name, &cgroup);
        }
        cgroup
    }

    /// Adds a container to those that are judged.
    pub fn judge(&mut self, pod: &Pod, name: &str, cgroup: &Cgroup) {
        let who = Who::Container { uid: pod.uid.clone(), name: name.to_owned() };
        self.owners.push(Owner { who, limited: true, directory: cgroup.path().to_owned() });
    }

    /// Touches the first so many pages of a mapping that has its reservation, or whose file or segment has.
    pub fn touch(&mut self, cgroup: &Cgroup, tenant: &mut Tenant, pages: u64) {
        self.touch_as(cgroup, tenant, pages, true);
    }

    /// The same of a mapping that has none.
    pub fn touch_unreserved(&mut self, cgroup: &Cgroup, tenant: &mut Tenant, pages: u64) {
        self.touch_as(cgroup, tenant, pages, false);
    }

    fn touch_as(&mut self, cgroup: &Cgroup, tenant: &mut Tenant, pages: u64, reserved: bool) {
        for page in 1..=pages {
            let death = blame::touch(self.node.lab, cgroup.path(), tenant, page, reserved);
            if let Some(death) = death {
                self.deaths.push(death);
                break;
            }
        }
    }

    /// Lets both agents judge. What they say last counts.
    pub fn ask(&mut self) -> [(bool, Exposition); 2] {
        let scrapes = self.node.scrapes(&self.owners);
        self.figures =
            self.owners.iter().map(|owner| blame::text(self.node.lab, &owner.directory)).collect();
        self.said = scrapes
            .iter()
            .map(|(sees, scrape)| {
                (*sees, self.owners.iter().map(|owner| owner.verdict(scrape)).collect())
            })
            .collect();
        scrapes
    }

    /// Compares what was said last with what has happened. `killed` are those that must have been, by their
    /// names: a case whose outcome is another than it is about proves nothing.
    pub fn compare(&self, allowed: Allowed, killed: &[&str]) {
        let outcomes: Vec<_> =
            self.owners.iter().map(|owner| owner.outcome(&self.deaths)).collect();
        let dead: Vec<String> = self
            .owners
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == matrix::Outcome::Killed)
            .map(|(owner, _)| owner.who.to_string())
            .collect();
        assert_eq!(dead, killed, "the case is not what it is meant to be");
        let mut wrong = Vec::new();
        for (sees, verdicts) in &self.said {
            let agent = if *sees { "mappings seen" } else { "mappings not seen" };
            let unseen = !sees && self.unseen_without_mappings;
            for (index, owner) in self.owners.iter().enumerate() {
                let (verdict, outcome) = (verdicts[index], outcomes[index]);
                let phase = self.node.lab.phase.to_string();
                let kind = match (unseen, allowed) {
                    (true, _) => ", that can't be seen",
                    (false, Allowed::Uncertain) => ", charged across",
                    (false, Allowed::Foretold) => "",
                };
                matrix::count(
                    Column { phase, when: format!("named cases, {agent}{kind}") },
                    verdict,
                    outcome,
                );
                let right = outcome.is(verdict)
                    || allowed == Allowed::Uncertain && verdict == Verdict::Uncertain
                    || unseen && verdict == Verdict::Safe;
                if !right {
                    wrong.push(format!(
                        "{agent}: {}: said {verdict:?}, {outcome:?}; when asked: {}",
                        owner.who, self.figures[index]
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong verdicts:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// Whether a finding holds for a pod.
pub fn has(scrape: &Exposition, finding: &str, pod: &Pod) -> bool {
    let uid =
        |labels: &std::collections::BTreeMap<String, String>| labels.get("uid") == Some(&pod.uid);
    verdict::findings(scrape, finding).any(|sample| uid(&sample.labels))
}
