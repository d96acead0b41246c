//! The server's side of TLS: `tls_server_config`.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::client_auth::client_auth;
use super::error::Wrong;
use super::file::{Curve, Version, WrittenTls};
use super::files::Files;
use super::pem::{Pem, pem};

/// How TLS is spoken.
#[derive(Debug, Clone)]
pub(in crate::web) struct Tls {
    /// rustls' part.
    pub(in crate::web) config: Arc<ServerConfig>,
    /// Whether pages need a client's certificate.
    pub(in crate::web) demands_certificate: bool,
}

/// Makes the server's side of it.
pub(super) fn tls(written: &WrittenTls, directory: &Path, files: &mut Files) -> Result<Tls, Wrong> {
    let (cert_file, key_file) = (written.cert_file.as_ref(), written.key_file.as_ref());
    let certificate = pem("cert", cert_file, written.cert.as_ref(), directory, files)?
        .ok_or_else(|| missing("cert_file", "the server's certificate, as PEM"))?;
    let key = pem("key", key_file, written.key.as_ref(), directory, files)?
        .ok_or_else(|| missing("key_file", "the key of the certificate, as PEM"))?;
    let provider = Arc::new(provider(written)?);
    let client = client_auth(written, directory, files, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(written)?)
        .map_err(|error| {
            let expected = "a suite and a curve for each version from min_version to max_version";
            Wrong::key("tls_server_config", error, expected)
        })?
        .with_client_cert_verifier(client.verifier)
        .with_single_cert(certificate.certificates()?, key.private_key()?)
        .map_err(|error| unusable(&error, &certificate, &key))?;
    config.ignore_client_order = written.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is taken up again would bring back a certificate that is not looked at anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Tls { config: Arc::new(config), demands_certificate: client.is_demanded })
}

fn missing(key: &str, expected: &str) -> Wrong {
    Wrong::key(format!("tls_server_config.{key}"), "it is missing", expected)
}

fn unusable(error: &Error, certificate: &Pem<'_>, key: &Pem<'_>) -> Wrong {
    match error {
        Error::InconsistentKeys(_) => {
            let problem = format!("does not belong to the certificate in {}", certificate.place);
            key.wrong(&problem, "the key of its first certificate")
        }
        Error::General(_) => {
            key.wrong(&format!("can't be used: {error}"), "an RSA, ECDSA or Ed25519 key")
        }
        _ => certificate.wrong(&format!("can't be used: {error}"), "an X.509 certificate"),
    }
}

fn versions(written: &WrittenTls) -> Result<Vec<&'static SupportedProtocolVersion>, Wrong> {
    let least = written.min_version.unwrap_or(Version::Tls12);
    let most = written.max_version.unwrap_or(Version::Tls13);
    Ok(match (least, most) {
        (Version::Tls12, Version::Tls12) => vec![&TLS12],
        (Version::Tls12, Version::Tls13) => vec![&TLS13, &TLS12],
        (Version::Tls13, Version::Tls13) => vec![&TLS13],
        (Version::Tls13, Version::Tls12) => {
            let key = "tls_server_config.max_version";
            return Err(Wrong::key(key, "it is below min_version", "TLS13"));
        }
    })
}

/// ring, with the suites and curves that are wanted, in that order.
fn provider(written: &WrittenTls) -> Result<CryptoProvider, Wrong> {
    let mut provider = ring::default_provider();
    if !written.cipher_suites.is_empty() {
        provider.cipher_suites = suites(&written.cipher_suites)?;
    }
    if !written.curve_preferences.is_empty() {
        provider.kx_groups = written.curve_preferences.iter().map(|curve| group(*curve)).collect();
    }
    Ok(provider)
}

/// As in Go the list is about TLS 1.2, and all suites of TLS 1.3 stay, unless it names some of those too.
fn suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, Wrong> {
    let mut suites = Vec::new();
    for name in names {
        let known = ring::ALL_CIPHER_SUITES.iter().find(|suite| suite_name(suite) == *name);
        suites.push(*known.ok_or_else(|| {
            let all: Vec<_> = ring::ALL_CIPHER_SUITES.iter().map(suite_name).collect();
            let problem = format!("'{name}' is not supported");
            Wrong::key("tls_server_config.cipher_suites", problem, all.join(", "))
        })?);
    }
    if !suites.iter().any(|suite| suite.tls13().is_some()) {
        suites.extend(ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()));
    }
    Ok(suites)
}

/// As Go and IANA call it.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => ring::kx_group::X25519,
        Curve::CurveP256 => ring::kx_group::SECP256R1,
        Curve::CurveP384 => ring::kx_group::SECP384R1,
    }
}
