//! Why the API server could not be told, in one line each.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::{PeerError, SendError};
use crate::worker::Panicked;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    #[error(
        "can't read the token in {path}: {source}; expected a service account's (--kubernetes.token-file)"
    )]
    Token { path: PathBuf, source: io::Error },
    #[error("{path} holds no token; expected one line (--kubernetes.token-file)")]
    NoToken { path: PathBuf },
    #[error(
        "can't read the authorities in {path}: {source}; expected certificates (--kubernetes.ca-file)"
    )]
    Authorities { path: PathBuf, source: io::Error },
    #[error(
        "{path} holds no certificate; expected the authority's that signed the API server's, as PEM (--kubernetes.ca-file)"
    )]
    NoAuthorities { path: PathBuf },
    #[error("{0}; expected the API server's address (--kubernetes.api-server)")]
    Peer(#[from] PeerError),
    #[error(
        "can't connect: {0}; expected the API server to listen there (--kubernetes.api-server)"
    )]
    Connect(io::Error),
    #[error(
        "TLS failed: {source}; expected a certificate for that host, signed by one in {ca_file} (--kubernetes.ca-file)"
    )]
    Tls { ca_file: PathBuf, source: io::Error },
    #[error(transparent)]
    Sent(SendError),
    #[error("no whole answer within {}", humantime::format_duration(*.limit))]
    Slow { limit: Duration },
    #[error("telling was cut short: {0}")]
    CutShort(#[from] Panicked),
}
