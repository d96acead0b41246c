//! What is believed of the log directories, and what is not.

use super::*;
use proptest::prelude::*;

const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
const OTHER_ID: &str = "057f13dd5abc07c728c5024f4054348d6a264bcb3f6eaf8b1dc23bc2bded8cd4";

fn uid(text: &str) -> PodUid {
    PodUid::from_path(text).expect("a uid")
}

fn id(text: &str) -> ContainerId {
    ContainerId::parse(text).expect("an id")
}

fn index(directories: &[&str], links: &[(&str, &str)]) -> NameIndex {
    let mut index = NameIndex::default();
    for directory in directories {
        index.add_pod_directory(directory);
    }
    for (link, target) in links {
        index.add_container_link(link, target);
    }
    index
}

fn link(pod: &str, namespace: &str, container: &str, id: &str) -> String {
    let stem: String =
        format!("{pod}_{namespace}_{container}-{id}").chars().take(LONGEST_STEM).collect();
    format!("{stem}.log")
}

fn container_of(index: &NameIndex, pod: &str, container: &str) -> Option<(String, u32)> {
    index.container(&uid(pod), &id(container)).map(|found| (found.name.to_string(), found.attempt))
}

#[test]
fn a_pod_and_its_container_are_named() {
    let names = index(
        &["team-a_db-0_u1"],
        &[(&link("db-0", "team-a", "postgres", ID), "/var/log/pods/team-a_db-0_u1/postgres/3.log")],
    );
    let pod = PodName { namespace: "team-a".into(), name: "db-0".into() };
    assert_eq!(names.pod(&uid("u1")), Some(&pod));
    assert_eq!(container_of(&names, "u1", ID), Some(("postgres".into(), 3)));
    assert_eq!(container_of(&names, "u1", OTHER_ID), None);
    assert_eq!(container_of(&names, "u2", ID), None, "an id counts only with its own pod");
}

#[test]
fn links_alone_name_the_pod_too() {
    let names =
        index(&[], &[(&link("db-0", "team-a", "c", ID), "/elsewhere/team-a_db-0_u1/c/0.log")]);
    assert_eq!(names.pod(&uid("u1")).map(|pod| &*pod.name), Some("db-0"));
}

#[test]
fn a_name_cut_at_255_bytes_is_completed_from_the_target() {
    for pod_length in [150, 180, 190, 200, 240, 253] {
        let pod = "p".repeat(pod_length);
        let target = format!("/var/log/pods/default_{pod}_u1/main/0.log");
        let names = index(&[], &[(&link(&pod, "default", "main", ID), &target)]);
        assert_eq!(container_of(&names, "u1", ID), Some(("main".into(), 0)), "{pod_length}");
    }
}

#[test]
fn a_cut_name_that_fits_two_containers_names_neither() {
    let pod = "p".repeat(253);
    let targets =
        ["a", "b"].map(|container| format!("/var/log/pods/default_{pod}_u1/{container}/0.log"));
    let links = ["a", "b"].map(|container| link(&pod, "default", container, ID));
    let pairs: Vec<_> =
        links.iter().map(String::as_str).zip(targets.iter().map(String::as_str)).collect();
    assert_eq!(container_of(&index(&[], &pairs), "u1", ID), None);
}

#[test]
fn several_instances_of_one_container_are_told_apart_by_id() {
    let names = index(
        &[],
        &[
            (&link("db", "ns", "c", ID), "/var/log/pods/ns_db_u1/c/0.log"),
            (&link("db", "ns", "c", OTHER_ID), "/var/log/pods/ns_db_u1/c/1.log"),
        ],
    );
    assert_eq!(container_of(&names, "u1", ID), Some(("c".into(), 0)));
    assert_eq!(container_of(&names, "u1", OTHER_ID), Some(("c".into(), 1)));
}

#[test]
fn the_one_that_is_started_again_is_known_where_no_other_can_be_it() {
    let ids = ["a", "b", "c", "d"].map(|digit| digit.repeat(64));
    let restarting = |links: &[(&str, usize, u32)], settled: &[usize]| {
        let links: Vec<(String, String)> = links
            .iter()
            .map(|(name, id, attempt)| {
                let target = format!("/var/log/pods/ns_db_u1/{name}/{attempt}.log");
                (link("db", "ns", name, &ids[*id]), target)
            })
            .collect();
        let links: Vec<_> = links.iter().map(|(link, to)| (link.as_str(), to.as_str())).collect();
        let names = index(&[], &links);
        let is_settled = |start: &str| settled.iter().any(|it| ids[*it].starts_with(start));
        names.restarting(&uid("u1"), is_settled).map(|it| it.name.to_string())
    };
    let of = |name: &str| Some(name.to_owned());
    assert_eq!(restarting(&[], &[]), None);
    assert_eq!(restarting(&[("db", 0, 0)], &[]), of("db"), "the only one");
    assert_eq!(restarting(&[("db", 0, 3), ("db", 1, 4)], &[]), of("db"));
    assert_eq!(restarting(&[("db", 0, 3), ("db", 1, 4)], &[1]), of("db"), "there is no other");
    assert_eq!(restarting(&[("db", 0, 1), ("side", 1, 7)], &[1]), of("db"), "its sibling runs");
    assert_eq!(restarting(&[("db", 0, 1), ("side", 1, 7)], &[0, 1]), None, "both run");
    assert_eq!(restarting(&[("init", 0, 0), ("db", 1, 1)], &[]), of("db"), "init is done");
    assert_eq!(restarting(&[("init", 0, 0), ("db", 1, 0)], &[]), None, "not known yet");
    assert_eq!(restarting(&[("one", 0, 1), ("other", 1, 1)], &[]), None, "either of them");
}

