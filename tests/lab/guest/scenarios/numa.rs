//! Containers bound to NUMA nodes: what numa-short says, against what then really dies.
//!
//! Every container of a case maps; then one after the other touches all that it mapped, and before each the agent is
//! asked. Two things are certain, and must never be wrong: said short, a container dies, now or later in the case;
//! not said short, the bound container that touches next does not die. (One that is not bound, or bound to more
//! nodes, may take what another needs: nobody can know before it does.)

use std::fs;

use hugetlb_exporter::host::pool;

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence;
use crate::guest::EVIDENCE;
use crate::harness::agent::Agent;
use crate::harness::exposition::Exposition;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, Pod, id};
use crate::machine::POOL_PAGES;
use crate::scenarios::Named;
use crate::scenarios::figures::numa_nodes;
use crate::tenant::Tenant;
use crate::truth::verdict::findings;

pub const NUMA: &[Named] = &[
    ("numa_cases", cases),
    ("numa_counters_stand_still", counters_stand_still),
    ("numa_overcommitted", overcommitted),
];

/// What takes longer.
pub const AT_RANDOM: &[Named] = &[("numa_at_random", at_random)];

/// How many polls it takes until what is found is believed.
const POLLS: f64 = 3.0;

/// How many pages each node has for the cases.
const SHARE: u64 = 40;

/// What one container does.
#[derive(Debug, Clone)]
struct Wish {
    /// What its memory is bound to; nothing if it is not bound.
    nodes: Vec<usize>,
    /// Whether its pod is bound in its stead.
    at_the_pod: bool,
    pages: u64,
    /// The node on whose processors it runs: pages that may come from anywhere come from there first.
    runs_on: Option<usize>,
}

/// A container bound to these nodes that maps so many pages.
fn bound(nodes: &[usize], pages: u64) -> Wish {
    Wish { nodes: nodes.to_vec(), at_the_pod: false, pages, runs_on: None }
}

/// The same, on the processors of a node.
fn running_on(node: usize, wish: Wish) -> Wish {
    Wish { runs_on: Some(node), ..wish }
}

/// What came of cases, counted.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    said_and_died: usize,
    silent_and_lived: usize,
    /// Silent at first, then another took the pages, and it was said before the touch.
    taken_by_another: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Notes it as evidence, and fails where anything was wrong.
    #[track_caller]
    fn publish(&self, what: &str) {
        let Self { cases, said_and_died, silent_and_lived, taken_by_another, wrong } = self;
        let nodes = numa_nodes().len();
        evidence::tell(
            EVIDENCE,
            format!(
                "numa-short, {what} on {nodes} NUMA nodes: {cases} cases; said and died {said_and_died}, not said and all lived {silent_and_lived}, said after another had taken the pages {taken_by_another}, wrong {}",
                wrong.len()
            ),
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(said_and_died + silent_and_lived + taken_by_another, *cases);
    }
}

/// An agent, and what is tried before it.
struct Stage<'a> {
    kubepods: Kubepods<'a>,
    agent: Agent,
    tally: Tally,
    /// What keeps all pages but the cases', so that touching takes no time.
    _ballast: Vec<(Tenant, Cgroup)>,
}

/// A container of a case's; its pod goes last.
struct Actor {
    tenant: Tenant,
    wish: Wish,
    _container: Cgroup,
    pod: Pod,
}

impl<'a> Stage<'a> {
    fn new(lab: &'a Lab) -> Self {
        let kubepods = Kubepods::new(lab, Driver::Systemd);
        let ballast = (0..numa_nodes().len()).map(|node| {
            let cgroup = Cgroup::new(lab, &format!("lab-ballast-{node}"));
            bind(&cgroup, &[node]);
            let mut tenant = Tenant::new(&cgroup, "private");
            let pages = free(node) - SHARE;
            tenant.map(pages);
            tenant.touch(pages);
            (tenant, cgroup)
        });
        let _ballast = ballast.collect();
        let agent = kubepods.agent(&["--collector.idle"]);
        Self { kubepods, agent, tally: Tally::default(), _ballast }
    }

