//! The file as it is written: exporter-toolkit's keys, and no others.

use std::path::PathBuf;

use serde::Deserialize;
use serde_norway::{Mapping, Value};

use super::error::Wrong;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    pub(super) tls_server_config: Option<WrittenTls>,
    pub(super) http_server_config: Option<WrittenHttp>,
    /// Hashes by user. A mapping and no map: it refuses a user who stands there twice.
    pub(super) basic_auth_users: Option<Mapping>,
    pub(super) rate_limit: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenTls {
    pub(super) cert_file: Option<PathBuf>,
    pub(super) cert: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) key: Option<String>,
    pub(super) client_auth_type: ClientAuthType,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) client_ca: Option<String>,
    pub(super) client_allowed_sans: Vec<String>,
    pub(super) min_version: Option<Version>,
    pub(super) max_version: Option<Version>,
    pub(super) cipher_suites: Vec<String>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Vec<Curve>,
}

/// What is asked of a client, as Go has it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuthType {
    #[default]
    NoClientCert,
    RequestClientCert,
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Version {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Curve {
    X25519,
    CurveP256,
    CurveP384,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenHttp {
    /// Read for its type alone: HTTP/1.1 is what is spoken either way.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    pub(super) headers: Option<WrittenHeaders>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenHeaders {
    #[serde(rename = "Content-Security-Policy")]
    pub(super) content_security_policy: Option<String>,
    #[serde(rename = "X-Frame-Options")]
    pub(super) x_frame_options: Option<String>,
    #[serde(rename = "X-Content-Type-Options")]
    pub(super) x_content_type_options: Option<String>,
    #[serde(rename = "X-XSS-Protection")]
    pub(super) x_xss_protection: Option<String>,
    #[serde(rename = "Strict-Transport-Security")]
    pub(super) strict_transport_security: Option<String>,
}

impl Written {
    /// Of the file's bytes. An empty file says nothing, which is allowed.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let expected = "the keys of exporter-toolkit's web configuration (docs/web-config.md)";
        let written: Option<Self> =
            serde_norway::from_slice(bytes).map_err(|error| Wrong::whole(error, expected))?;
        let written = written.unwrap_or_default();
        if written.rate_limit.is_some() {
            return Err(Wrong::key("rate_limit", "it is not supported", "it to be left out"));
        }
        Ok(written)
    }
}
