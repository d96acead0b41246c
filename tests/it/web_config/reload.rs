//! Files that change while clients are served.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use super::{Files, Node, TLS};
use crate::harness::tls::{Identity, Stream};
use crate::harness::{http, wait_for};

/// Whether a new connection is shown that certificate.
fn shows(files: &Files, node: &Node, identity: &Identity) -> bool {
    let stream = files.client().connect(node.agent.address()).expect("a connection");
    stream.conn.peer_certificates() == Some(&[identity.certificate()])
}

fn is_served(stream: &mut Stream) -> bool {
    stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"ready\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        bytes.extend(byte);
    }
    bytes.starts_with(b"HTTP/1.1 200 ")
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let files = Files::new(TLS);
    // As Kubernetes mounts a Secret: names lead through a link that is swapped.
    let renewed = files.authority.sign(&["127.0.0.1"]);
    fs::create_dir(files.path("..1")).expect("a directory");
    fs::create_dir(files.path("..2")).expect("a directory");
    for name in ["server.crt", "server.key"] {
        fs::rename(files.path(name), files.path("..1").join(name)).expect("moved");
        symlink(format!("..data/{name}"), files.path(name)).expect("a link");
    }
    symlink("..1", files.path("..data")).expect("a link");
    fs::write(files.path("..2/server.crt"), &renewed.certificate).expect("written");
    fs::write(files.path("..2/server.key"), &renewed.key).expect("written");
    let node = files.start_tls();
    let mut old = files.client().connect(node.agent.address()).expect("a connection");
    assert!(is_served(&mut old));

    symlink("..2", files.path("..data_tmp")).expect("a link");
    fs::rename(files.path("..data_tmp"), files.path("..data")).expect("swapped");
    wait_for("the new certificate", || shows(&files, &node, &renewed).then_some(()));
    assert!(is_served(&mut old), "a connection that is there stays");
    assert_eq!(node.config_is_up(), Some(1.0));
    let anew = |line: &&String| line.contains("was read anew");
    assert_eq!(node.agent.log().iter().filter(anew).count(), 1, "{:?}", node.agent.log());
}

#[test]
fn what_is_wrong_leaves_the_last_good_in_force_and_is_told_once() {
    let files = Files::new(TLS);
    let node = files.start_tls();
    let key = fs::read_to_string(files.path("server.key")).expect("a key");
    let renewed = files.authority.sign(&["127.0.0.1"]);
    // Certificate and key are written one after the other; so far they do not fit.
    files.write("server.key", &renewed.key);
    wait_for("the metric", || (node.config_is_up() == Some(0.0)).then_some(()));
    assert_eq!(node.agent.get("/metrics").status, 200, "with the old one");
    let complaints = || {
        let log = node.agent.log();
        let down = |line: &String| line.contains("source is down") && line.contains("web-config");
        log.into_iter().filter(down).collect::<Vec<_>>()
    };
    let [complaint] = &complaints()[..] else { panic!("{:?}", node.agent.log()) };
    for part in ["web.yml", "key_file", "server.key", "does not belong", "stays in force"] {
        assert!(complaint.contains(part), "{part:?} is not in {complaint:?}");
    }
    // While it is tried again and again.
    node.agent.after_polls(25.0);
    assert_eq!(complaints().len(), 1);

    files.write("server.crt", &renewed.certificate);
    wait_for("the new certificate", || shows(&files, &node, &renewed).then_some(()));
    wait_for("the metric", || (node.config_is_up() == Some(1.0)).then_some(()));
    let log = node.agent.log();
    assert!(log.iter().any(|line| line.contains("up again") && line.contains("web-config")));

    files.write("web.yml", "tls_server_config: [");
    wait_for("the metric", || (node.config_is_up() == Some(0.0)).then_some(()));
    assert_eq!(complaints().len(), 2);
    files.write("web.yml", TLS);
    wait_for("the metric", || (node.config_is_up() == Some(1.0)).then_some(()));

    fs::remove_file(files.path("server.key")).expect("removed");
    wait_for("the metric", || (node.config_is_up() == Some(0.0)).then_some(()));
    assert!(complaints()[2].contains("can't read"), "{:?}", complaints());
    assert!(shows(&files, &node, &renewed));
    assert_ne!(key, renewed.key);
}

#[test]
fn passwords_change_and_never_vanish() {
    let users = |password: &str| {
        format!("basic_auth_users:\n  ann: {}\n", bcrypt::hash(password, 4).expect("a hash"))
    };
    let status = |node: &Node, encoded: &str| {
        http::request(
            node.agent.address(),
            &format!(
                "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {encoded}\r\n\r\n"
            ),
        )
        .status
    };
    // ann:old, ann:new
    let (old, new) = ("YW5uOm9sZA==", "YW5uOm5ldw==");
    let files = Files::new(&users("old"));
    let node = files.start();
    assert_eq!((status(&node, old), status(&node, new)), (200, 401));
    files.write("web.yml", &users("new"));
    wait_for("the new password", || (status(&node, new) == 200).then_some(()));
    assert_eq!(status(&node, old), 401, "what was known is forgotten");

    let down = |part: &str| {
        let log = node.agent.log();
        log.iter().any(|line| line.contains("source is down") && line.contains(part))
    };
    files.write("web.yml", "");
    wait_for("the complaint", || down("they are gone").then_some(()));
    assert_eq!(node.agent.get("/metrics").status, 401, "an empty file opens nothing");
    files.write("web.yml", &users("new"));
    let mended = || node.agent.log().iter().any(|line| line.contains("source is up again"));
    wait_for("it to be well again", || mended().then_some(()));
    files.write("web.yml", &format!("{TLS}{}", users("new")));
    wait_for("the complaint", || down("it is new").then_some(()));
    assert_eq!(status(&node, new), 200, "TLS is not turned on under a client's feet");
}
