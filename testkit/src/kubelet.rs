//! A made-up kubelet: a server on loopback that speaks TLS and says what it is told to say.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::DEADLINE;
use super::tls::{Authority, Identity};

/// Nobody else asks the system for a port here, so one that was given up can be had again.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What it says.
#[derive(Clone)]
pub enum Says {
    /// An answer with that status line, these further header lines, and that body.
    Answer(&'static str, &'static str, String),
    /// Nothing, for as long as the client waits.
    Nothing,
    /// It closes the connection.
    HangUp,
    /// These bytes, whatever they are.
    Bytes(&'static [u8]),
}

/// What it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET /pods HTTP/1.1`
    pub line: String,
    /// The token.
    pub authorization: Option<String>,
}

/// The kubelet. Its files, a token and its authority's certificate, go with it.
pub struct Kubelet {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
    files: tempfile::TempDir,
}

struct Shared {
    says: Mutex<Says>,
    /// The only token that is good, if not any.
    accepts: Mutex<Option<String>>,
    asked: Mutex<Vec<Request>>,
    stopping: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

impl Says {
    /// 200 and that body.
    pub fn ok(body: String) -> Self {
        Self::Answer("200 OK", "Content-Type: application/json\r\n", body)
    }
}

impl Kubelet {
    /// Starts one with a certificate that its own authority signed.
    pub fn start(says: Says) -> Self {
        let (authority, config) = certificates();
        let kubelet = Self::with(says, Some(config));
        fs::write(kubelet.ca_file(), authority).expect("written");
        kubelet
    }

    /// Starts one whose certificate names the node alone, as a kubelet makes it for itself: its file holds the certificate,
    /// then the authority's, which was made for it.
    pub fn self_signed(says: Says, node: &str) -> Self {
        let authority = Authority::new();
        let identity = authority.sign(&[node]);
        let kubelet = Self::with(says, Some(server(&identity)));
        let file = [identity.certificate, authority.pem].concat();
        fs::write(kubelet.ca_file(), file).expect("written");
        kubelet
    }

    /// Starts one that does not speak TLS, as on the read-only port.
    pub fn without_tls(says: Says) -> Self {
        Self::with(says, None)
    }

    fn with(says: Says, tls: Option<Arc<ServerConfig>>) -> Self {
        let shared = Arc::new(Shared {
            says: Mutex::new(says),
            accepts: Mutex::default(),
            asked: Mutex::default(),
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
        let kubelet = Self { shared, address, serving, files };
        kubelet.rotate_token("first");
        kubelet
    }

    /// The flags that make the agent ask it.
    pub fn flags(&self) -> Vec<String> {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        let file = |name| self.files.path().join(name).display().to_string();
        vec![
            "--collector.kubelet".to_owned(),
            format!("--kubelet.url={scheme}://{}", self.address),
            format!("--kubelet.token-file={}", file("token")),
            format!("--kubelet.ca-file={}", file("ca.crt")),
            "--kubelet.interval=100ms".to_owned(),
        ]
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where its authority's certificate is.
    pub fn ca_file(&self) -> PathBuf {
        self.files.path().join("ca.crt")
    }

    /// Writes another token, as the real kubelet does for its pods.
    pub fn rotate_token(&self, token: &str) {
        fs::write(self.files.path().join("token"), format!("{token}\n")).expect("written");
    }

    /// From now on it says this.
    pub fn say(&self, says: Says) {
        *self.shared.says.lock().expect("what it says") = says;
    }

    /// From now on no other token is good.
    pub fn accept_only(&self, token: &str) {
        *self.shared.accepts.lock().expect("what it accepts") = Some(token.to_owned());
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.shared.asked.lock().expect("what it was asked").clone()
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

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An authority's certificate, and a server that has one signed by it.
pub fn certificates() -> (String, Arc<ServerConfig>) {
    let authority = Authority::new();
    let identity = authority.sign(&[&HOST.to_string()]);
    (authority.pem, server(&identity))
}

fn server(identity: &Identity) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate()], identity.key())
        .expect("a server");
    Arc::new(config)
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
        match &self.tls {
            None => self.answer(stream),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).expect("a connection");
                let mut stream = StreamOwned::new(connection, stream);
                let result = self.answer(&mut stream);
                stream.conn.send_close_notify();
                stream.flush()?;
                result
            }
        }
    }

    fn answer(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let request = read_request(&mut stream)?;
        let accepts = self.accepts.lock().expect("what it accepts").clone();
        let welcome = accepts.is_none_or(|token| {
            request.authorization.as_ref().is_some_and(|given| *given == format!("Bearer {token}"))
        });
        self.asked.lock().expect("what it was asked").push(request);
        let says = self.says.lock().expect("what it says").clone();
        let bytes = match says {
            _ if !welcome => {
                b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized".to_vec()
            }
            Says::Answer(status, headers, body) => {
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
                [head.into_bytes(), body.into_bytes()].concat()
            }
            Says::Nothing => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
            Says::HangUp => return Ok(()),
            Says::Bytes(bytes) => bytes.to_vec(),
        };
        stream.get_mut().write_all(&bytes)?;
        stream.get_mut().flush()
    }
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Request> {
    let mut lines = stream.lines();
    let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let mut authorization = None;
    for header in lines {
        let header = header?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    Ok(Request { line, authorization })
}
