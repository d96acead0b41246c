//! Which cgroup a process is in, `/proc/PID/cgroup`.
//!
//! ```text
//! 0::/kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope     v2
//! 0::/                                                                    the same, seen from its own cgroup namespace
//! 5:hugetlb:/kubepods/pod<uid>/<id>                                       v1
//! ```

use crate::snapshot::CgroupVersion;

/// The version and the path of the cgroup that a process's huge pages are charged to: on v1 and on hybrids in a
/// hierarchy of its own, else in the unified one.
pub(super) fn hugetlb_cgroup(text: &str) -> Option<(CgroupVersion, &str)> {
    let path_if = |wanted: fn(&str, &str) -> bool| {
        text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(hierarchy, controllers).then_some(path)
        })
    };
    let v1 = path_if(|_, controllers| controllers.split(',').any(|name| name == "hugetlb"));
    let v2 = || path_if(|hierarchy, _| hierarchy == "0").map(|path| (CgroupVersion::V2, path));
    v1.map(|path| (CgroupVersion::V1, path)).or_else(v2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hugetlb_hierarchy_decides_where_there_is_one() {
        let v1 = "12:hugetlb:/a\n4:memory:/b\n0::/c\n";
        assert_eq!(hugetlb_cgroup(v1), Some((CgroupVersion::V1, "/a")));
        assert_eq!(
            hugetlb_cgroup(&v1.replace(":hugetlb:", ":misc,hugetlb:")),
            Some((CgroupVersion::V1, "/a"))
        );
        assert_eq!(hugetlb_cgroup("4:memory:/b\n0::/c:d\n"), Some((CgroupVersion::V2, "/c:d")));
        for text in ["", "rubbish", "0::", "4:memory:/b\n"] {
            let expected = (text == "0::").then_some((CgroupVersion::V2, ""));
            assert_eq!(hugetlb_cgroup(text), expected, "{text:?}");
        }
    }
}
