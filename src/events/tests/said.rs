//! What an Event says, of whom, and under which name.

use expect_test::expect;

use super::*;

#[test]
fn a_finding_of_a_pod_is_an_event_on_it() {
    let event = event(&finding("db-0")).expect("an event");
    assert_eq!(event.path(Step::Create), "/apis/events.k8s.io/v1/namespaces/prod/events");
    let body = event.body(Step::Create, SystemTime::UNIX_EPOCH);
    expect![[r#"
        {
          "action": "Assess",
          "apiVersion": "events.k8s.io/v1",
          "eventTime": "2023-11-14T22:13:20.250000Z",
          "kind": "Event",
          "metadata": {
            "name": "db-0.cb4bff12cdde6e47",
            "namespace": "prod"
          },
          "note": "It has mapped 200Mi and may touch 128Mi. To do: Set hugepages-2Mi to at least 200Mi.",
          "reason": "WillCrash",
          "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "db-0",
            "namespace": "prod",
            "uid": "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b"
          },
          "reportingController": "hugetlb-exporter",
          "reportingInstance": "node-1",
          "type": "Warning"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&body).expect("JSON"));
    let repeated = event.body(Step::Repeat(3), SystemTime::UNIX_EPOCH + SECOND);
    let series = json!({"count": 3, "lastObservedTime": "1970-01-01T00:00:01.000000Z"});
    assert_eq!(repeated, json!({"series": series}));
    assert!(event.path(Step::Read).ends_with("/prod/events/db-0.cb4bff12cdde6e47"));
}

#[test]
fn one_of_the_node_or_of_a_service_is_an_event_on_the_node() {
    let of_node = Finding { subject: Subject::Node, severity: Severity::Info, ..finding("") };
    let body = event(&of_node).expect("an event").body(Step::Create, SystemTime::UNIX_EPOCH);
    let regarding = json!({"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-1"});
    assert_eq!((&body["regarding"], &body["type"]), (&regarding, &json!("Normal")));
    assert_eq!(body["metadata"]["namespace"], "default");
    let service =
        Finding { subject: Subject::Cgroup("/system.slice/vm".to_owned()), ..of_node.clone() };
    let other = event(&service).expect("an event").body(Step::Create, SystemTime::UNIX_EPOCH);
    assert_eq!(other["regarding"], regarding);
    assert_ne!(other["metadata"]["name"], body["metadata"]["name"]);
    assert_eq!(Event::of(&of_node, None, SystemTime::UNIX_EPOCH, false), None, "which node?");
}

#[test]
fn names_that_no_api_server_knows_are_not_told() {
    for (namespace, pod) in [
        ("", ""),
        ("prod", ""),
        ("prod", "../../nodes/x"),
        ("prod/pods", "db-0"),
        ("prod", "db 0"),
        ("prod", "DB-0"),
        ("prod", "db-0?force=true"),
        ("..", "db-0"),
    ] {
        let who = Identity { namespace: namespace.into(), pod: pod.into(), ..who("") };
        let finding = Finding { subject: Subject::Tenant(who), ..finding("") };
        assert_eq!(event(&finding), None, "{namespace}/{pod}");
    }
    let longest = format!("a{}", ".b".repeat(126));
    let name = event(&finding(&longest)).expect("an event").key().1.to_owned();
    assert!(name.len() <= 253 && !name.contains(".."), "{name}");
}

#[test]
fn the_name_is_the_findings_and_no_figures_are_part_of_it() {
    let name = |finding: &Finding| event(finding).expect("an event").key().1.to_owned();
    let first = finding("db-0");
    let later = Finding { sentence: "Other figures.".to_owned(), ..first.clone() };
    assert_eq!(name(&first), name(&later));
    let better = Finding { severity: Severity::Info, ..first.clone() };
    let another = Finding { name: "idle-grant", ..first.clone() };
    let container = Identity { container: "sidecar".into(), ..who("db-0") };
    let container = Finding { subject: Subject::Tenant(container), ..first.clone() };
    for other in [better, another, container] {
        assert_ne!(name(&first), name(&other), "{other:?}");
    }
}

#[test]
fn a_number_of_a_process_is_told_where_that_is_asked_for() {
    let note = |with| {
        let event = Event::of(&deaths(1), Some(&node()), SystemTime::UNIX_EPOCH, with);
        let body = event.expect("an event").body(Step::Create, SystemTime::UNIX_EPOCH);
        body["note"].as_str().expect("a note").to_owned()
    };
    assert!(note(false).starts_with("Postgres was killed."), "{}", note(false));
    assert!(note(true).starts_with("Postgres (pid 31083) was killed."), "{}", note(true));
}
