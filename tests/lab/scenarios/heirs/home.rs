//! Pods of today with a database in them, and who makes their containers.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bundle::{Bundle, Container};
use crate::cgroup::Cgroup;
use crate::contained::{self, Place};
use crate::kubepods::{Kubepods, Pod, id};
use crate::machine::Phase;
use crate::postgres::{Cluster, Ipc, Server};
use crate::suite::{NEWER, Program, Suite};
use crate::tenant::Tenant;

/// Whose PostgreSQL, and what makes its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This system's PostgreSQL in cgroups that the lab makes, as containerd that limits no containers has them made.
    Lab,
    /// A suite's PostgreSQL in containers of its runtime, which limits them.
    Runtime(Program),
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lab => f.pad("lab"),
            Self::Runtime(Program { suite, name }) => write!(f, "{suite}-{name}"),
        }
    }
}

impl Maker {
    /// All that can be had here.
    pub fn all() -> Vec<Self> {
        let suites = NEWER.into_iter().filter(|suite| suite.missing().is_none());
        let of = |suite| ["runc", "crun"].map(|name| Self::Runtime(Program { suite, name }));
        let runtimes = [Suite::Own].into_iter().chain(suites).flat_map(of);
        [Self::Lab].into_iter().chain(runtimes).collect()
    }

    pub fn suite(self) -> Suite {
        match self {
            Self::Lab => Suite::Own,
            Self::Runtime(program) => program.suite,
        }
    }

    /// What they call themselves.
    pub fn versions(self) -> String {
        let suite = self.suite();
        let postgres = suite.installation().program("postgres").expect("PostgreSQL");
        let postgres = suite.version(postgres.to_str().expect("a path"));
        let postgres = postgres.replace("postgres (PostgreSQL) ", "PostgreSQL ");
        let postgres = postgres.split(" (").next().unwrap_or_default();
        match self {
            Self::Lab => postgres.to_owned(),
            Self::Runtime(Program { name, .. }) => {
                let version = suite.version(name).replace("version ", "");
                format!("{postgres} under {version}")
            }
        }
    }
}

/// A pod as a kubelet since 1.29 makes it: both its limits alike.
pub struct Home<'a> {
    kubepods: &'a Kubepods<'a>,
    pub pod: Pod,
    maker: Maker,
    /// That of its container, where the runtime limits it. v1 counts a refusal at the limit that refused alone, and what a
    /// container counted goes with it.
    limit: Option<u64>,
    instances: AtomicU32,
}

/// What holds a container's process, and goes after it.
pub enum Shell {
    Cgroup(Cgroup),
    Runtime(#[expect(dead_code, reason = "dropping it deletes the container")] Bundle),
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Self::Cgroup(cgroup) = self {
            cgroup.kill_all();
        }
    }
}

/// A container with something in it that maps as it is told. It ends first.
pub enum Residing {
    InCgroup(Tenant, #[expect(dead_code, reason = "dropping it removes it")] Cgroup),
    InContainer(Container),
}

impl Residing {
    pub fn tenant(&mut self) -> &mut Tenant {
        match self {
            Self::InCgroup(tenant, _) => tenant,
            Self::InContainer(container) => &mut container.tenant,
        }
    }
}

impl<'a> Home<'a> {
    pub fn new(kubepods: &'a Kubepods<'a>, maker: Maker, name: &str, pages: u64) -> Self {
        let pod = kubepods.pod(name, pages);
        pod.cgroup.reservation_limit(pages);
        let limits = maker != Maker::Lab && kubepods.lab().phase == Phase::V2;
        let limit = limits.then_some(pages);
        Self { kubepods, pod, maker, limit, instances: AtomicU32::new(0) }
    }

    /// The next instance of its container, with a server that is not waited for.
    pub fn server<'c>(&self, cluster: &'c Cluster, settings: &[&str]) -> (Server<'c>, Shell) {
        let id = self.next();
        match self.maker {
            Maker::Lab => {
                let cgroup = self.cgroup(&id);
                let server = Server::launch(cluster, &cgroup, settings, Ipc::Shared);
                (server, Shell::Cgroup(cgroup))
            }
            Maker::Runtime(runtime) => {
                let cgroup = self.kubepods.container_path(&self.pod, &id);
                let place = Place { id: &id, cgroup: &cgroup, limit: self.limit };
                let (server, bundle) = contained::start(runtime, &place, cluster, settings);
                (server, Shell::Runtime(bundle))
            }
        }
    }

    /// The next instance of its container, with a tenant that maps shared memory.
    pub fn tenant(&self) -> Residing {
        let id = self.next();
        match self.maker {
            Maker::Lab => {
                let cgroup = self.cgroup(&id);
                Residing::InCgroup(Tenant::new(&cgroup, "shared"), cgroup)
            }
            Maker::Runtime(runtime) => {
                let path = self.kubepods.container_path(&self.pod, &id);
                Residing::InContainer(Container::start(runtime, &id, &path, self.limit))
            }
        }
    }

    fn cgroup(&self, id: &str) -> Cgroup {
        Cgroup::new(self.kubepods.lab(), &self.kubepods.container_path(&self.pod, id))
    }

    fn next(&self) -> String {
        self.id(self.instances.fetch_add(1, Ordering::SeqCst))
    }

    /// The kubelet's link to the newest, which comes once it runs. Those of the last dead and of the living are there, and no
    /// more.
    pub fn link(&self) {
        let number = self.instances.load(Ordering::SeqCst) - 1;
        if let Some(before) = number.checked_sub(2) {
            self.kubepods.unname(&self.pod, "postgres", &self.id(before));
        }
        self.kubepods.name(&self.pod, "postgres", &self.id(number), number);
    }

    fn id(&self, number: u32) -> String {
        id(&format!("{}{number:04x}f", self.pod.uid.replace('-', "")))
    }

    pub fn reserved(&self) -> u64 {
        let names = ["hugetlb.2MB.rsvd.current", "hugetlb.2MB.rsvd.usage_in_bytes"];
        self.pod.cgroup.read(names[0], names[1]).parse::<u64>().expect("bytes") >> 21
    }
}
