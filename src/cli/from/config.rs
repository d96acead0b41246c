//! How the agents are asked: a file in the format of Prometheus' HTTP client settings (`http_config`), as much of it as the web
//! configuration has on the other side.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::client::{PeerName, Shown, Trust, authorization, read_file};

/// Where systems keep the authorities they trust.
const SYSTEM: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Who we say that we are, and whom we believe.
#[derive(Debug)]
pub(super) struct Client {
    authorization: Option<HeaderValue>,
    config: Arc<ClientConfig>,
    server_name: Option<PeerName>,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
#[error("--from.config: {place}: {problem}; expected {expected}")]
pub(super) struct Wrong {
    place: String,
    problem: String,
    expected: &'static str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    tls_config: TlsConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BasicAuth {
    username: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Authorization {
    #[serde(rename = "type")]
    kind: Option<String>,
    credentials: Option<String>,
    credentials_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsConfig {
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
    insecure_skip_verify: bool,
}

impl Client {
    /// Of a file, and what it names, relative to it; without one nobody is told who we are, and the system's authorities are
    /// believed.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, Wrong> {
        let (written, directory) = match path {
            None => (Written::default(), Path::new("")),
            Some(path) => (read(path)?, path.parent().unwrap_or(Path::new(""))),
        };
        let Written { basic_auth, authorization, tls_config } = written;
        let authorization = match (basic_auth, authorization) {
            (Some(_), Some(_)) => {
                return Err(wrong("basic_auth", "authorization is there as well", "one of them"));
            }
            (Some(basic), None) => Some(basic.header(directory)?),
            (None, Some(bearer)) => Some(bearer.header(directory)?),
            (None, None) => None,
        };
        let server_name = tls_config.server_name.as_deref().map(|name| {
            let expected = "the name or the address in the agents' certificates";
            name.parse().map_err(|_| wrong("tls_config.server_name", name, expected))
        });
        Ok(Self {
            authorization,
            server_name: server_name.transpose()?,
            config: Arc::new(tls_config.config(directory)?),
        })
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    pub(super) fn tls(&self) -> Option<(Arc<ClientConfig>, Option<&PeerName>)> {
        Some((Arc::clone(&self.config), self.server_name.as_ref()))
    }
}

fn read(path: &Path) -> Result<Written, Wrong> {
    let place = path.display().to_string();
    let expected =
        "a file in the format of Prometheus' http_config: basic_auth, authorization, tls_config";
    let bytes = read_file(path).map_err(|error| wrong(&place, error, expected))?;
    let written: Option<Written> =
        serde_norway::from_slice(&bytes).map_err(|error| wrong(&place, error, expected))?;
    Ok(written.unwrap_or_default())
}

impl BasicAuth {
    fn header(self, directory: &Path) -> Result<HeaderValue, Wrong> {
        let place = "basic_auth.password";
        let password = secret(place, self.password, self.password_file, directory)?;
        let credentials = STANDARD.encode([self.username.as_bytes(), b":", &password].concat());
        authorization("Basic", credentials.as_bytes())
            .ok_or_else(|| wrong(place, "it can't stand in a header", "a password"))
    }
}

impl Authorization {
    fn header(self, directory: &Path) -> Result<HeaderValue, Wrong> {
        let place = "authorization.credentials";
        let credentials = secret(place, self.credentials, self.credentials_file, directory)?;
        let kind = self.kind.as_deref().unwrap_or("Bearer");
        authorization(kind, credentials.trim_ascii())
            .ok_or_else(|| wrong(place, "they are empty or can't stand in a header", "a token"))
    }
}

/// What is written in the file, or in a file of its own: one of the two. The line's end is no part of it.
fn secret(
    place: &str,
    inline: Option<String>,
    file: Option<PathBuf>,
    directory: &Path,
) -> Result<Vec<u8>, Wrong> {
    match (inline, file) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(path)) => {
            let path = directory.join(path);
            let bytes = read_file(&path).map_err(|error| {
                wrong(&format!("{place}_file"), format!("{}: {error}", path.display()), "a file")
            })?;
            Ok(bytes.trim_ascii_end().to_vec())
        }
        (Some(_), Some(_)) => Err(wrong(place, "it is there twice", "it or a file of it")),
        (None, None) => Err(wrong(place, "it is missing", "it or a file of it")),
    }
}

impl TlsConfig {
    fn config(&self, directory: &Path) -> Result<ClientConfig, Wrong> {
        let shown = match (&self.cert_file, &self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(shown(&directory.join(certificate), &directory.join(key))?)
            }
            (Some(_), None) => return Err(wrong("tls_config", "key_file is missing", "both")),
            (None, Some(_)) => return Err(wrong("tls_config", "cert_file is missing", "both")),
        };
        let trust = self.trust(directory)?;
        let expected = "a certificate and its key";
        trust.into_config(shown).map_err(|error| wrong("tls_config", error, expected))
    }

    fn trust(&self, directory: &Path) -> Result<Trust, Wrong> {
        if self.insecure_skip_verify {
            return Ok(Trust::Anyone);
        }
        let Some(path) = &self.ca_file else {
            let of_system = SYSTEM.iter().filter_map(|path| read_file(Path::new(path)).ok());
            // Without any nobody is believed, which is said where TLS is spoken.
            let found = of_system.filter_map(|pem| Trust::of_pem(&pem)).next();
            return Ok(found.unwrap_or_else(Trust::nobody));
        };
        let (place, path) = ("tls_config.ca_file", directory.join(path));
        let shown = path.display();
        let pem = read_file(&path)
            .map_err(|error| wrong(place, format!("{shown}: {error}"), "a PEM file"))?;
        Trust::of_pem(&pem)
            .ok_or_else(|| wrong(place, format!("{shown} holds no certificate"), "one, as PEM"))
    }
}

fn shown(certificate: &Path, key: &Path) -> Result<Shown, Wrong> {
    let read = |place: &str, path: &Path| -> Result<Vec<u8>, Wrong> {
        let complaint =
            |error: io::Error| wrong(place, format!("{}: {error}", path.display()), "a PEM file");
        read_file(path).map_err(complaint)
    };
    let pem = read("tls_config.cert_file", certificate)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if certificates.is_empty() {
        return Err(wrong("tls_config.cert_file", "it holds no certificate", "one, as PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(&read("tls_config.key_file", key)?)
        .map_err(|error| wrong("tls_config.key_file", error, "a private key, as PEM"))?;
    Ok(Shown { certificates, key })
}

#[expect(clippy::needless_pass_by_value, reason = "an error ends here as its text")]
fn wrong(place: &str, problem: impl ToString, expected: &'static str) -> Wrong {
    Wrong { place: place.to_owned(), problem: problem.to_string(), expected }
}
