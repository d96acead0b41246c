//! A scenario on the node: its cgroups, its tenants, what becomes of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::blame::{self, Death};
use super::matrix::Outcome;
use super::owner::Owner;
use super::scenario::{Limits, Mapping, Plan};
use super::verdict::Who;
use crate::Lab;
use crate::cgroup::Cgroup;
use crate::kubepods::{Kubepods, Pod, id};
use crate::scenarios::mappings::Hugetlbfs;
use crate::tenant::Tenant;

/// A scenario that is on. The order of the fields is the order in which they go.
pub struct Stage<'a> {
    lab: &'a Lab,
    actors: Vec<Actor>,
    _files: Files,
    pod: Pod,
    ancestor: Option<(String, Cgroup)>,
    _node: Option<Cgroup>,
    pub plan: Plan,
    deaths: Vec<Death>,
}

/// A container and its tenant.
struct Actor {
    tenant: Tenant,
    container: Cgroup,
    name: String,
    mapping: Mapping,
    /// What it has mapped; 0 if it was refused or is dead.
    pages: u64,
}

/// Files on hugetlbfs, removed with the scenario: they keep their pages.
struct Files(Vec<PathBuf>);

impl Drop for Files {
    fn drop(&mut self) {
        for file in &self.0 {
            // One whose mmap was refused may be there or not.
            let _ = fs::remove_file(file);
        }
    }
}

impl<'a> Stage<'a> {
    /// Builds the cgroups and starts the tenants; nothing is mapped yet.
    pub fn new(
        lab: &'a Lab,
        kubepods: &Kubepods<'_>,
        files: &Hugetlbfs,
        plan: Plan,
        number: usize,
    ) -> Self {
        let mut tier = "kubepods/burstable".to_owned();
        let (mut node, mut ancestor) = (None, None);
        if let Some(limits) = plan.ancestor {
            let top = format!("lab-node-{number}");
            tier = format!("{top}/kubepods/burstable");
            node = Some(Cgroup::new(lab, &top));
            // kubepods itself or a container of Docker's that holds the whole node, in turn.
            let path = if number.is_multiple_of(2) { top } else { format!("{top}/kubepods") };
            let cgroup = Cgroup::new(lab, &path);
            apply(&cgroup, limits);
            ancestor = Some((format!("/{path}"), cgroup));
        }
        let pod = kubepods.pod_in(&tier, &format!("s-{number}"));
        apply(&pod.cgroup, plan.pod);
        let mut paths = Vec::new();
        let actors = plan.containers.iter().zip(["a", "b"]).map(|(container, name)| {
            let cgroup = kubepods.container(&pod, name, &id(&format!("{number:x}{name}f")), 0);
            apply(&cgroup, container.limits);
            let tenant = match container.mapping {
                Mapping::File => {
                    let path = files.file(&format!("{number}-{name}"));
                    paths.push(path.clone());
                    Tenant::with_file(&cgroup, &path)
                }
                mapping => Tenant::new(&cgroup, mapping.word()),
            };
            Actor {
                tenant,
                container: cgroup,
                name: name.to_owned(),
                mapping: container.mapping,
                pages: 0,
            }
        });
        let actors = actors.collect();
        Self {
            lab,
            actors,
            _files: Files(paths),
            pod,
            ancestor,
            _node: node,
            plan,
            deaths: Vec::new(),
        }
    }

    /// Lets everyone map; one that is refused has nothing and is safe.
    pub fn map(&mut self) {
        for (actor, plan) in self.actors.iter_mut().zip(&self.plan.containers) {
            let answer = actor.tenant.tell(&format!("map {}", plan.pages));
            actor.pages = match answer.as_deref() {
                Some("mapped") => plan.pages,
                Some("refused ENOMEM") => 0,
                other => panic!("{}: mmap was answered {other:?}", self.plan.name),
            };
        }
    }

    /// Whether anyone was refused its mapping.
    pub fn was_refused(&self) -> bool {
        self.deaths.is_empty() && self.actors.iter().any(|actor| actor.pages == 0)
    }

    /// The pages that are mapped and that no pool has promised.
    pub fn unreserved(&self) -> u64 {
        let unreserved = self.actors.iter().filter(|actor| !actor.mapping.is_reserved());
        unreserved.map(|actor| actor.pages).sum()
    }

    /// Lets everyone, in turn, touch its pages up to that number, one after the other.
    pub fn touch(&mut self, most: u64) {
        for actor in &mut self.actors {
            for page in 1..=most.min(actor.pages) {
                let container = actor.container.path();
                let reserved = actor.mapping.is_reserved();
                let death = blame::touch(self.lab, container, &mut actor.tenant, page, reserved);
                if let Some(death) = death {
                    self.deaths.push(death);
                    actor.pages = 0;
                    break;
                }
            }
        }
    }

    /// All that can be judged: whoever has a limit, and a container without one whose mapping no one promised.
    pub fn owners(&self) -> Vec<Owner> {
        let uid = || self.pod.uid.clone();
        let mut owners = Vec::new();
        for (actor, plan) in self.actors.iter().zip(&self.plan.containers) {
            let limited = plan.limits.fault.is_some();
            if limited || !plan.mapping.is_reserved() {
                let who = Who::Container { uid: uid(), name: actor.name.clone() };
                owners.push(Owner { who, limited, directory: actor.container.path().to_owned() });
            }
        }
        if self.plan.pod.fault.is_some() {
            let directory = self.pod.cgroup.path().to_owned();
            owners.push(Owner { who: Who::Pod { uid: uid() }, limited: true, directory });
        }
        if let Some((path, cgroup)) = &self.ancestor {
            let who = Who::Above { path: path.clone() };
            owners.push(Owner { who, limited: true, directory: cgroup.path().to_owned() });
        }
        owners
    }

    /// What became of an owner's.
    pub fn outcome(&self, owner: &Owner) -> Outcome {
        owner.outcome(&self.deaths)
    }

    /// Whether somebody below this owner is dead already.
    pub fn has_dead_below(&self, owner: &Owner) -> bool {
        self.deaths.iter().any(|death| death.container.starts_with(&owner.directory))
    }

    /// The figures of all its cgroups.
    pub fn figures(&self) -> String {
        let lines: BTreeSet<String> = self
            .actors
            .iter()
            .flat_map(|actor| split(&blame::text(self.lab, actor.container.path())))
            .collect();
        lines.into_iter().collect::<Vec<_>>().join("; ")
    }
}

fn split(text: &str) -> Vec<String> {
    text.split("; ").map(str::to_owned).collect()
}

fn apply(cgroup: &Cgroup, limits: Limits) {
    if let Some(pages) = limits.fault {
        cgroup.limit(pages);
    }
    if let Some(pages) = limits.reservation {
        cgroup.reservation_limit(pages);
    }
}
