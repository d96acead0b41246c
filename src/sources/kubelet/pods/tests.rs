//! What is taken from an answer of the kubelet's, and what only costs itself.

use super::*;
use crate::identity::{ContainerId, NameIndex};
use crate::snapshot::Health;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
const HASH: &str = "2b0e32d698ab7a49615a841b3d5b7ebd";

fn uid(text: &str) -> PodUid {
    PodUid::from_path(text).expect("a uid")
}

fn pod(uid: &str, name: &str) -> Value {
    json!({"metadata": {"uid": uid, "namespace": "ns", "name": name}})
}

fn answer(pods: &[Value]) -> Answer {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods});
    read(list.to_string().as_bytes()).expect("a list")
}

fn uids(answer: &Answer) -> Vec<&str> {
    answer.declared.pods.iter().map(|pod| pod.uid.as_str()).collect()
}

#[track_caller]
fn problem(answer: Answer) -> String {
    match answer.problems.into_health() {
        Health::Down(problem) => problem,
        Health::Up | Health::Missing(_) => panic!("no problem"),
    }
}

#[test]
fn a_pod_is_taken_in_with_its_limits_and_containers() {
    let postgres = json!({
        "metadata": {"uid": "u1", "namespace": "prod", "name": "db-0", "labels": {"a": "b"}},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "pg", "resources": {"limits": {"hugepages-2Mi": "128Mi"}}}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "pg", "containerID": format!("containerd://{ID}"), "restartCount": 3},
            ],
            "initContainerStatuses": [{"name": "init", "containerID": "", "restartCount": 0}],
            "ephemeralContainerStatuses": [{"name": "debug"}],
        },
    });
    let answer = answer(&[pod("u2", "other"), postgres]);
    assert_eq!(uids(&answer), ["u1", "u2"], "by uid");
    let pod = answer.declared.pod(&uid("u1")).expect("the pod");
    assert_eq!(pod.name, PodName::new("prod", "db-0").expect("a name"));
    let size = PageSize::from_bytes(2 << 20).expect("a size");
    assert_eq!((pod.limit(size), pod.limits.len()), (Bytes(128 << 20), 1));
    let containers: Vec<_> = pod
        .containers
        .iter()
        .map(|found| (found.name.as_str(), found.id.is_some(), found.runtime, found.attempt))
        .collect();
    let unknown = Runtime::Unknown;
    assert_eq!(
        containers,
        [
            ("init", false, unknown, 0),
            ("pg", true, Runtime::Containerd, 3),
            ("debug", false, unknown, 0)
        ]
    );
    let names = NameIndex::default().with_told(Arc::new(answer.names));
    let id = ContainerId::parse(ID).expect("an id");
    let container = names.container(&uid("u1"), &id).expect("its name");
    assert_eq!((&*container.name, container.attempt), ("pg", 3));
    assert_eq!(answer.problems.into_health(), Health::Up);
}

#[test]
fn a_static_pod_has_the_uid_of_its_cgroup() {
    let annotated = |source: Option<&str>| {
        let mut pod = pod("mirror-uid", "etcd-n1");
        let source = source.map(|source| ("kubernetes.io/config.source", source));
        let annotations: std::collections::BTreeMap<_, _> =
            source.into_iter().chain([("kubernetes.io/config.hash", HASH), ("x", "y")]).collect();
        pod["metadata"]["annotations"] = json!(annotations);
        pod
    };
    assert_eq!(uids(&answer(&[annotated(Some("file"))])), [HASH]);
    assert_eq!(uids(&answer(&[annotated(Some("http"))])), [HASH]);
    // Anyone who may make a pod may write a hash on it, and would take another's place.
    assert_eq!(uids(&answer(&[annotated(Some("api"))])), ["mirror-uid"]);
    assert_eq!(uids(&answer(&[annotated(None)])), ["mirror-uid"]);
    let both = answer(&[annotated(Some("file")), pod(HASH, "etcd-n1")]);
    assert_eq!(uids(&both), [HASH], "the pod and its mirror are one");
    assert_eq!(both.problems.into_health(), Health::Up);
}

