//! What the kubelet says of its pods.

use crate::identity::{ContainerId, PodName, PodUid, Runtime};
use crate::units::{Bytes, PageSize};

/// The pods that the kubelet of this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// By UID.
    pub pods: Vec<DeclaredPod>,
}

/// A pod as its spec and its status describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPod {
    /// As cgroup paths have it: of a static pod the hash of its manifest, not the mirror pod's UID.
    pub uid: PodUid,
    /// Its names.
    pub name: PodName,
    /// What it was granted: the larger of its init containers' and the sum of its containers' requests, or
    /// the pod's own resources. A size that is not here was not asked for, and its limit is zero.
    pub limits: Vec<(PageSize, Bytes)>,
    /// What each container asked for, by its name in the spec; not of those that asked for none.
    pub asked: Vec<(String, PageSize, Bytes)>,
    /// The same without what its resource claims add: kubelets before 1.37 do not count that.
    pub limits_without_claims: Vec<(PageSize, Bytes)>,
    /// The findings that its owner knows of.
    pub acknowledged: Acknowledged,
    /// The sizes that the pod's own resources name (`spec.resources`): its containers share those.
    pub own_resources: Vec<PageSize>,
    /// Its containers of all kinds.
    pub containers: Vec<DeclaredContainer>,
}

/// What a pod's annotation `hugetlb-exporter/mute` says: `all`, or names of findings, `idle-grant,silent-fallback`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Acknowledged {
    /// No finding.
    #[default]
    Nothing,
    /// Those.
    These(Vec<String>),
    /// All.
    All,
}

/// A container as its pod's status describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredContainer {
    /// Its name in the spec.
    pub name: String,
    /// The instance that runs now, once there is one.
    pub id: Option<ContainerId>,
    /// What made it, `containerd` of `containerd://…`.
    pub runtime: Runtime,
    /// How often it was restarted.
    pub attempt: u32,
}

impl Declared {
    /// The pod with that UID.
    pub fn pod(&self, uid: &PodUid) -> Option<&DeclaredPod> {
        let place = self.pods.binary_search_by(|pod| pod.uid.cmp(uid)).ok()?;
        self.pods.get(place)
    }
}

impl DeclaredPod {
    /// What it may touch of that size: zero where it asked for none.
    pub fn limit(&self, page_size: PageSize) -> Bytes {
        of_size(&self.limits, page_size)
    }

    /// What one of its containers asked for of that size.
    pub fn asked(&self, container: &str, page_size: PageSize) -> Bytes {
        let asked = self
            .asked
            .iter()
            .find(|(name, size, _)| (name.as_str(), *size) == (container, page_size));
        asked.map_or(Bytes::ZERO, |(.., bytes)| *bytes)
    }

    /// Whether a kubelet that knows this pod sets that limit, whether it counts resource claims or not.
    pub fn allows(&self, limit: Bytes, page_size: PageSize) -> bool {
        [&self.limits, &self.limits_without_claims]
            .into_iter()
            .any(|limits| of_size(limits, page_size) == limit)
    }
}

fn of_size(limits: &[(PageSize, Bytes)], page_size: PageSize) -> Bytes {
    let found = limits.iter().find(|(size, _)| *size == page_size);
    found.map_or(Bytes::ZERO, |(_, limit)| *limit)
}

impl Acknowledged {
    /// What the annotation says. A name that no finding has mutes nothing.
    pub fn of_annotation(text: &str) -> Self {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        match names.as_slice() {
            [] => Self::Nothing,
            names if names.iter().any(|name| name == "all") => Self::All,
            _ => Self::These(names),
        }
    }

    /// Whether that finding is one of them.
    pub fn covers(&self, finding: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(names) => names.iter().any(|name| name == finding),
            Self::All => true,
        }
    }
}