    /// Plays a case, and counts what came of it.
    fn play(&mut self, wishes: &[Wish]) {
        self.tally.cases += 1;
        let case = self.tally.cases;
        let mut actors: Vec<Actor> =
            (0..).zip(wishes).map(|(number, wish)| self.actor(case, number, wish)).collect();
        for actor in &mut actors {
            // More than is free on its nodes is refused at once.
            let answer = actor.tenant.tell(&format!("map {}", actor.wish.pages));
            if answer.as_deref() != Some("mapped") {
                assert_eq!(answer.as_deref(), Some("refused ENOMEM"));
                actor.wish.pages = 0;
            }
        }
        self.wait_until_shown(&actors);
        let mut steps = Vec::new();
        for actor in actors.iter_mut().filter(|actor| actor.wish.pages > 0) {
            let said = short(&self.agent.after_polls(POLLS));
            let died = !actor.tenant.survives_touching(actor.wish.pages);
            steps.push(Step { said, died, bound: !actor.wish.nodes.is_empty() });
        }
        drop(actors);
        wait_for("all pages to come back", || {
            (0..numa_nodes().len()).all(|node| free(node) == SHARE).then_some(())
        });
        self.count(wishes, &steps);
    }

    fn actor(&self, case: usize, number: usize, wish: &Wish) -> Actor {
        let pod = self.kubepods.pod(&format!("case-{case}-{number}"), POOL_PAGES);
        let container =
            self.kubepods.container(&pod, "a", &id(&format!("{case:x}c{number:x}f")), 0);
        bind(if wish.at_the_pod { &pod.cgroup } else { &container }, &wish.nodes);
        if let Some(node) = wish.runs_on {
            let path = format!("/sys/devices/system/node/node{node}/cpulist");
            let processors = fs::read_to_string(&path).expect(&path);
            fs::write(container.path().join("cpuset.cpus"), processors).expect("on its processors");
        }
        let tenant = Tenant::new(&container, "private");
        Actor { tenant, wish: wish.clone(), _container: container, pod }
    }

    fn wait_until_shown(&self, actors: &[Actor]) {
        wait_for("all that is mapped to be shown", || {
            let scrape = self.agent.fresh();
            let is_shown = |actor: &Actor| {
                let labels = [("uid", actor.pod.uid.as_str()), ("pagesize", "2Mi")];
                let reserved = scrape.value("hugetlb_container_reserved_bytes", &labels);
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                let expected = (actor.wish.pages << 21) as f64;
                reserved == Some(expected)
            };
            actors.iter().all(is_shown).then_some(())
        });
    }

    fn count(&mut self, wishes: &[Wish], steps: &[Step]) {
        let wrong = steps.iter().enumerate().find_map(|(number, step)| {
            let dies = steps.iter().skip(number).any(|step| step.died);
            match step.said {
                true if !dies => Some(format!("said before touch {number}, and nobody died")),
                false if step.died && step.bound => Some(format!("touch {number} died unsaid")),
                _ => None,
            }
        });
        let died = steps.iter().any(|step| step.died);
        let said = steps.first().is_some_and(|step| step.said);
        match wrong {
            Some(wrong) => self.tally.wrong.push(format!("{wishes:?}: {wrong}: {steps:?}")),
            None if said => self.tally.said_and_died += 1,
            None if died => self.tally.taken_by_another += 1,
            None => self.tally.silent_and_lived += 1,
        }
    }
}

/// What was said before a container touched all of its pages, and what came of it.
#[derive(Debug)]
struct Step {
    said: bool,
    died: bool,
    bound: bool,
}

/// Whether numa-short is said.
fn short(scrape: &Exposition) -> bool {
    findings(scrape, "numa-short").next().is_some()
}

/// Binds a cgroup's memory to these nodes; to all of its parent's if there are none.
fn bind(cgroup: &Cgroup, nodes: &[usize]) {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    fs::write(cgroup.path().join("cpuset.mems"), nodes.join(",")).expect("bound");
}

