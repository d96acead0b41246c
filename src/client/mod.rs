//! The client's side of HTTP/1.1: one request over a connection of its own, over TLS or open for all to read.
//!
//! Nothing here waits for a time: whoever asks says how long. Redirects are not followed: nobody else gets what was meant
//! for the server.

mod file;
mod origin;
mod peer_name;
mod trust;

use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

pub use file::read as read_file;
pub use origin::Origin;
pub use peer_name::PeerName;
pub use trust::{Shown, Trust};

/// A server, ready to be connected to. Reading files and asking a name server come before.
#[derive(Debug, Clone)]
pub struct Peer {
    addresses: Vec<SocketAddr>,
    /// `HOST:PORT`, for the `Host` header.
    authority: String,
    /// Nothing where the connection is open for all to read.
    tls: Option<Tls>,
}

/// How TLS is spoken.
#[derive(Debug, Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    /// The name that the server's certificate must be for.
    name: ServerName<'static>,
}

/// The most bytes of a body that are read.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Of an answer with a status of success.
    pub success: usize,
    /// Of any other, which holds a reason at best.
    pub other: usize,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or why there is none.
    pub body: Result<Vec<u8>, SendError>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens there.
    #[error("can't connect: {0}")]
    Connect(#[source] io::Error),
    /// It is not the server, as far as we can tell.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// There is no such request.
    #[error("can't make the request: {0}")]
    Request(#[source] hyper::http::Error),
    /// It does not speak HTTP, or not to the end.
    #[error("{}; expected an answer in HTTP", chain(.0))]
    Http(#[source] hyper::Error),
    /// The body broke off.
    #[error("the answer broke off: {}", chain(.0))]
    Broken(#[source] hyper::Error),
    /// Nobody needs so much.
    #[error("the answer is larger than {most} bytes")]
    TooLarge {
        /// How much is accepted.
        most: usize,
    },
}

impl Peer {
    /// The server of a URL; `secure` says how TLS is spoken where the URL is `https`, and whose certificate it must be where
    /// that is not the host's. It asks a name server for the host's addresses: not for the network's thread.
    pub fn of(
        origin: &Origin,
        secure: Option<(Arc<ClientConfig>, Option<&PeerName>)>,
    ) -> Result<Self, PeerError> {
        let host = origin.host();
        let tls = match secure.filter(|_| origin.is_tls()) {
            None => None,
            Some((config, name)) => {
                let name = match name {
                    Some(name) => name.as_tls(),
                    None => ServerName::try_from(host.to_owned())
                        .map_err(|error| PeerError::Tls(io::Error::other(error)))?,
                };
                Some(Tls { config, name })
            }
        };
        let addresses = (host, origin.port())
            .to_socket_addrs()
            .map_err(|source| PeerError::Resolve { host: host.to_owned(), source })?
            .collect();
        Ok(Self { addresses, authority: origin.authority(), tls })
    }

    /// The beginning of a request.
    pub fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONNECTION, "close")
            .header(USER_AGENT, concat!("hugetlb-exporter/", env!("CARGO_PKG_VERSION")))
    }

    /// Sends it and waits for the answer.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        most: Most,
    ) -> Result<Reply, SendError> {
        let addresses = self.addresses.as_slice();
        let stream = TcpStream::connect(addresses).await.map_err(SendError::Connect)?;
        let Some(Tls { config, name }) = self.tls.clone() else {
            return exchange(stream, request, most).await;
        };
        let connector = TlsConnector::from(config);
        let stream = connector.connect(name, stream).await.map_err(SendError::Tls)?;
        exchange(stream, request, most).await
    }
}

/// Why a server can't even be looked for.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The host has no address.
    #[error("{host} has no address: {source}")]
    Resolve {
        /// Which host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// What is known of it is no use to TLS.
    #[error("TLS is not possible: {0}")]
    Tls(#[source] io::Error),
}

/// `Bearer` and a token as it stands in a file; nothing where that is none.
pub fn bearer(token: &[u8]) -> Option<HeaderValue> {
    authorization("Bearer", token.trim_ascii())
}

/// An `Authorization` header that no log shows; nothing where the credentials are empty or can't stand in a header.
pub fn authorization(scheme: &str, credentials: &[u8]) -> Option<HeaderValue> {
    let value = [scheme.as_bytes(), b" ", credentials].concat();
    let mut value = HeaderValue::from_bytes(&value).ok().filter(|_| !credentials.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// Adds who we say that we are, if anyone.
pub fn authorized(
    request: hyper::http::request::Builder,
    authorization: Option<&HeaderValue>,
) -> hyper::http::request::Builder {
    match authorization {
        Some(authorization) => request.header(AUTHORIZATION, authorization),
        None => request,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    most: Most,
) -> Result<Reply, SendError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Http)?;
    // Dropped with this future, so a request that is given up leaves no connection behind.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let response = sender.send_request(request).await.map_err(SendError::Http)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let most = if status.is_success() { most.success } else { most.other };
    Ok(Reply { status, headers, body: body(response, most).await })
}

/// A body in one piece, copied as it comes: what hyper keeps of many small frames is more than they are.
async fn body(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, SendError> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(SendError::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > most.saturating_sub(bytes.len()) {
            return Err(SendError::TooLarge { most });
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// An error with its causes: hyper's say nothing without them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
