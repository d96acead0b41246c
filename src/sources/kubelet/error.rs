//! Why the kubelet gave no answer, in one line each.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

use super::pods::NotPods;
use crate::client::SendError;
use crate::worker::Panicked;

/// Why the kubelet could not be asked, or what was wrong with its answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The token can't be read.
    #[error(
        "can't read the token in {path}: {source}; expected a service account's (--kubelet.token-file)"
    )]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no token.
    #[error("{path} holds no token; expected one line (--kubelet.token-file)")]
    NoToken {
        /// Where it should be.
        path: PathBuf,
    },
    /// The authorities can't be read.
    #[error(
        "can't read the authorities in {path}: {source}; expected certificates (--kubelet.ca-file)"
    )]
    Authorities {
        /// Where they should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They are none.
    #[error(
        "{path} holds no certificate; expected the authority's that signed the kubelet's, as PEM (--kubelet.ca-file)"
    )]
    NoAuthorities {
        /// Where they should be.
        path: PathBuf,
    },
    /// The host has no address.
    #[error("{host} has no address: {source}; expected the node's own (--kubelet.url)")]
    Resolve {
        /// Which host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("can't connect: {0}; expected the kubelet to listen there (--kubelet.url)")]
    Connect(#[source] io::Error),
    /// It is not the kubelet, as far as we can tell.
    #[error(
        "TLS failed: {source}; expected a certificate for that host, signed by one in {ca_file} (--kubelet.ca-file; \
         where it names the node instead --kubelet.server-name; unchecked --kubelet.insecure-skip-verify)"
    )]
    Tls {
        /// The authorities' certificates.
        ca_file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not speak HTTP, or not to the end, or says too much.
    #[error(transparent)]
    Sent(SendError),
    /// It said no.
    #[error("{status}{}; {}", bracketed(.reason), hint(*.status))]
    Refused {
        /// What it said.
        status: StatusCode,
        /// And why.
        reason: String,
    },
    /// It did not come in time.
    #[error("no whole answer within {}", humantime::format_duration(*.limit))]
    Slow {
        /// How long was waited.
        limit: Duration,
    },
    /// It came, but makes no sense.
    #[error(transparent)]
    NotPods(#[from] NotPods),
    /// A thread of ours ended before its time.
    #[error("asking was cut short: {0}")]
    CutShort(#[from] Panicked),
}

fn bracketed(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// What was expected, and who can help.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "expected the kubelet to accept the token: it asks the API server if authentication.webhook is enabled"
        }
        StatusCode::FORBIDDEN => {
            "the service account needs get on nodes/pods (or on nodes/proxy before Kubernetes 1.33)"
        }
        status if status.is_redirection() => {
            "expected 200 OK; redirects are not followed (--kubelet.url)"
        }
        _ => "expected 200 OK",
    }
}
