//! The network edge, as friends and strangers meet it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;

use crate::harness::agent::{Agent, Start};
use crate::harness::{http, wait_for};
use crate::machine::Machine;

fn agent() -> (Machine, Agent) {
    let machine = Machine::named("seed");
    let agent = Start::new(&machine.flags()).go();
    (machine, agent)
}

fn ask(agent: &Agent, text: &str) -> http::Answer {
    http::request(agent.address(), text)
}

#[test]
fn pages_and_what_is_no_page() {
    let (_machine, agent) = agent();
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/api/v1/view", 200, "application/json"),
        ("/api/v1/incidents", 200, "application/json"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/-/healthy", 200, "text/plain; charset=utf-8"),
        ("/-/ready", 200, "text/plain; charset=utf-8"),
        ("/nothing", 404, "text/plain; charset=utf-8"),
        ("/metrics/", 404, "text/plain; charset=utf-8"),
        ("/metrics?collect[]=x", 200, "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = agent.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(kind)), "{path}");
    }
    assert!(agent.get("/").text().contains("href=\"./metrics\""));
}

#[test]
fn only_get_and_head() {
    let (_machine, agent) = agent();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "STRANGE"] {
        let answer = ask(
            &agent,
            &format!(
                "{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
        );
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let head = ask(&agent, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "{head:?}");
}

#[test]
fn gzip_is_the_same_text() {
    let (_machine, agent) = agent();
    let plain = agent.get("/metrics");
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    let gzip = ask(
        &agent,
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip;q=0.9\r\n\r\n",
    );
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).expect("gzip");
    let names = |text: &str| {
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&text), names(&plain.text()), "the values may be of another poll");
}

#[test]
fn a_connection_is_kept_for_the_next_scrape() {
    let (_machine, agent) = agent();
    let mut stream = http::connect(agent.address());
    for _ in 0..3 {
        stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"ready\n") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "it was closed");
            bytes.extend(byte);
        }
    }
}

#[test]
fn rubbish_is_refused_and_harms_nobody() {
    let (_machine, agent) = agent();
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    for text in ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long] {
        let mut stream = http::connect(agent.address());
        // The refusal may come, and the connection close, before all is sent.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(agent.get("/metrics").status, 200);
}

#[test]
fn past_512_connections_the_longest_silent_one_goes_and_the_newcomer_is_served() {
    let (_machine, agent) = agent();
    let silent: Vec<TcpStream> = (0..600).map(|_| http::connect(agent.address())).collect();
    assert_eq!(agent.get("/metrics").status, 200, "a newcomer is served");
    wait_for("the surplus to be closed", || (agent.descriptors() < 512 + 40).then_some(()));
    assert!(is_closed(&silent[0]), "the first is the longest silent");
    assert!(!is_closed(&silent[599]), "the last is kept");
    drop(silent);
    wait_for("the rest to be closed", || (agent.descriptors() < 40).then_some(()));
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_is_dropped() {
    let (_machine, agent) = agent();
    let mut stream = http::connect(agent.address());
    stream.set_nonblocking(true).expect("set");
    // Ask, and never read, until the buffers of both sides are full.
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    let mut refusal = || {
        // A request cut in half is of no matter: nobody will read the answer.
        loop {
            if let Err(error) = stream.write(request.as_bytes()) {
                return error.kind();
            }
        }
    };
    assert_eq!(refusal(), ErrorKind::WouldBlock, "it is still being served");
    wait_for("the write time-out", || (refusal() != ErrorKind::WouldBlock).then_some(()));
    assert_eq!(agent.get("/metrics").status, 200);
}

fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
