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
    /// Its containers of all kinds.
    pub containers: Vec<DeclaredContainer>,
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
        let of_size = self.limits.iter().find(|(size, _)| *size == page_size);
        of_size.map_or(Bytes::ZERO, |(_, limit)| *limit)
    }

    /// What one of its containers asked for of that size.
    pub fn asked(&self, container: &str, page_size: PageSize) -> Bytes {
        let asked = self
            .asked
            .iter()
            .find(|(name, size, _)| (name.as_str(), *size) == (container, page_size));
        asked.map_or(Bytes::ZERO, |(.., bytes)| *bytes)
    }
}
