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
    /// In a pod and neither of these: conmon, Kata's own, a pod's cgroup made by the runtime.
    PodInfrastructure,
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
    /// Its class.
    pub qos: QosClass,
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
    /// and the pod's limit does not apply to it.
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
        Some(Self { pod: PodCgroup { uid: PodUid::from_path(uid)?, qos }, tail, in_place })
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
            pod: PodCgroup { uid: PodUid::from_path(uid)?, qos },
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
            (None, []) => return Owner::PodInfrastructure,
            (None, [first, deeper @ ..]) => (parse_container(first), self.in_place, deeper),
        };
        match (container, deeper) {
            (None, _) => Owner::PodInfrastructure,
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "9cce6226-b6f8-45de-a5d8-ced23cc58b11";
    const UID_SYSTEMD: &str = "9cce6226_b6f8_45de_a5d8_ced23cc58b11";
    const STATIC: &str = "9cce6226b6f8c645dea5d8ced23cc58b";
    const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
    const OUTER: &str = "057f13dd5abc07c728c5024f4054348d6a264bcb3f6eaf8b1dc23bc2bded8cd4";

    fn pod(uid: &str, qos: QosClass) -> PodCgroup {
        PodCgroup { uid: PodUid::from_path(uid).expect("a uid"), qos }
    }

    fn container(uid: &str, qos: QosClass, runtime: Runtime, in_pod_cgroup: bool) -> Owner {
        let id = ContainerId::parse(ID).expect("an id");
        Owner::Container(ContainerCgroup { pod: pod(uid, qos), runtime, id, in_pod_cgroup })
    }

    #[track_caller]
    fn check(path: &str, owner: &Owner) {
        let path = path
            .replace("UIDS", UID_SYSTEMD)
            .replace("UID", UID)
            .replace("OUTER", OUTER)
            .replace("ID", ID);
        assert_eq!(Owner::of(&path), *owner, "{path}");
    }

    #[test]
    fn pods_of_both_drivers() {
        use QosClass::{BestEffort, Burstable, Guaranteed};
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUIDS.slice",
            &Owner::Pod(pod(UID, Burstable)),
        );
        check(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUIDS.slice",
            &Owner::Pod(pod(UID, BestEffort)),
        );
        check("/kubepods.slice/kubepods-podUIDS.slice", &Owner::Pod(pod(UID, Guaranteed)));
        check("/kubepods/burstable/podUID", &Owner::Pod(pod(UID, Burstable)));
        check("/kubepods/besteffort/podUID", &Owner::Pod(pod(UID, BestEffort)));
        check("/kubepods/podUID", &Owner::Pod(pod(UID, Guaranteed)));
        check(&format!("/kubepods/pod{STATIC}"), &Owner::Pod(pod(STATIC, Guaranteed)));
        check("/kubepods/burstable/podmy-own-uid", &Owner::Pod(pod("my-own-uid", Burstable)));
    }

    #[test]
    fn containers_of_all_runtimes() {
        use QosClass::{Burstable, Guaranteed};
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUIDS.slice";
        check(
            &format!("{slice}/cri-containerd-ID.scope"),
            &container(UID, Burstable, Runtime::Containerd, true),
        );
        check(&format!("{slice}/crio-ID.scope"), &container(UID, Burstable, Runtime::CriO, true));
        check(
            &format!("{slice}/docker-ID.scope"),
            &container(UID, Burstable, Runtime::Docker, true),
        );
        check(
            &format!("{slice}/libpod-ID.scope"),
            &container(UID, Burstable, Runtime::Podman, true),
        );
        check("/kubepods/podUID/ID", &container(UID, Guaranteed, Runtime::Unknown, true));
        check("/kubepods/podUID/crio-ID", &container(UID, Guaranteed, Runtime::CriO, true));
    }

    #[test]
    fn what_lies_below_a_container_is_the_containers() {
        check("/kubepods/podUID/crio-ID/container", &Owner::InsideContainer);
        check("/kubepods/podUID/ID/docker/OUTER", &Owner::InsideContainer);
        check("/kubepods/podUID/ID/system.slice/x.service", &Owner::InsideContainer);
    }

    #[test]
    fn conmon_and_strangers_in_a_pod_are_infrastructure() {
        check("/kubepods/podUID/crio-conmon-ID", &Owner::PodInfrastructure);
        check("/kubepods/podUID/crio-conmon-ID.scope", &Owner::PodInfrastructure);
        check("/kubepods/podUID/kata_overhead", &Owner::PodInfrastructure);
    }

    #[test]
    fn the_last_kubelet_counts() {
        use QosClass::{Burstable, Guaranteed};
        let kind = "/system.slice/docker-OUTER.scope/kubelet.slice/kubelet-kubepods.slice";
        check(
            &format!(
                "{kind}/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podUIDS.slice/cri-containerd-ID.scope"
            ),
            &container(UID, Burstable, Runtime::Containerd, true),
        );
        check(&format!("{kind}/kubelet-kubepods-podUIDS.slice"), &Owner::Pod(pod(UID, Guaranteed)));
        check(
            "/docker/OUTER/kubelet/kubepods/burstable/podUID/ID",
            &container(UID, Burstable, Runtime::Unknown, true),
        );
        check(
            &format!("/kubepods/pod{STATIC}/OUTER/kubepods/podUID/ID"),
            &container(UID, Guaranteed, Runtime::Unknown, true),
        );
    }

    #[test]
    fn containers_outside_their_pods_cgroup_are_flagged() {
        let outside = container(UID, QosClass::Burstable, Runtime::Containerd, false);
        check(
            "/system.slice/containerd.service/kubepods-burstable-podUIDS.slice:cri-containerd:ID",
            &outside,
        );
        check("/kubepods-burstable-podUIDS.slice:cri-containerd:ID", &outside);
        let docker = container(UID, QosClass::Burstable, Runtime::Unknown, false);
        check("/system.slice/docker.service/kubepods-burstable-podUIDS.slice/ID", &docker);
        check(
            "/system.slice/docker.service/kubepods-burstable-podUIDS.slice",
            &Owner::PodInfrastructure,
        );
    }

    #[test]
    fn tiers_and_services() {
        for path in [
            "/kubepods",
            "/kubepods.slice",
            "/kubepods/burstable",
            "/kubepods.slice/kubepods-besteffort.slice",
            "/kubelet.slice/kubelet-kubepods.slice",
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice",
        ] {
            check(path, &Owner::Tier);
        }
        for path in [
            "/",
            "/system.slice",
            "/system.slice/postgresql.service",
            "/machine.slice/machine-qemu.scope",
            "/system.slice/docker-ID.scope",
            "/docker/ID",
            "/podman",
            "/pods",
            "/app/burstable",
        ] {
            check(path, &Owner::Service);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC*") {
            let _ = Owner::of(&path);
        }

        #[test]
        fn no_path_made_of_our_own_words_panics(
            words in proptest::collection::vec(
                prop::sample::select(vec![
                    "kubepods", "-pod", "pod", ".slice", ":", "/", "-burstable", "burstable", ".scope", ID, UID, UID_SYSTEMD,
                    "cri-containerd", "-", "é",
                ]),
                0..12,
            )
        ) {
            let _ = Owner::of(&words.concat());
        }
    }
}
