//! Who is let in: passwords, certificates; and what every answer has in its head.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Files, Node, TLS};
use crate::harness::http::{self, Answer};
use crate::harness::tls::{Authority, Client};

fn users() -> String {
    let hash = |password| bcrypt::hash(password, 4).expect("a hash");
    let (ann, bob) = (hash("open sesame"), hash("zürich"));
    format!("basic_auth_users:\n  ann: {ann}\n  bob: {bob}\n")
}

fn get(node: &Node, path: &str, credentials: &str) -> Answer {
    let encoded = BASE64_STANDARD.encode(credentials);
    http::request(
        node.agent.address(),
        &format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {encoded}\r\n\r\n"
        ),
    )
}

#[test]
fn pages_are_shown_to_those_who_know_a_password_and_health_to_all() {
    let node = Files::new(&users()).start();
    // Twice: the second time the right ones are known.
    for _ in 0..2 {
        for (credentials, status) in [
            ("ann:open sesame", 200),
            ("bob:zürich", 200),
            ("ann:zürich", 401),
            ("ann:", 401),
            ("ann", 401),
            ("eve:open sesame", 401),
            ("", 401),
        ] {
            for path in ["/metrics", "/"] {
                assert_eq!(get(&node, path, credentials).status, status, "{credentials} {path}");
            }
            let missing = if status == 200 { 404 } else { 401 };
            assert_eq!(get(&node, "/nothing", credentials).status, missing, "{credentials}");
        }
    }
    let refused = node.agent.get("/metrics");
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.is_some_and(|challenge| challenge.starts_with("Basic ")), "{challenge:?}");
    assert!(!refused.text().contains("hugetlb"), "{}", refused.text());
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(node.agent.get(path).status, 200, "{path}");
    }
    for path in ["/-/healthy/", "//-/healthy", "/metrics?/-/healthy", "/-/healthy/../../metrics"] {
        assert_eq!(node.agent.get(path).status, 401, "{path}");
    }
    let log = node.agent.log();
    let listening = log.iter().find(|line| line.contains("listening")).expect("a line");
    assert!(listening.contains("tls=false") && listening.contains("\"password\""), "{listening}");
    assert!(log.iter().any(|line| line.contains("without TLS")), "{log:?}");
}

#[test]
fn every_answer_has_the_headers_that_are_set() {
    let config = "\
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    Content-Security-Policy: default-src 'self'
    Strict-Transport-Security: ''
";
    let node = Files::new(&format!("{config}{}", users())).start();
    for answer in [
        get(&node, "/metrics", "ann:open sesame"),
        get(&node, "/nothing", "ann:open sesame"),
        node.agent.get("/metrics"),
        node.agent.get("/-/healthy"),
    ] {
        assert_eq!(answer.header("x-frame-options"), Some("deny"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"));
        assert_eq!(answer.header("strict-transport-security"), None, "blank is not set");
    }
}

/// What a client gets.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Pages,
    /// 403, and the health checks all the same.
    HealthAlone,
    NoConnection,
}

fn got(client: &Client, node: &Node) -> Got {
    let status = |answer: io::Result<Answer>| answer.ok().map(|answer| answer.status);
    let ask = |path| status(client.get(node.agent.address(), path, ""));
    match (ask("/metrics"), ask("/-/healthy"), ask("/")) {
        (Some(200), Some(200), Some(200)) => Got::Pages,
        (Some(403), Some(200), Some(403)) => Got::HealthAlone,
        (None, None, None) => Got::NoConnection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn certificates_are_asked_of_clients_as_is_written() {
    let friends = Authority::new();
    for (kind, without, of_a_stranger, of_a_friend) in [
        ("NoClientCert", Got::Pages, Got::Pages, Got::Pages),
        ("RequestClientCert", Got::Pages, Got::Pages, Got::Pages),
        ("RequireAnyClientCert", Got::HealthAlone, Got::Pages, Got::Pages),
        ("VerifyClientCertIfGiven", Got::Pages, Got::NoConnection, Got::Pages),
        ("RequireAndVerifyClientCert", Got::HealthAlone, Got::NoConnection, Got::Pages),
    ] {
        let authority =
            if kind.contains("Verify") { "  client_ca_file: friends.crt\n" } else { "" };
        let files = Files::new(&format!("{TLS}  client_auth_type: {kind}\n{authority}"));
        files.write("friends.crt", &friends.pem);
        let node = files.start_tls();
        let showing = |identity| Client::showing(&files.authority, &identity);
        assert_eq!(got(&files.client(), &node), without, "{kind}");
        let stranger = showing(Authority::new().sign(&["scraper"]));
        assert_eq!(got(&stranger, &node), of_a_stranger, "{kind}");
        let friend = showing(friends.sign(&["scraper"]));
        assert_eq!(got(&friend, &node), of_a_friend, "{kind}");
        assert_eq!(got(&friend, &node), of_a_friend, "{kind}, a second time");
    }
}

#[test]
fn a_client_must_have_one_of_the_names_that_are_allowed() {
    let friends = Authority::new();
    let files = Files::new(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: friends.crt\n  \
         client_allowed_sans: [prometheus.my.example, 10.1.2.3]\n"
    ));
    files.write("friends.crt", &friends.pem);
    let node = files.start_tls();
    for (names, expected) in [
        (&["prometheus.my.example"][..], Got::Pages),
        (&["other.example", "prometheus.my.example"], Got::Pages),
        (&["10.1.2.3"], Got::Pages),
        (&["10.1.2.4"], Got::NoConnection),
        (&["a.prometheus.my.example"], Got::NoConnection),
        (&["*.my.example"], Got::NoConnection),
        (&[], Got::NoConnection),
    ] {
        let client = Client::showing(&files.authority, &friends.sign(names));
        assert_eq!(got(&client, &node), expected, "{names:?}");
    }
    assert_eq!(got(&files.client(), &node), Got::HealthAlone);
}

#[test]
fn a_certificate_does_not_stand_for_a_password() {
    let files = Files::new(&format!("{TLS}  client_auth_type: RequireAnyClientCert\n{}", users()));
    let node = files.start_tls();
    let identity = Authority::new().sign(&["scraper"]);
    let password =
        format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode("ann:open sesame"));
    for (client, headers, status) in [
        (files.client(), "", 403),
        (files.client(), password.as_str(), 403),
        (Client::showing(&files.authority, &identity), "", 401),
        (Client::showing(&files.authority, &identity), &password, 200),
    ] {
        let answer = client.get(node.agent.address(), "/metrics", headers).expect("an answer");
        assert_eq!(answer.status, status);
    }
    let log = node.agent.log();
    assert!(log.iter().any(|line| line.contains("\"password and certificate\"")), "{log:?}");
}
