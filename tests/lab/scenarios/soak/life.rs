//! Pods that come and go, beside some that stay and to which things happen.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::evidence::{self, Section};
use crate::kubepods::{Kubepods, Pod, id};
use crate::tenant::Tenant;

/// So many cgroups are made each second, and as many removed.
pub const RATE: u32 = 200;
/// Of ten one is a pod's, and of its containers one has a tenant.
const OF_A_POD: u32 = 10;
const ALIVE: usize = 80;

/// A node's pods.
pub struct Life<'a> {
    kubepods: &'a Kubepods<'a>,
    stayers: Stayers,
    /// The oldest first, a pod behind its containers.
    passing: VecDeque<Passing>,
    /// The one that is getting its containers.
    newest: Option<Rc<Pod>>,
    made: u32,
    tenants: u32,
    died: u32,
}

enum Passing {
    Container(Box<Container>),
    Pod(Rc<Pod>),
}

struct Container {
    /// Ends before its cgroup does.
    tenant: Option<Tenant>,
    cgroup: Cgroup,
    pod: Rc<Pod>,
    name: String,
    id: String,
}

/// Pods that live as long as all of it.
struct Stayers {
    /// Reserved more than it may touch, and lives.
    trapped: (Tenant, Cgroup, Pod),
    /// Is refused what it wants to map, and maps less.
    capped: (Tenant, Cgroup, Pod),
    /// Its only container is refused its first page, over and over.
    looping: Rc<Pod>,
}

impl<'a> Life<'a> {
    pub fn new(kubepods: &'a Kubepods<'a>) -> Self {
        let stayers = Stayers::new(kubepods);
        let mut life = Self {
            kubepods,
            stayers,
            passing: VecDeque::new(),
            newest: None,
            made: 0,
            tenants: 0,
            died: 0,
        };
        // Whoever was once seen to use pages is watched as long as it lives; so that all that stay are, from the start.
        let (pod, name, id) = (Rc::clone(&life.stayers.looping), "initdb".to_owned(), id("e"));
        let cgroup = kubepods.container(&pod, &name, &id, 0);
        let mut tenant = Tenant::new(&cgroup, "shared");
        tenant.map(1);
        life.pass(Container { tenant: Some(tenant), cgroup, pod, name, id });
        life
    }

    /// How many cgroups were made; all but a few were removed again.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Lives on until then.
    pub fn go_on(&mut self, until: Instant) {
        let (began, before) = (Instant::now(), self.made);
        loop {
            let due = began + Duration::from_secs(1) / RATE * (self.made - before);
            // A machine that is late makes up for it.
            while Instant::now() < due {
                std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            if Instant::now() >= until {
                return;
            }
            self.step();
        }
    }

    /// Whoever only passes is gone.
    pub fn rest(&mut self) {
        self.passing.extend(self.newest.take().map(Passing::Pod));
        while !self.passing.is_empty() {
            self.remove_oldest();
        }
        // The next is a pod's again.
        self.made = self.made.next_multiple_of(OF_A_POD);
    }

    /// Those that stayed, each with its containers.
    pub fn stayers(&self) -> [(&Pod, Vec<(&str, &Cgroup)>); 3] {
        let Stayers { trapped: (_, container, trapped), capped, looping } = &self.stayers;
        let (_, capped_container, capped) = capped;
        [
            (trapped, vec![("c", container)]),
            (capped, vec![("c", capped_container)]),
            (looping, Vec::new()),
        ]
    }

    pub fn tell(&self, section: Section, lab: &Lab, lived: Duration) {
        evidence::tell(
            section,
            format!(
                "{}: in {} s {} cgroups made and removed ({:.0} a second), with the log directories of {} pods; {} tenants, {} of them refused a page",
                lab.phase,
                lived.as_secs(),
                self.made,
                f64::from(self.made) / lived.as_secs_f64(),
                self.made / OF_A_POD,
                self.tenants,
                self.died,
            ),
        );
    }

    fn step(&mut self) {
        if self.made.is_multiple_of(OF_A_POD) {
            let before = self.newest.take().map(Passing::Pod);
            self.passing.extend(before);
            let pod = self.kubepods.pod(&format!("passing-{}", self.made), 12);
            self.newest = Some(Rc::new(pod));
        } else {
            self.make_container();
        }
        self.made += 1;
        if self.passing.len() > ALIVE {
            self.remove_oldest();
        }
        if self.made.is_multiple_of(RATE) {
            self.stayers.suffer(self.kubepods, self.made / RATE);
        }
    }

    fn make_container(&mut self) {
        let number = self.made;
        let pod = Rc::clone(self.newest.as_ref().expect("a pod comes first"));
        let id = id(&format!("{number:x}f"));
        let name = format!("c{}", number % OF_A_POD);
        let cgroup = self.kubepods.container(&pod, &name, &id, 0);
        cgroup.limit(3);
        let tenant = (number % OF_A_POD == 5).then(|| self.start(&cgroup));
        self.pass(Container { tenant, cgroup, pod, name, id });
    }

    fn pass(&mut self, container: Container) {
        self.passing.push_back(Passing::Container(Box::new(container)));
    }

    /// One that is refused its fourth page, or one that is killed with three.
    fn start(&mut self, cgroup: &Cgroup) -> Tenant {
        let turn = self.tenants;
        self.tenants += 1;
        let kinds = ["private", "shared", "no-reserve"];
        let kind = kinds[usize::try_from(turn).expect("few") % kinds.len()];
        let mut tenant = Tenant::new(cgroup, kind);
        tenant.map(4);
        if turn.is_multiple_of(2) {
            tenant.touch_and_die(4);
            self.died += 1;
        } else {
            tenant.touch(3);
        }
        tenant
    }

    fn remove_oldest(&mut self) {
        match self.passing.pop_front() {
            Some(Passing::Container(container)) => {
                let Container { tenant, cgroup, pod, name, id } = *container;
                drop(tenant);
                cgroup.remove();
                self.kubepods.unname(&pod, &name, &id);
            }
            Some(Passing::Pod(pod)) => {
                pod.cgroup.remove();
                self.kubepods.remove_logs(&pod);
            }
            None => {}
        }
    }
}

impl Stayers {
    fn new(kubepods: &Kubepods<'_>) -> Self {
        let stayer = |name: &str, kind: &str, digits: &str| {
            let pod = kubepods.pod(name, 60);
            let container = kubepods.container(&pod, "c", &id(digits), 0);
            (Tenant::new(&container, kind), container, pod)
        };
        let mut trapped = stayer("trapped", "shared", "aa");
        trapped.1.limit(50);
        trapped.0.map(100);
        trapped.0.touch(40);
        let mut capped = stayer("capped", "private", "bb");
        capped.2.cgroup.reservation_limit(10);
        capped.0.map(2);
        capped.0.touch(1);
        Self { trapped, capped, looping: Rc::new(kubepods.pod("looping", 0)) }
    }

    /// What happens to them in a second.
    fn suffer(&mut self, kubepods: &Kubepods<'_>, second: u32) {
        let turn = u64::from(second % 7);
        self.trapped.1.limit(50 + turn);
        let capped = &mut self.capped.0;
        assert_eq!(capped.tell("map 11").as_deref(), Some("refused ENOMEM"));
        capped.map(2 + turn);
        capped.touch(1 + turn);
        let id = id(&format!("{second:x}e"));
        let container = kubepods.container(&self.looping, "initdb", &id, second);
        let mut tenant = Tenant::new(&container, "private");
        tenant.map(1);
        tenant.touch_and_die(1);
        container.remove();
        kubepods.unname(&self.looping, "initdb", &id);
    }
}
