//! Whose cgroups of all layouts are.

use super::*;
use proptest::prelude::*;

const UID: &str = "9cce6226-b6f8-45de-a5d8-ced23cc58b11";
const UID_SYSTEMD: &str = "9cce6226_b6f8_45de_a5d8_ced23cc58b11";
const STATIC: &str = "9cce6226b6f8c645dea5d8ced23cc58b";
const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
const OUTER: &str = "057f13dd5abc07c728c5024f4054348d6a264bcb3f6eaf8b1dc23bc2bded8cd4";

fn pod(uid: &str, qos: QosClass) -> PodCgroup {
    PodCgroup { uid: PodUid::from_path(uid).expect("a uid"), qos: Some(qos) }
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
    check(&format!("{slice}/docker-ID.scope"), &container(UID, Burstable, Runtime::Docker, true));
    check(&format!("{slice}/libpod-ID.scope"), &container(UID, Burstable, Runtime::Podman, true));
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
    let of_pod = Owner::PodInfrastructure(pod(UID, QosClass::Guaranteed));
    check("/kubepods/podUID/crio-conmon-ID", &of_pod);
    check("/kubepods/podUID/crio-conmon-ID.scope", &of_pod);
    check("/kubepods/podUID/kata_overhead", &of_pod);
    check("/kubepods/podUID/kata_ID", &of_pod);
}

#[test]
fn a_static_pods_own_uid_is_the_same_for_both_drivers() {
    let burstable = QosClass::Burstable;
    let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable";
    for path in ["/kubepods/burstable/podmy-own-uid", &format!("{slice}-podmy_own_uid.slice")] {
        check(path, &Owner::Pod(pod("my-own-uid", burstable)));
    }
}

#[test]
fn containers_without_a_pods_cgroup_are_known_by_their_id() {
    let known = |id: &ContainerId| (id.as_str() == ID).then(|| PodUid::from_path(UID)).flatten();
    let owner = |path: &str| Owner::by_id(&path.replace("OTHER", OUTER).replace("ID", ID), known);
    for (path, runtime) in [
        ("/k8s.io/ID", Runtime::Unknown),
        ("/docker/ID", Runtime::Unknown),
        ("/ID", Runtime::Unknown),
        ("/system.slice/docker-ID.scope", Runtime::Docker),
        ("/machine.slice/crio-ID", Runtime::CriO),
    ] {
        let Some(Owner::Container(container)) = owner(path) else { panic!("{path}") };
        assert_eq!((container.runtime, container.id.as_str()), (runtime, ID));
        assert_eq!((container.pod.uid.as_str(), container.pod.qos), (UID, None));
        assert!(!container.in_pod_cgroup);
    }
    assert_eq!(owner("/docker/ID/docker/OTHER"), Some(Owner::InsideContainer));
    for path in ["/", "/k8s.io", "/k8s.io/OTHER", "/k8s.io/ID0", "/crio-conmon-ID"] {
        assert_eq!(owner(path), None, "{path}");
    }
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
        &Owner::PodInfrastructure(pod(UID, QosClass::Burstable)),
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
