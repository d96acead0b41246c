//! Connections that speak TLS, and those that should.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{CipherSuite, ProtocolVersion};

use super::{Files, TLS};
use crate::harness::tls::{Authority, Client};
use crate::harness::{http, wait_for};

#[test]
fn pages_come_over_tls_and_the_log_says_so() {
    let files = Files::new(TLS);
    let node = files.start_tls();
    assert_eq!(node.agent.get("/metrics").status, 200);
    assert_eq!(node.config_is_up(), Some(1.0));
    let log = node.agent.log();
    let listening = log.iter().find(|line| line.contains("listening")).expect("a line");
    assert!(listening.contains("tls=true") && listening.contains("\"none\""), "{listening}");
    let stream = files.client().connect(node.agent.address()).expect("a connection");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]), "HTTP/2 was offered too");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let old = Client::of_old(&files.authority);
    assert_eq!(old.get(node.agent.address(), "/", "").expect("an answer").status, 200);
    let stranger = Client::new(&Authority::new());
    assert!(stranger.connect(node.agent.address()).is_err(), "the client does look");
}

#[test]
fn plain_http_is_told_to_speak_tls_and_rubbish_gets_nothing() {
    let files = Files::new(TLS);
    let node = files.start_tls();
    let answer = http::get(node.agent.address(), "/metrics");
    assert_eq!((answer.status, answer.text().as_str()), (400, "this port speaks HTTPS\n"));
    for bytes in [&b"\x16\x03\x01\x00\x05hello"[..], b"\x16garbage garbage garbage", b"\0"] {
        let mut stream = http::connect(node.agent.address());
        stream.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        // It may be broken off.
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("hugetlb"), "{answer:?}");
    }
    assert_eq!(node.agent.get("/metrics").status, 200);
}

#[test]
fn versions_suites_and_curves_are_what_is_written() {
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let old = format!("{TLS}  max_version: TLS12\n  cipher_suites: [{suite}]\n");
    let files = Files::new(&old);
    let node = files.start_tls();
    let stream = files.client().connect(node.agent.address()).expect("a connection");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let spoken = stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(spoken, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256));

    let new = format!("{TLS}  min_version: TLS13\n  curve_preferences: [CurveP384]\n");
    let files = Files::new(&new);
    let node = files.start_tls();
    let stream = files.client().connect(node.agent.address()).expect("a connection");
    let group = stream.conn.negotiated_key_exchange_group().map(|group| format!("{group:?}"));
    assert!(group.as_ref().is_some_and(|group| group.contains("secp384r1")), "{group:?}");
    assert!(Client::of_old(&files.authority).connect(node.agent.address()).is_err());
}

#[test]
fn certificate_and_key_may_stand_in_the_file_itself() {
    let files = Files::new("");
    let indented = |name| {
        let text = std::fs::read_to_string(files.path(name)).expect("PEM");
        text.lines().map(|line| format!("    {line}\n")).collect::<String>()
    };
    let (certificate, key) = (indented("server.crt"), indented("server.key"));
    files.write("web.yml", &format!("tls_server_config:\n  cert: |\n{certificate}  key: |\n{key}"));
    assert_eq!(files.start_tls().agent.get("/metrics").status, 200);
}

#[test]
fn those_who_never_shake_hands_keep_nobody_out_and_are_closed() {
    let files = Files::new(TLS);
    let node = files.start_tls();
    let began = Instant::now();
    let silent: Vec<TcpStream> = (0..600).map(|_| http::connect(node.agent.address())).collect();
    assert_eq!(node.agent.get("/metrics").status, 200, "a newcomer is served");
    wait_for("the surplus to be closed", || (node.agent.descriptors() < 512 + 40).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(8), "not by the handshake's time-out");
    wait_for("the handshake's time-out", || (node.agent.descriptors() < 40).then_some(()));
    drop(silent);
}

#[test]
fn the_end_waits_for_no_handshake() {
    let files = Files::new(TLS);
    let mut node = files.start_tls();
    let silent = http::connect(node.agent.address());
    assert_eq!(node.agent.get("/metrics").status, 200, "it was accepted before");
    let began = Instant::now();
    assert!(node.agent.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(silent);
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_is_dropped() {
    let files = Files::new(TLS);
    let node = files.start_tls();
    let mut stream = files.client().connect(node.agent.address()).expect("a connection");
    stream.sock.set_nonblocking(true).expect("set");
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    // Ask, and never read, until the buffers of both sides are full.
    let mut refusal = || loop {
        stream.conn.writer().write_all(request).expect("room for it");
        if let Err(error) = stream.conn.write_tls(&mut stream.sock) {
            return error.kind();
        }
    };
    assert_eq!(refusal(), ErrorKind::WouldBlock, "it is still being served");
    wait_for("the write time-out", || (refusal() != ErrorKind::WouldBlock).then_some(()));
    assert_eq!(node.agent.get("/metrics").status, 200);
}