/// How many pages are free on a node.
fn free(node: usize) -> u64 {
    let pool = "hugepages/hugepages-2048kB/free_hugepages";
    let path = format!("/sys/devices/system/node/node{node}/{pool}");
    fs::read_to_string(&path).expect(&path).trim().parse().expect("a number")
}

fn cases(lab: &Lab) {
    let (nodes, share, half) = (numa_nodes().len(), SHARE, SHARE / 2);
    let all: Vec<usize> = (0..nodes).collect();
    let mut stage = Stage::new(lab);
    let mut cases = vec![
        vec![bound(&[0], half), bound(&[0], share - half)],
        vec![bound(&[0], half), bound(&[0], share - half + 1)],
        vec![bound(&[0], share), bound(&[1], share)],
        vec![bound(&[0], share - 10), bound(&[0], share - 10), bound(&[1], 10)],
        vec![Wish { at_the_pod: true, ..bound(&[1], share - 20) }, bound(&[1], 30)],
        // Not bound, or to all of them: it takes what another needs, or it does not.
        vec![running_on(0, bound(&[], share)), bound(&[0], share - 10)],
        vec![running_on(1, bound(&all, 10)), bound(&[1], share - 9)],
        vec![running_on(0, bound(&all, share)), bound(&[1], share - 10)],
        vec![bound(&[0], share + 1)],
    ];
    if nodes > 2 {
        cases.extend([
            vec![bound(&[0, 1], share), bound(&[1, 2], share), bound(&[2], share)],
            vec![bound(&[0, 1], share * 2 - 5), bound(&[0], 5), bound(&[1], 6)],
            vec![bound(&[2, 3], share), bound(&[3], share - 20)],
        ]);
    }
    for case in cases {
        stage.play(&case);
    }
    stage.tally.publish("named cases");
    let Tally { said_and_died, silent_and_lived, taken_by_another, .. } = stage.tally;
    assert!(said_and_died > 1 && silent_and_lived > 1 && taken_by_another > 1);
}

/// Containers bound anywhere that map more and less than there is: the same ones in each run.
fn at_random(lab: &Lab) {
    let nodes = numa_nodes().len();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |bound: u64| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let mut stage = Stage::new(lab);
    for _ in 0..if evidence::is_long() { 24 } else { 6 } {
        let containers = 2 + below(3);
        let wishes: Vec<Wish> = (0..containers)
            .map(|_| {
                let nodes: Vec<usize> = (0..nodes).filter(|_| below(2) == 0).collect();
                let pages = 1 + below(SHARE * 3 / containers);
                let runs_on = (below(2) == 0).then_some(0);
                Wish { nodes, at_the_pod: below(4) == 0, pages, runs_on }
            })
            .collect();
        stage.play(&wishes);
    }
    stage.tally.publish("random cases");
}

/// The pool has pages, no counter moves, and yet it is SIGBUS: what the finding's words say.
fn counters_stand_still(lab: &Lab) {
    let share = SHARE;
    let stage = Stage::new(lab);
    let [mut first, mut second] =
        [0, 1].map(|number| stage.actor(1, number, &bound(&[0], share - 10)));
    for actor in [&mut first, &mut second] {
        actor.tenant.map(share - 10);
    }
    first.tenant.touch(share - 10);
    assert!(short(&stage.agent.after_polls(POLLS)));
    second.tenant.touch(10);
    assert_eq!((free(0), free(1)), (0, share));
    second.tenant.touch_and_die(11);
    let events = second.pod.cgroup.read("hugetlb.2MB.events", "");
    assert_eq!(events, "max 0");
}

/// Pages beyond the pool's size come from the node's ordinary memory: nobody dies, and nothing is said.
fn overcommitted(lab: &Lab) {
    let mut stage = Stage::new(lab);
    let overcommit = format!("{}/nr_overcommit_hugepages", pool::POOL);
    fs::write(&overcommit, "10").expect("overcommit");
    stage.play(&[bound(&[0], SHARE - 5), bound(&[0], 15)]);
    stage.play(&[bound(&[0], SHARE - 5), bound(&[0], 16)]);
    fs::write(&overcommit, "0").expect("no overcommit");
    stage.tally.publish("overcommitted");
}
