//! Which container a process is in, by `/proc/PID/cgroup`.
//!
//! ```text
//! 0::/kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope     v2
//! 0::/../../kubepods-pod<uid>.slice/crio-<id>.scope/container             the same, seen from a private cgroup namespace
//! 5:hugetlb:/kubepods/pod<uid>/<id>                                       v1
//! ```

use crate::identity::{ContainerId, Owner, PodUid};
use crate::sources::membership::hugetlb_cgroup;

/// The container, if the process is in one, however deep in it. Huge pages are charged where the hugetlb
/// controller is: on v1 and on hybrids in a hierarchy of its own, else in the unified one.
pub(super) fn container_of(cgroups: &str) -> Option<ContainerId> {
    let (_, path) = hugetlb_cgroup(cgroups)?;
    let all = || std::iter::successors(Some(path), |path| Some(path.rsplit_once('/')?.0));
    // Where pods have no cgroups a cgroup that is called by an id may be a container of one.
    let by_id = |path| Owner::by_id(path, |id| PodUid::from_path(id.as_str()));
    let in_pod = all().map(Owner::of).find_map(container);
    in_pod.or_else(|| all().filter_map(by_id).find_map(container))
}

fn container(owner: Owner) -> Option<ContainerId> {
    match owner {
        Owner::Container(container) => Some(container.id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
    const OTHER: &str = "057f13dd5abc07c728c5024f4054348d6a264bcb3f6eaf8b1dc23bc2bded8cd4";
    const POD: &str = "9cce6226-b6f8-45de-a5d8-ced23cc58b11";
    const SLICE: &str = "kubepods-burstable-pod9cce6226_b6f8_45de_a5d8_ced23cc58b11.slice";

    #[track_caller]
    fn check(cgroups: &str, id: Option<&str>) {
        let found = container_of(cgroups);
        assert_eq!(found.as_ref().map(ContainerId::as_str), id, "{cgroups}");
    }

    #[test]
    fn v2_however_deep_and_from_any_namespace() {
        check(
            &format!(
                "0::/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{ID}.scope\n"
            ),
            Some(ID),
        );
        check(&format!("0::/../../{SLICE}/crio-{ID}.scope/container\n"), Some(ID));
        check(&format!("0::/../../pod{POD}/{ID}/system.slice/a:b.service\n"), Some(ID));
        check(&format!("1:name=systemd:/x\n0::/kubepods/pod{POD}/{ID}\n"), Some(ID));
    }

    #[test]
    fn the_hugetlb_hierarchy_decides_where_there_is_one() {
        let v1 = format!(
            "12:hugetlb:/kubepods/pod{POD}/{ID}\n4:memory:/\n0::/kubepods/pod{POD}/{OTHER}\n"
        );
        check(&v1, Some(ID));
        check(&v1.replace(":hugetlb:", ":misc,hugetlb:"), Some(ID));
        check(&format!("12:hugetlb:/\n0::/kubepods/pod{POD}/{OTHER}\n"), None);
        check(&format!("4:memory:/kubepods/pod{POD}/{ID}\n"), None);
    }

    #[test]
    fn without_cgroups_of_pods_the_id_tells() {
        check(&format!("0::/k8s.io/{ID}\n"), Some(ID));
        check(&format!("0::/system.slice/docker-{ID}.scope/init.scope\n"), Some(ID));
        check(&format!("5:hugetlb:/docker/{OTHER}/kubelet/kubepods/pod{POD}/{ID}\n"), Some(ID));
    }

    #[test]
    fn whoever_is_in_no_container_is_left_out() {
        for cgroups in ["", "0::/\n", "0::/system.slice/docker.service\n", "rubbish", "0::", "0:"] {
            check(cgroups, None);
        }
        check(&format!("0::/kubepods/pod{POD}\n"), None);
        check(&format!("0::/kubepods/pod{POD}/crio-conmon-{ID}\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), path in "[/:.0-9a-z]*") {
            let _ = (container_of(&text), container_of(&format!("0::{path}")));
        }
    }
}
