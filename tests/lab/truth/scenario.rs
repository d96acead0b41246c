//! What a scenario is: a tree of limits, tenants in it, a state of the pool.

use std::fmt;

/// How a tenant maps, in the words of `touch-child`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    Private,
    Shared,
    File,
    Memfd,
    SysV,
    NoReserve,
}

impl Mapping {
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::File => "file",
            Self::Memfd => "memfd",
            Self::SysV => "sys-v",
            Self::NoReserve => "no-reserve",
        }
    }

    /// Whether the kernel promises the pages at mmap.
    pub fn is_reserved(self) -> bool {
        self != Self::NoReserve
    }
}

/// What is mapped, measured by the limit under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Below,
    Equal,
    OneAbove,
    FarAbove,
    /// The limit is 0, as for every pod that asks for no huge pages.
    LimitZero,
}

/// Where the limit under test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Container,
    Pod,
    /// At each container, and their sum at the pod, as the kubelet writes it.
    Both,
    /// At kubepods or above it; each scenario has a node of its own for this, as kind has.
    Ancestor,
}

/// The reservation limit beside each fault limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    Unset,
    Equal,
    Looser,
}

/// What the pool has for the tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    Ample,
    /// Exactly what all of them mapped.
    Exact,
    /// Nothing, before they map.
    Exhausted,
}

/// One combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub mapping: Mapping,
    pub need: Need,
    pub place: Place,
    pub reservation: Reservation,
    pub pool: Pool,
    pub containers: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, need, place, reservation, pool, containers } = self;
        write!(
            f,
            "{} need {need:?}, limit at {place:?}, reservation limit {reservation:?}, pool {pool:?}, \
             {containers} container(s)",
            mapping.word()
        )
    }
}

/// The limits of one cgroup, in pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub fault: Option<u64>,
    pub reservation: Option<u64>,
}

/// A container and its one tenant.
#[derive(Debug, Clone, Copy)]
pub struct ContainerPlan {
    pub limits: Limits,
    pub mapping: Mapping,
    pub pages: u64,
}

/// A pod, what is above it, and who is in it; touched in the order of its containers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called where it went wrong.
    pub name: String,
    /// Of the node that the pod has to itself.
    pub ancestor: Option<Limits>,
    pub pod: Limits,
    pub containers: Vec<ContainerPlan>,
    pub pool: Pool,
}

impl Plan {
    /// The pages that it may hold at most.
    pub fn pages(&self) -> u64 {
        self.containers.iter().map(|container| container.pages).sum()
    }

    /// Whether anyone in it maps without a reservation.
    pub fn has_unreserved(&self) -> bool {
        self.containers.iter().any(|container| !container.mapping.is_reserved())
    }
}

/// The limit under test, unless it is 0.
const LIMIT: u64 = 4;
/// What a healthy sibling with a limit of its own maps.
const HEALTHY: u64 = 3;
/// How much looser the looser reservation limit is: one page above fits, far above does not.
const LOOSER: u64 = 2;

impl Point {
    /// What it means in pages and cgroups.
    pub fn plan(&self) -> Plan {
        let (limit, need) = match self.need {
            Need::Below => (LIMIT, LIMIT - 2),
            Need::Equal => (LIMIT, LIMIT),
            Need::OneAbove => (LIMIT, LIMIT + 1),
            Need::FarAbove => (LIMIT, LIMIT + 5),
            Need::LimitZero => (0, 2),
        };
        let mut plan = Plan {
            name: self.to_string(),
            ancestor: None,
            pod: Limits::default(),
            containers: Vec::new(),
            pool: self.pool,
        };
        match self.place {
            Place::Container => plan.containers = self.limited_apart(limit, need),
            Place::Both => {
                plan.containers = self.limited_apart(limit, need);
                let sum =
                    plan.containers.iter().filter_map(|container| container.limits.fault).sum();
                plan.pod = self.limits(sum);
            }
            Place::Pod => {
                plan.containers = self.limited_together(need);
                plan.pod = self.limits(limit);
            }
            Place::Ancestor => {
                plan.containers = self.limited_together(need);
                plan.ancestor = Some(self.limits(limit));
            }
        }
        plan
    }

    fn limits(&self, fault: u64) -> Limits {
        let reservation = match self.reservation {
            Reservation::Unset => None,
            Reservation::Equal => Some(fault),
            Reservation::Looser => Some(fault + LOOSER),
        };
        Limits { fault: Some(fault), reservation }
    }

    /// One container under test, and a sibling that keeps within a limit of its own.
    fn limited_apart(&self, limit: u64, need: u64) -> Vec<ContainerPlan> {
        let container = |limit, pages| ContainerPlan {
            limits: self.limits(limit),
            mapping: self.mapping,
            pages,
        };
        let sibling = (self.containers == 2).then(|| container(LIMIT, HEALTHY));
        [container(limit, need)].into_iter().chain(sibling).collect()
    }

    /// Containers without limits, that need it together.
    fn limited_together(&self, need: u64) -> Vec<ContainerPlan> {
        let container =
            |pages| ContainerPlan { limits: Limits::default(), mapping: self.mapping, pages };
        if self.containers == 1 {
            return vec![container(need)];
        }
        vec![container(need.div_ceil(2)), container(need / 2)]
    }
}
