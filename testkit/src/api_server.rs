//! A made-up API server: a server on loopback that keeps Events as the real one does, or says what it is told to say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::DEADLINE;
use super::kubelet::{HOST, Says, certificates};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/";

/// A request, and when it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST` or `PATCH`.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its header `Content-Type`.
    pub kind: String,
    /// The token.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Value,
    /// When it came.
    pub at: Instant,
}

/// The API server. Its files, a token and its authority's certificate, go with it.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
    files: tempfile::TempDir,
}

struct Shared {
    /// What it says to everything; nothing where it does its work.
    says: Mutex<Option<Says>>,
    /// The only token that is good, if not any.
    accepts: Mutex<Option<String>>,
    requests: Mutex<Vec<Request>>,
    /// By namespace and name.
    events: Mutex<BTreeMap<(String, String), Value>>,
    /// Namespaces that are being deleted.
    terminating: Mutex<Vec<String>>,
    stopping: AtomicBool,
    tls: Arc<ServerConfig>,
}

impl ApiServer {
    /// Starts one with a certificate that its own authority signed.
    pub fn start() -> Self {
        let (authority, tls) = certificates();
        let shared = Arc::new(Shared {
            says: Mutex::default(),
            accepts: Mutex::default(),
            requests: Mutex::default(),
            events: Mutex::default(),
            terminating: Mutex::default(),
            stopping: AtomicBool::new(false),
            tls,
        });
        let listener = TcpListener::bind((HOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let serving = Some(serve(listener, Arc::clone(&shared)));
        let files = tempfile::tempdir().expect("a directory");
        // An agent of another user may read them.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(files.path(), open).expect("open to all");
        let server = Self { shared, address, serving, files };
        fs::write(server.ca_file(), authority).expect("written");
        server.rotate_token("first");
        server
    }

    /// The flags that make the agent tell it.
    pub fn flags(&self) -> Vec<String> {
        let file = |name| self.files.path().join(name).display().to_string();
        vec![
            "--kubernetes.events".to_owned(),
            format!("--kubernetes.api-server=https://{}", self.address),
            format!("--kubernetes.token-file={}", file("token")),
            format!("--kubernetes.ca-file={}", file("ca.crt")),
        ]
    }

    /// Where its authority's certificate is.
    pub fn ca_file(&self) -> PathBuf {
        self.files.path().join("ca.crt")
    }

    /// Writes another token, as the kubelet does for its pods.
    pub fn rotate_token(&self, token: &str) {
        fs::write(self.files.path().join("token"), format!("{token}\n")).expect("written");
    }

    /// From now on it says this to everything.
    pub fn say(&self, says: Says) {
        *self.shared.says.lock().expect("what it says") = Some(says);
    }

    /// From now on it does its work.
    pub fn work(&self) {
        *self.shared.says.lock().expect("what it says") = None;
    }

    /// From now on no other token is good.
    pub fn accept_only(&self, token: &str) {
        *self.shared.accepts.lock().expect("what it accepts") = Some(token.to_owned());
    }

    /// From now on that namespace is being deleted.
    pub fn terminate(&self, namespace: &str) {
        self.shared.terminating.lock().expect("namespaces").push(namespace.to_owned());
    }

    /// Forgets all Events, as it does after an hour.
    pub fn expire(&self) {
        self.shared.events.lock().expect("its Events").clear();
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("what it was asked").clone()
    }

    /// All Events that it keeps.
    pub fn events(&self) -> Vec<Value> {
        self.shared.events.lock().expect("its Events").values().cloned().collect()
    }

    /// Nobody listens any more.
    pub fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes it where it waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            serving.join().expect("it ends well");
        }
    }

    /// It listens again where it did.
    pub fn start_again(&mut self) {
        self.shared.stopping.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.address).expect("its old port");
        self.serving = Some(serve(listener, Arc::clone(&self.shared)));
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if shared.stopping.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(&shared);
            // A client that breaks off is the client's business.
            std::thread::spawn(move || shared.converse(stream).ok());
        }
    })
}

impl Shared {
    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(DEADLINE))?;
        let connection = ServerConnection::new(Arc::clone(&self.tls)).expect("a connection");
        let mut stream = StreamOwned::new(connection, stream);
        let result = self.answer(&mut stream);
        stream.conn.send_close_notify();
        stream.flush()?;
        result
    }

    fn answer(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let request = read(&mut stream)?;
        let accepts = self.accepts.lock().expect("what it accepts").clone();
        let is_welcome = accepts.is_none_or(|token| {
            request.authorization.as_ref().is_some_and(|given| *given == format!("Bearer {token}"))
        });
        self.requests.lock().expect("what it was asked").push(request.clone());
        let says = self.says.lock().expect("what it says").clone();
        let (status, headers, body) = match says {
            Some(Says::Answer(status, headers, body)) => (status, headers, body),
            Some(Says::Nothing) => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
            Some(Says::HangUp) => return Ok(()),
            Some(Says::Bytes(bytes)) => return stream.get_mut().write_all(bytes),
            None if !is_welcome => {
                ("401 Unauthorized", "", status("Unauthorized", "Unauthorized").to_string())
            }
            None => {
                let (line, body) = self.work(&request);
                (line, "Content-Type: application/json\r\n", body.to_string())
            }
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        stream.get_mut().write_all(&[head.into_bytes(), body.into_bytes()].concat())?;
        stream.get_mut().flush()
    }

    /// What the real one does with an Event.
    fn work(&self, request: &Request) -> (&'static str, Value) {
        let parts: Vec<&str> =
            request.path.strip_prefix(EVENTS).unwrap_or_default().split('/').collect();
        let mut events = self.events.lock().expect("its Events");
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", [namespace, "events"]) => {
                if self.terminating.lock().expect("namespaces").iter().any(|it| it == namespace) {
                    let mut status = status("Forbidden", "it is being terminated");
                    status["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
                    return ("403 Forbidden", status);
                }
                let name = request.body["metadata"]["name"].as_str().unwrap_or_default();
                let key = ((*namespace).to_owned(), name.to_owned());
                if events.contains_key(&key) {
                    let message = format!("events.events.k8s.io \"{name}\" already exists");
                    return ("409 Conflict", status("AlreadyExists", &message));
                }
                events.insert(key, request.body.clone());
                ("201 Created", request.body.clone())
            }
            ("PATCH", [namespace, "events", name]) => {
                match events.get_mut(&((*namespace).to_owned(), (*name).to_owned())) {
                    None => ("404 Not Found", status("NotFound", "no such Event")),
                    Some(event) => {
                        for (key, value) in request.body.as_object().into_iter().flatten() {
                            event[key] = value.clone();
                        }
                        ("200 OK", event.clone())
                    }
                }
            }
            _ => ("405 Method Not Allowed", status("MethodNotAllowed", "no such thing")),
        }
    }
}

/// Why it does not do what is asked.
pub fn status(reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message})
}

fn read(stream: &mut impl BufRead) -> io::Result<Request> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut kind, mut authorization, mut length) = (String::new(), None, 0);
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-type" => kind = value.to_owned(),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Request { method, path, kind, authorization, body, at: Instant::now() })
}
