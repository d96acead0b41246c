//! Whose a cgroup is, told by its path alone.
//!
//! Two drivers, four runtimes, kubelets inside containers and containers outside their pod's cgroup have
//! to be told apart. Two rules carry most of it: the *last* pod in the path counts (a node of kind is a
//! container of Docker's that holds a whole kubelet), and below a pod the *first* container counts (what
//! a container makes below itself is its own business).
//!
//! ```text
//! systemd   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope
//! cgroupfs  /kubepods/burstable/pod<uid>/<id>
//! kind      /kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid>.slice/cri-containerd-<id>.scope
//! mismatch  /system.slice/containerd.service/kubepods-burstable-pod<uid>.slice:cri-containerd:<id>
//! crun      …/crio-<id>.scope/container
//! ```

use super::id::{ContainerId, PodUid, QosClass, Runtime};

/// Whose a cgroup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The cgroup that the kubelet made for a pod.
    Pod(PodCgroup),
    /// The cgroup that the runtime made for a container.
    Container(ContainerCgroup),
    /// Below a container's cgroup: crun's `container`, an `exec`, a systemd inside.
    InsideContainer,
    /// In a pod and neither of these: conmon, Kata's virtual machine, a pod's cgroup made by the runtime.
    PodInfrastructure(PodCgroup),
    /// Above the pods: kubepods and its tiers.
    Tier,
    /// Anything else: services, virtual machines, sessions.
    Service,
}

/// A pod's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodCgroup {
    /// The pod.
    pub uid: PodUid,
    /// Its class; nothing where pods have no cgroups.
    pub qos: Option<QosClass>,
}

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerCgroup {
    /// The pod it belongs to.
    pub pod: PodCgroup,
    /// Which runtime made it.
    pub runtime: Runtime,
    /// The container.
    pub id: ContainerId,
    /// Whether it lies in the pod's cgroup. Where kubelet and runtime use different drivers it does not,
    /// and the pod's limit does not apply to it; nor where the kubelet makes no cgroups of pods.
    pub in_pod_cgroup: bool,
}

impl Owner {
    /// The owner of the cgroup with that path below the hierarchy's root.
    pub fn of(path: &str) -> Self {
        let components: Vec<&str> =
            path.split('/').filter(|component| !component.is_empty()).collect();
        let pod = components.iter().enumerate().rev().find_map(|(index, component)| {
            let parent = index.checked_sub(1).and_then(|parent| components.get(parent)).copied();
            let pod = PodComponent::parse(component, parent.unwrap_or_default())?;
            Some((pod, components.get(index + 1..).unwrap_or_default()))
        });
        match pod {
            Some((pod, below)) => pod.owner_of(below),
            None if components.last().is_some_and(|last| is_tier(last, &components)) => Self::Tier,
            None => Self::Service,
        }
    }

    /// The same where the kubelet makes no cgroups of pods (`--cgroups-per-qos=false`) and the runtime puts containers at
    /// `/k8s.io/<id>`, `/docker/<id>` or `/system.slice/docker-<id>.scope`: who they are the ids tell, for those who know.
    pub fn by_id(path: &str, pod: impl Fn(&ContainerId) -> Option<PodUid>) -> Option<Self> {
        let mut components = path.split('/').filter(|component| !component.is_empty());
        let container = components.find_map(|component| {
            let (runtime, id) = parse_container(component)?;
            let pod = PodCgroup { uid: pod(&id)?, qos: None };
            Some(ContainerCgroup { pod, runtime, id, in_pod_cgroup: false })
        })?;
        let is_inside = components.next().is_some();
        Some(if is_inside { Self::InsideContainer } else { Self::Container(container) })
    }

    /// Whether its name may be that of a container of any pod's.
    pub fn may_be_container(path: &str) -> bool {
        path.split('/').any(|component| parse_container(component).is_some())
    }
}

/// Whether a component that names no pod is kubepods or one of its tiers.
fn is_tier(last: &str, components: &[&str]) -> bool {
    let name = last.strip_suffix(".slice").unwrap_or(last);
    let below_cgroup_root = |tier: &str| {
        name.strip_suffix(tier).is_some_and(|root| root.is_empty() || root.ends_with('-'))
    };
    match name {
        "burstable" | "besteffort" => {
            components.iter().rev().nth(1).is_some_and(|parent| *parent == "kubepods")
        }
        _ => ["kubepods", "kubepods-burstable", "kubepods-besteffort"]
            .into_iter()
            .any(below_cgroup_root),
    }
}