#[test]
fn what_contradicts_itself_is_not_believed() {
    let names = index(
        &["prod_db_u1", "evil_x_u1"],
        &[
            (&link("db", "prod", "real", ID), "/var/log/pods/prod_db_u1/real/0.log"),
            (&link("db", "prod", "fake", ID), "/var/log/pods/prod_db_u1/fake/0.log"),
        ],
    );
    assert_eq!(names.pod(&uid("u1")), None);
    assert_eq!(container_of(&names, "u1", ID), None);
    assert_eq!(names.disputed().collect::<Vec<_>>(), [&uid("u1")]);
}

#[test]
fn entries_that_no_kubelet_writes_are_passed_over() {
    for directory in [
        "", "a", "a_b", "a_b_", "A_b_u", "a_b c_u", "a\n_b_u", "-a_b_u", "a_b-_u", "_b_u",
        "a_b\"_u", "a_.b_u",
    ] {
        assert!(index(&[directory], &[]).pods.is_empty(), "{directory:?}");
    }
    let good = link("db", "ns", "c", ID);
    for (link, target) in [
        (good.as_str(), "/var/log/pods/ns_other_u1/c/0.log"),
        (&good, "/var/log/pods/other_db_u1/c/0.log"),
        (&good, "/var/log/pods/ns_db_u1/d/0.log"),
        (&good, "/var/log/pods/ns_db_u1/c/x.log"),
        (&good, "/var/log/pods/ns_db_u1/c/0.log.gz"),
        (&good, "0.log"),
        (&good, ""),
        ("db_ns_c-.log", "/var/log/pods/ns_db_u1/c/0.log"),
        ("db_ns_c-46.log", "/var/log/pods/ns_db_u1/c/0.log"),
        ("db_ns_c-46", "/var/log/pods/ns_db_u1/c/0.log"),
        (".log", "/var/log/pods/ns_db_u1/c/0.log"),
    ] {
        assert!(index(&[], &[(link, target)]).containers.is_empty(), "{link:?} -> {target:?}");
    }
}

#[test]
fn systemds_spelling_of_a_uid_is_the_logs_spelling() {
    let names = index(&["ns_db_9cce6226-b6f8-45de-a5d8-ced23cc58b11"], &[]);
    assert!(names.pod(&uid("9cce6226_b6f8_45de_a5d8_ced23cc58b11")).is_some());
}

/// What the kubelet says of one pod with one container.
fn told(pod: (&str, &str, &str), container: (&str, &str, u32)) -> Arc<ToldNames> {
    let mut told = ToldNames::default();
    told.add_pod(uid(pod.0), PodName::new(pod.1, pod.2).expect("a name"));
    told.add_container(uid(pod.0), id(container.0), container.1, container.2, Runtime::Containerd);
    Arc::new(told)
}

#[test]
fn the_kubelet_fills_in_what_the_logs_do_not_tell() {
    let names = index(
        &["team-a_db-0_u1"],
        &[(&link("db-0", "team-a", "c", ID), "/var/log/pods/team-a_db-0_u1/c/0.log")],
    );
    let names = names.with_told(told(("u2", "kube-system", "etcd-n1"), (OTHER_ID, "etcd", 4)));
    assert_eq!(names.pod(&uid("u1")).map(|pod| &*pod.name), Some("db-0"));
    assert_eq!(container_of(&names, "u1", ID), Some(("c".into(), 0)));
    assert_eq!(names.pod(&uid("u2")).map(|pod| &*pod.name), Some("etcd-n1"));
    assert_eq!(container_of(&names, "u2", OTHER_ID), Some(("etcd".into(), 4)));
    assert_eq!(names.runtime(&uid("u2"), &id(OTHER_ID)), Some(Runtime::Containerd));
    assert_eq!(
        names.runtime(&uid("u1"), &id(OTHER_ID)),
        None,
        "an id counts only with its own pod"
    );
    assert_eq!(container_of(&names, "u1", OTHER_ID), None, "an id counts only with its own pod");
    assert_eq!((names.is_told(&uid("u1")), names.is_told(&uid("u2"))), (false, true));
    let again = names.restarting(&uid("u2"), |_| false);
    assert_eq!(again.map(|it| (&*it.name, it.attempt)), Some(("etcd", 4)));
}

#[test]
fn the_kubelets_word_outweighs_the_logs() {
    let links = [(link("x", "evil", "fake", ID), "/var/log/pods/evil_x_u1/fake/7.log")];
    let links: Vec<_> = links.iter().map(|(link, target)| (link.as_str(), *target)).collect();
    for directories in [&["evil_x_u1"][..], &["evil_x_u1", "prod_db_u1"]] {
        let names = index(directories, &links).with_told(told(("u1", "prod", "db"), (ID, "pg", 1)));
        assert_eq!(names.pod(&uid("u1")), PodName::new("prod", "db").as_ref());
        assert_eq!(container_of(&names, "u1", ID), Some(("pg".into(), 1)));
    }
}

#[test]
fn names_that_kubernetes_would_not_accept_are_not_told_either() {
    assert_eq!(PodName::new("ns", "a\"b"), None);
    assert_eq!(PodName::new("", "a"), None);
    let names = NameIndex::default().with_told(told(("u1", "ns", "db"), (ID, "a\nb", 0)));
    assert_eq!(container_of(&names, "u1", ID), None);
}

proptest! {
    #[test]
    fn no_entry_panics(directory in "\\PC*", link in "\\PC*", target in "\\PC*") {
        let mut index = NameIndex::default();
        index.add_pod_directory(&directory);
        index.add_container_link(&link, &target);
        index.add_container_link(&format!("{link}.log"), &format!("/{directory}/{target}/0.log"));
    }
}
