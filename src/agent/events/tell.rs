//! One request to the API server, over a connection of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;

use super::error::TellError;
use crate::client::{Most, Origin, Peer, Reply, SendError, Trust, authorized, bearer, read_file};
use crate::config::EventsConfig;
use crate::events::{Answer, Sent, Step};
use crate::worker::Worker;

/// A request that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(10);

/// An Event and a reason are a few kilobytes.
const MOST: Most = Most { success: 1 << 20, other: 64 << 10 };

/// The API server, and who we are.
#[derive(Debug, Clone)]
pub(super) struct ApiServer {
    config: Arc<EventsConfig>,
    /// For what blocks (a file on a stuck disk, a name server): that can't be given up, so there is never more than one.
    worker: Worker,
}

impl ApiServer {
    /// With a thread to ask for what it needs.
    pub(super) fn new(config: EventsConfig) -> io::Result<Self> {
        Ok(Self { config: Arc::new(config), worker: Worker::start("api-server")? })
    }

    pub(super) fn url(&self) -> &Origin {
        &self.config.server
    }

    /// Sends one request, and says what came of it within a time.
    pub(super) async fn send(self, step: Step, path: String, body: Value) -> Sent {
        let sending = tokio::time::timeout(LIMIT, self.try_to_send(step, &path, &body));
        let reply = sending.await.unwrap_or(Err(TellError::Slow { limit: LIMIT }));
        match reply {
            Ok(reply) => Sent::Answered(answer(reply)),
            Err(error) => Sent::Not(error.to_string()),
        }
    }

    async fn try_to_send(&self, step: Step, path: &str, body: &Value) -> Result<Reply, TellError> {
        let config = Arc::clone(&self.config);
        // Tokens and authorities rotate, and a name may come to mean another address.
        let prepared = self.worker.run(move || prepare(&config)).await?;
        let (peer, authorization) = prepared?;
        let (method, kind) = match step {
            Step::Create => (Method::POST, "application/json"),
            Step::Read | Step::Repeat(_) => (Method::PATCH, "application/merge-patch+json"),
        };
        let request = peer.request(method, path).header(ACCEPT, "application/json");
        let request = authorized(request.header(CONTENT_TYPE, kind), authorization.as_ref())
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| TellError::Sent(SendError::Request(error)))?;
        peer.send(request, MOST).await.map_err(|error| match error {
            SendError::Connect(source) => TellError::Connect(source),
            SendError::Tls(source) => {
                TellError::Tls { ca_file: self.config.ca_file.clone(), source }
            }
            error => TellError::Sent(error),
        })
    }
}

/// Looks up all that may have changed. Where the URL is `http` nothing secret is sent.
fn prepare(config: &EventsConfig) -> Result<(Peer, Option<HeaderValue>), TellError> {
    let EventsConfig { server, token_file, ca_file, .. } = config;
    if !server.is_tls() {
        return Ok((Peer::of(server, None)?, None));
    }
    let token = read_file(token_file)
        .map_err(|source| TellError::Token { path: token_file.clone(), source })?;
    let token = bearer(&token).ok_or_else(|| TellError::NoToken { path: token_file.clone() })?;
    let pem = read_file(ca_file)
        .map_err(|source| TellError::Authorities { path: ca_file.clone(), source })?;
    let trust =
        Trust::of_pem(&pem).ok_or_else(|| TellError::NoAuthorities { path: ca_file.clone() })?;
    let config = trust.into_config(None).map_err(|error| TellError::Tls {
        ca_file: ca_file.clone(),
        source: io::Error::other(error),
    })?;
    Ok((Peer::of(server, Some((Arc::new(config), None)))?, Some(token)))
}

fn answer(reply: Reply) -> Answer {
    Answer {
        status: reply.status.as_u16(),
        retry_after: retry_after(&reply.headers),
        body: reply.body.ok(),
    }
}

/// In seconds, as Kubernetes writes it; a date is no number, and counts for none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
