//! One request: `GET /pods`, over a connection of its own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};

use super::error::AskError;
use super::{Endpoint, PATH};
use crate::client::{Most, Peer, PeerError, SendError, Trust, authorized, bearer, read_file};

/// A node's pods are a few megabytes; whoever sends more must not cost us our memory.
const MOST: Most = Most { success: 16 << 20, other: 4 << 20 };

/// So much of a refusal's body is passed on: the kubelet says there what it asked of the API server.
const MOST_REASON: usize = 200;

/// What a request needs besides the endpoint. It is looked up anew for each: tokens and authorities rotate, and
/// a name may come to mean another address.
pub(super) struct Preparation {
    peer: Peer,
    /// Nothing where the connection is open for all to read.
    authorization: Option<HeaderValue>,
}

impl Preparation {
    /// Looks up all that may have changed. Reads files and may ask a name server: not for the network's thread.
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, AskError> {
        let tls = |source| AskError::Tls { ca_file: endpoint.ca_file.clone(), source };
        let (mut authorization, mut secure) = (None, None);
        if endpoint.url.is_tls() {
            authorization = Some(token(&endpoint.token_file)?);
            let config = trust(endpoint)?.into_config(None);
            let config = config.map_err(|error| tls(io::Error::other(error)))?;
            secure = Some((Arc::new(config), endpoint.server_name.as_ref()));
        }
        let peer = Peer::of(&endpoint.url, secure).map_err(|error| match error {
            PeerError::Resolve { host, source } => AskError::Resolve { host, source },
            PeerError::Tls(source) => tls(source),
        })?;
        Ok(Self { peer, authorization })
    }
}

fn token(path: &Path) -> Result<HeaderValue, AskError> {
    let text =
        read_file(path).map_err(|source| AskError::Token { path: path.to_owned(), source })?;
    bearer(&text).ok_or_else(|| AskError::NoToken { path: path.to_owned() })
}

fn trust(endpoint: &Endpoint) -> Result<Trust, AskError> {
    if endpoint.insecure_skip_verify {
        return Ok(Trust::Anyone);
    }
    let path = &endpoint.ca_file;
    let pem =
        read_file(path).map_err(|source| AskError::Authorities { path: path.clone(), source })?;
    Trust::of_pem(&pem).ok_or_else(|| AskError::NoAuthorities { path: path.clone() })
}

/// Asks once and returns the body.
pub(super) async fn get(endpoint: &Endpoint, prepared: Preparation) -> Result<Vec<u8>, AskError> {
    let Preparation { peer, authorization } = prepared;
    let request = peer.request(Method::GET, PATH).header(ACCEPT, "application/json");
    let request = authorized(request, authorization.as_ref())
        .body(Full::new(Bytes::new()))
        .map_err(|error| AskError::Sent(SendError::Request(error)))?;
    let reply = peer.send(request, MOST).await.map_err(|error| match error {
        SendError::Connect(source) => AskError::Connect(source),
        SendError::Tls(source) => AskError::Tls { ca_file: endpoint.ca_file.clone(), source },
        error => AskError::Sent(error),
    })?;
    if reply.status == StatusCode::OK {
        return reply.body.map_err(AskError::Sent);
    }
    // Without a reason the status has to do.
    let reason = String::from_utf8_lossy(&reply.body.unwrap_or_default()).trim().to_owned();
    let reason = reason.chars().take(MOST_REASON).collect();
    Err(AskError::Refused { status: reply.status, reason })
}
