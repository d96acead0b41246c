//! Certificates and keys as they are written: PEM, in a file of its own or in the configuration.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::Wrong;
use super::files::Files;

/// Where PEM stands: in a file of its own, or in the configuration.
pub(super) struct Pem<'a> {
    /// What it is the value of.
    pub(super) key: String,
    /// Its bytes.
    pub(super) bytes: Cow<'a, [u8]>,
    /// What it is to a reader.
    pub(super) place: String,
}

/// Reads what can be written in two ways, `NAME_file` and `NAME`; nothing where it is not written.
pub(super) fn pem<'a>(
    name: &str,
    file: Option<&PathBuf>,
    inline: Option<&'a String>,
    directory: &Path,
    files: &mut Files,
) -> Result<Option<Pem<'a>>, Wrong> {
    let key = format!("tls_server_config.{name}");
    let file_key = format!("{key}_file");
    match (file, inline) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(Wrong::key(file_key, format!("{name} is there as well"), "one of them"))
        }
        (None, Some(text)) => {
            Ok(Some(Pem { place: "it".to_owned(), key, bytes: text.as_bytes().into() }))
        }
        (Some(path), None) => {
            let path = directory.join(path);
            let place = path.display().to_string();
            let bytes = files.read(&path).map_err(|error| {
                Wrong::key(&file_key, format!("can't read {place}: {error}"), "a PEM file")
            })?;
            Ok(Some(Pem { place, key: file_key, bytes: bytes.into() }))
        }
    }
}

impl Pem<'_> {
    /// All its certificates, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Wrong> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(self.wrong("holds no certificate", "one or more, as PEM")),
            Err(error) => Err(self.wrong(&format!("is no PEM: {error}"), "certificates, as PEM")),
        }
    }

    /// Its private key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, Wrong> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| {
            self.wrong(&format!("holds no private key: {error}"), "one, as PEM, without a password")
        })
    }

    /// What is wrong with it.
    pub(super) fn wrong(&self, problem: &str, expected: &str) -> Wrong {
        Wrong::key(&self.key, format!("{} {problem}", self.place), expected)
    }
}
