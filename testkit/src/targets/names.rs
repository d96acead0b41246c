//! Cgroup paths and the kubelet's log directories.
//!
//! ```text
//! c /kubepods/pod<uid>/<id>                                             a cgroup
//! d default_db-0_<uid>                                                  a directory in /var/log/pods
//! l db-0_default_pg-<id>.log -> /var/log/pods/default_db-0_<uid>/pg/0.log  a link in /var/log/containers
//! ```

use hugetlb_exporter::fuzzing::{NameIndex, Owner};

/// Tells each cgroup's owner, and its names by the directories and links.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let index = index_of(text.lines());
    // A directory is listed in any order, and more than once while entries come and go.
    let otherwise = index_of(text.lines().rev().chain(text.lines()));
    for path in text.lines().filter_map(|line| line.strip_prefix("c ")) {
        let owner = Owner::of(path);
        check_place(path, &owner);
        let pod = match &owner {
            Owner::Pod(pod) => pod,
            Owner::Container(container) => {
                let (uid, id) = (&container.pod.uid, &container.id);
                let name = index.container(uid, id);
                assert_eq!(name, otherwise.container(uid, id));
                assert!(name.is_none_or(|name| is_plain(&name.name, 63)));
                assert!(path.contains(id.as_str()) && id.as_str().len() == 64);
                &container.pod
            }
            _ => continue,
        };
        let name = index.pod(&pod.uid);
        assert_eq!(name, otherwise.pod(&pod.uid));
        assert!(name.is_none_or(|name| is_plain(&name.namespace, 63) && is_plain(&name.name, 253)));
        let uid = pod.uid.as_str();
        assert!(!uid.is_empty() && path.replace('_', "-").contains(&uid.replace('_', "-")));
    }
}

/// What lies around and below a cgroup does not make it another's.
fn check_place(path: &str, owner: &Owner) {
    assert_eq!(*owner, Owner::of(&path.replace('/', "//")));
    match owner {
        Owner::Container(_) => {
            assert_eq!(Owner::of(&format!("{path}/system.slice")), Owner::InsideContainer);
            assert_eq!(Owner::of(&format!("{path}/a/b")), Owner::InsideContainer);
        }
        Owner::InsideContainer => {
            assert_eq!(Owner::of(&format!("{path}/a")), Owner::InsideContainer);
        }
        Owner::Pod(_) => {
            let inside = Owner::of(&format!("{path}/kata_overhead"));
            assert!(matches!(inside, Owner::PodInfrastructure(_)), "{inside:?}");
        }
        _ => {}
    }
}

fn index_of<'a>(lines: impl Iterator<Item = &'a str>) -> NameIndex {
    let mut index = NameIndex::default();
    for line in lines {
        if let Some(directory) = line.strip_prefix("d ") {
            index.add_pod_directory(directory);
        } else if let Some((link, target)) =
            line.strip_prefix("l ").and_then(|rest| rest.split_once(" -> "))
        {
            index.add_container_link(link, target);
        }
    }
    index
}

/// Whether Kubernetes would take it for a name.
fn is_plain(name: &str, longest: usize) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=longest).contains(&name.len()) && name.bytes().all(plain)
}