#[test]
fn a_pod_that_is_not_understood_costs_only_itself() {
    let good = pod("u1", "good");
    for bad in [
        json!(null),
        json!(7),
        json!({}),
        json!({"metadata": {"name": "x", "namespace": "ns"}}),
        json!({"metadata": {"uid": "", "name": "x", "namespace": "ns"}}),
        json!({"metadata": {"uid": "a\nb", "name": "x", "namespace": "ns"}}),
        json!({"metadata": {"uid": "u".repeat(1000), "name": "x", "namespace": "ns"}}),
        json!({"metadata": {"uid": "u2", "name": "\"x\"", "namespace": "ns"}}),
        json!({"metadata": {"uid": "u2", "name": "x", "namespace": "n_s"}}),
        json!({"metadata": {"uid": "u2", "name": "x", "namespace": "ns"}, "spec": 1}),
        json!({"metadata": {"uid": "u2", "name": "x", "namespace": "ns"},
               "status": {"containerStatuses": [{"name": "c", "restartCount": -1}]}}),
    ] {
        let answer = answer(&[bad.clone(), good.clone()]);
        assert_eq!(uids(&answer), ["u1"], "{bad}");
        let problem = problem(answer);
        assert!(problem.starts_with("the pod at 0 is not understood: "), "{bad}: {problem}");
    }
}

#[test]
fn nothing_is_said_of_limits_that_are_not_understood_but_names_are() {
    let mut odd = pod("u1", "odd");
    odd["spec"] = json!({"containers": [{"resources": {"limits": {"hugepages-2Mi": "lots"}}}]});
    let answer = answer(&[odd, pod("u2", "good")]);
    assert_eq!(uids(&answer), ["u2"]);
    let names = NameIndex::default().with_told(Arc::new(answer.names.clone()));
    assert!(names.pod(&uid("u1")).is_some());
    let problem = problem(answer);
    assert!(problem.contains("ns/odd") && problem.contains("\"lots\""), "{problem}");
}

#[test]
fn of_two_pods_with_one_uid_neither_is_believed() {
    let answer = answer(&[pod("u1", "a"), pod("u1", "b"), pod("u1", "a"), pod("u2", "c")]);
    assert_eq!(uids(&answer), ["u2"]);
    assert!(problem(answer).contains("uid u1"));
}

#[test]
fn an_empty_node_and_what_is_no_list() {
    for text in ["{\"items\":[]}", "{\"kind\":\"PodList\",\"items\":null}"] {
        let answer = read(text.as_bytes()).expect(text);
        assert_eq!((uids(&answer).len(), answer.problems.into_health()), (0, Health::Up));
    }
    for (text, part) in [
        ("", "no list of pods"),
        ("<html>", "no list of pods"),
        ("{\"items\":[", "no list of pods"),
        ("{\"items\":7}", "no list of pods"),
        ("[]", "no list of pods"),
        ("{}", "expected a PodList"),
        ("{\"kind\":\"Status\"}", "is a Status"),
    ] {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(read(&[0xff, 0xfe]).is_err());
    let deep = format!("{{\"items\":[{}]}}", "[".repeat(100_000));
    assert!(read(deep.as_bytes()).is_err());
}

/// JSON of any shape, with names that matter here.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9.]{1,20}[KMGTPE]?i?".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "kind",
        "items",
        "metadata",
        "uid",
        "name",
        "namespace",
        "annotations",
        "spec",
        "status",
        "containers",
        "initContainers",
        "restartPolicy",
        "resources",
        "limits",
        "requests",
        "overhead",
        "hugepages-2Mi",
        "hugepages-1Gi",
        "containerStatuses",
        "containerID",
        "restartCount",
        "kubernetes.io/config.hash",
        "kubernetes.io/config.source",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

#[test]
fn a_list_that_never_ends_is_given_up() {
    let of = |many: usize| {
        let items = vec!["0"; many].join(",");
        read(format!(r#"{{"kind":"PodList","items":[{items}]}}"#).as_bytes())
    };
    assert!(problem(of(10_000).expect("a list")).contains("(and 9999 more)"));
    let error = of(10_001).expect_err("too many").to_string();
    assert!(error.contains("more than 10000 items"), "{error}");
    assert!(of(5_000_000).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC*") {
        let _ = (read(&bytes), read(text.as_bytes()));
    }

    #[test]
    fn no_json_panics(
        value in any_json(),
        spec in any_json(),
        status in any_json(),
        annotations in any_json(),
    ) {
        let _ = read(value.to_string().as_bytes());
        let mut pod = pod("u1", "x");
        pod["spec"] = spec;
        pod["status"] = status;
        pod["metadata"]["annotations"] = annotations;
        let answer = answer(&[value, pod, self::pod("u3", "good")]);
        prop_assert!(uids(&answer).contains(&"u3"));
    }
}