/// A path component that names a pod.
struct PodComponent<'a> {
    pod: PodCgroup,
    /// What follows the UID: `.slice`, `.slice:cri-containerd:<id>` or nothing.
    tail: &'a str,
    /// Whether it lies where a kubelet would put it.
    in_place: bool,
}

impl<'a> PodComponent<'a> {
    fn parse(component: &'a str, parent: &str) -> Option<Self> {
        Self::parse_systemd(component, parent).or_else(|| Self::parse_cgroupfs(component, parent))
    }

    /// `kubepods-burstable-pod<uid>.slice`, perhaps with `kubelet-` before it and `:cri-containerd:<id>` after.
    fn parse_systemd(component: &'a str, parent: &str) -> Option<Self> {
        let kubepods_end = component.rfind("kubepods")? + "kubepods".len();
        let (_, after_kubepods) = component.split_at_checked(kubepods_end)?;
        let (qos, tier) =
            [(QosClass::Burstable, "-burstable"), (QosClass::BestEffort, "-besteffort")]
                .into_iter()
                .find(|(_, tier)| after_kubepods.starts_with(tier))
                .unwrap_or((QosClass::Guaranteed, ""));
        let after_pod = after_kubepods.strip_prefix(tier)?.strip_prefix("-pod")?;
        let uid_end =
            after_pod.find(".slice").or_else(|| after_pod.find(':')).unwrap_or(after_pod.len());
        let (uid, tail) = after_pod.split_at_checked(uid_end)?;
        let slice = component.strip_suffix(after_pod)?.strip_suffix("-pod")?;
        let in_place = parent.strip_suffix(".slice") == Some(slice);
        let pod = PodCgroup { uid: PodUid::from_path(uid)?, qos: Some(qos) };
        Some(Self { pod, tail, in_place })
    }

    /// `pod<uid>` below `burstable`, `besteffort` or kubepods; elsewhere only with a UID that is unmistakable.
    fn parse_cgroupfs(component: &'a str, parent: &str) -> Option<Self> {
        let uid = component.strip_prefix("pod")?;
        let qos = match parent {
            "burstable" => QosClass::Burstable,
            "besteffort" => QosClass::BestEffort,
            _ if parent.ends_with("kubepods") || PodUid::is_unmistakable(uid) => {
                QosClass::Guaranteed
            }
            _ => return None,
        };
        Some(Self {
            pod: PodCgroup { uid: PodUid::from_path(uid)?, qos: Some(qos) },
            tail: "",
            in_place: true,
        })
    }

    /// The owner of the cgroup `below` this component.
    fn owner_of(self, below: &[&str]) -> Owner {
        let joined = self
            .tail
            .strip_prefix(".slice")
            .unwrap_or(self.tail)
            .strip_prefix(':')
            .map(parse_container);
        let (container, in_pod_cgroup, deeper) = match (joined, below) {
            (Some(container), deeper) => (container, false, deeper),
            (None, []) if self.in_place => return Owner::Pod(self.pod),
            (None, []) => return Owner::PodInfrastructure(self.pod),
            (None, [first, deeper @ ..]) => (parse_container(first), self.in_place, deeper),
        };
        match (container, deeper) {
            (None, _) => Owner::PodInfrastructure(self.pod),
            (Some((runtime, id)), []) => {
                Owner::Container(ContainerCgroup { pod: self.pod, runtime, id, in_pod_cgroup })
            }
            (Some(_), _) => Owner::InsideContainer,
        }
    }
}

/// `cri-containerd-<id>.scope`, `cri-containerd:<id>`, `<id>`. Other prefixes (`crio-conmon-<id>.scope`)
/// are no containers.
fn parse_container(component: &str) -> Option<(Runtime, ContainerId)> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let (prefix, id) = name.rsplit_once([':', '-']).unwrap_or(("", name));
    let runtime = match prefix {
        "cri-containerd" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        "docker" => Runtime::Docker,
        "libpod" => Runtime::Podman,
        "" => Runtime::Unknown,
        _ => return None,
    };
    Some((runtime, ContainerId::parse(id)?))
}

#[cfg(test)]
mod tests;
