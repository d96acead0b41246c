//! Asks for `/metrics` again and again over one connection, as Prometheus does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);

/// A kept connection.
pub struct Scraper {
    stream: BufReader<TcpStream>,
}

impl Scraper {
    /// Connects, to one that has just been started and may not listen yet.
    pub fn new(address: SocketAddr) -> Self {
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < DEADLINE, "{address}: {error}"),
            }
        };
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::new(stream) }
    }

    /// Scrapes once, and tells the length of the gzipped body.
    pub fn scrape(&mut self) -> usize {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
        self.stream.get_mut().write_all(request).expect("sent");
        let head: Vec<String> =
            std::iter::from_fn(|| Some(self.line())).take_while(|line| !line.is_empty()).collect();
        assert!(head.first().is_some_and(|status| status.ends_with(" 200 OK")), "{head:?}");
        let header = |wanted: &str| {
            let headers = head.iter().filter_map(|line| line.split_once(": "));
            let named = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case(wanted);
            headers.into_iter().find(named).map(|(_, value)| value)
        };
        assert_eq!(header("content-encoding"), Some("gzip"));
        match header("content-length") {
            Some(length) => self.skip(length.parse().expect("a length")),
            None => self.chunks(),
        }
    }

    /// A body whose length was not known beforehand.
    fn chunks(&mut self) -> usize {
        let mut total = 0;
        loop {
            let length = usize::from_str_radix(&self.line(), 16).expect("a length");
            total += self.skip(length);
            self.line();
            if length == 0 {
                return total;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn skip(&mut self, length: usize) -> usize {
        self.stream.read_exact(&mut vec![0; length]).expect("all of it");
        length
    }
}
