//! Somebody with a pager: a server on loopback that takes what Alertmanager sends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::{DEADLINE, wait_within};

/// The pager; dropping it turns it off.
pub struct Pager {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Message>>,
    stopping: AtomicBool,
}

/// One alert of a notification.
#[derive(Debug, Clone)]
pub struct Message {
    /// When it came.
    pub at: SystemTime,
    /// To whom.
    pub receiver: Receiver,
    /// The alert, as Alertmanager's webhook has it.
    pub alert: Value,
}

/// For whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// Who is woken.
    Pager,
    /// Who reads it in the morning.
    Tickets,
}

impl Message {
    /// A label's value, empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        self.alert["labels"][name].as_str().unwrap_or_default()
    }

    /// What there is to read.
    pub fn description(&self) -> &str {
        self.alert["annotations"]["description"].as_str().unwrap_or_default()
    }
}

impl Pager {
    /// Turns one on.
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let of_server = Arc::clone(&shared);
        let serving = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if of_server.stopping.load(Ordering::SeqCst) {
                    return;
                }
                // One that breaks off is Alertmanager's business: it sends again.
                if let Ok(messages) = receive(&stream) {
                    of_server.received.lock().expect("the messages").extend(messages);
                }
            }
        });
        Self { address, shared, serving: Some(serving) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The alerts that fire, as they came.
    pub fn received(&self) -> Vec<Message> {
        self.shared.received.lock().expect("the messages").clone()
    }

    /// Waits for an alert about a pod.
    pub fn wait_for(&self, alert: &str, pod: &str, deadline: Duration) -> Message {
        wait_within(&format!("{alert} of {pod}"), deadline, || {
            self.received()
                .into_iter()
                .find(|message| message.label("alertname") == alert && message.label("pod") == pod)
        })
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes it where it waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Takes one notification.
fn receive(stream: &TcpStream) -> io::Result<Vec<Message>> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let at = SystemTime::now();
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let body: Value = serde_json::from_slice(&body)?;
    let receiver = if first.contains("/pager") { Receiver::Pager } else { Receiver::Tickets };
    let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
    let fires = |alert: &Value| alert["status"] == "firing";
    Ok(alerts.into_iter().filter(fires).map(|alert| Message { at, receiver, alert }).collect())
}
