//! One request: `GET /pods`, over a connection of its own.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::error::AskError;
use super::trust::Trust;
use super::{Endpoint, PATH};

/// A node's pods are a few megabytes; whoever sends more must not cost us our memory.
const MOST_BYTES: usize = 16 << 20;

/// Nor a token or a bundle of authorities that never ends.
const MOST_FILE_BYTES: u64 = 4 << 20;

/// So much of a refusal's body is passed on: the kubelet says there what it asked of the API server.
const MOST_REASON: usize = 200;

/// What a request needs besides the endpoint. It is looked up anew for each: tokens and authorities rotate, and
/// a name may come to mean another address.
pub(super) struct Preparation {
    addresses: Vec<SocketAddr>,
    /// Nothing where the connection is open for all to read.
    secure: Option<Secure>,
}

struct Secure {
    authorization: HeaderValue,
    trust: Trust,
}

impl Preparation {
    /// Looks up all that may have changed. Reads files and may ask a name server: not for the network's thread.
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, AskError> {
        let secure = if endpoint.url.is_tls() {
            let authorization = authorization(&endpoint.token_file)?;
            Some(Secure { authorization, trust: trust(endpoint)? })
        } else {
            None
        };
        let host = endpoint.url.host();
        let addresses = (host, endpoint.url.port())
            .to_socket_addrs()
            .map_err(|source| AskError::Resolve { host: host.to_owned(), source })?
            .collect();
        Ok(Self { addresses, secure })
    }
}

fn authorization(path: &Path) -> Result<HeaderValue, AskError> {
    let text = read(path).map_err(|source| AskError::Token { path: path.to_owned(), source })?;
    let token = text.trim_ascii();
    let header = [b"Bearer ", token].concat();
    let mut header = HeaderValue::from_bytes(&header)
        .ok()
        .filter(|_| !token.is_empty())
        .ok_or_else(|| AskError::NoToken { path: path.to_owned() })?;
    header.set_sensitive(true);
    Ok(header)
}

fn trust(endpoint: &Endpoint) -> Result<Trust, AskError> {
    if endpoint.insecure_skip_verify {
        return Ok(Trust::Anyone);
    }
    let path = &endpoint.ca_file;
    let pem = read(path).map_err(|source| AskError::Authorities { path: path.clone(), source })?;
    Trust::of_pem(&pem).ok_or_else(|| AskError::NoAuthorities { path: path.clone() })
}

/// A file whole. A pipe or a device would never end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks once and returns the body. Redirects are not followed: nobody else gets the token.
pub(super) async fn get(endpoint: &Endpoint, prepared: Preparation) -> Result<Vec<u8>, AskError> {
    let Preparation { addresses, secure } = prepared;
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(AskError::Connect)?;
    let request = request(endpoint, secure.as_ref().map(|secure| &secure.authorization))?;
    match secure {
        None => exchange(stream, request).await,
        Some(secure) => {
            let tls = |source| AskError::Tls { ca_file: endpoint.ca_file.clone(), source };
            let name = match &endpoint.server_name {
                Some(name) => name.as_tls(),
                None => ServerName::try_from(endpoint.url.host().to_owned())
                    .map_err(|error| tls(io::Error::other(error)))?,
            };
            let config =
                secure.trust.into_config().map_err(|error| tls(io::Error::other(error)))?;
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await.map_err(tls)?;
            exchange(stream, request).await
        }
    }
}

fn request(
    endpoint: &Endpoint,
    authorization: Option<&HeaderValue>,
) -> Result<Request<Empty<Bytes>>, AskError> {
    let mut request = Request::get(PATH)
        .header(HOST, endpoint.url.authority())
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .header(USER_AGENT, concat!("hugetlb-exporter/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(Empty::new()).map_err(AskError::Request)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Vec<u8>, AskError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(AskError::Http)?;
    // Dropped with this future, so a request that is given up leaves no connection behind.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let response = sender.send_request(request).await.map_err(AskError::Http)?;
    let status = response.status();
    if status == StatusCode::OK {
        return body(response, MOST_BYTES).await;
    }
    // Without a reason the status has to do.
    let reason = body(response, MOST_FILE_BYTES.try_into().unwrap_or(MOST_BYTES)).await;
    let reason = String::from_utf8_lossy(&reason.unwrap_or_default()).trim().to_owned();
    Err(AskError::Refused { status, reason: reason.chars().take(MOST_REASON).collect() })
}

/// A body in one piece, copied as it comes: what hyper keeps of many small frames is more than they are.
async fn body(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, AskError> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(AskError::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > most.saturating_sub(bytes.len()) {
            return Err(AskError::TooLarge { most });
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}
