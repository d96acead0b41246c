//! Whose certificate a client must show.
//!
//! The path that is asked for is known only once TLS stands, and the kubelet's probes have no certificate. So
//! every handshake may do without one; where one is demanded, each page but the two health checks demands it.
//! One that is shown and is wrong ends the handshake in any case.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use webpki::EndEntityCert;

use super::error::Wrong;
use super::file::{ClientAuthType, WrittenTls};
use super::files::Files;
use super::pem::{Pem, pem};

/// How a client's certificate is looked at.
pub(super) struct ClientAuth {
    /// In the handshake.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// And whether a page is refused to whoever showed none.
    pub(super) is_demanded: bool,
}

/// What is written of it.
pub(super) fn client_auth(
    written: &WrittenTls,
    directory: &Path,
    files: &mut Files,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientAuth, Wrong> {
    use ClientAuthType::{
        NoClientCert, RequestClientCert, RequireAndVerifyClientCert, RequireAnyClientCert,
        VerifyClientCertIfGiven,
    };
    let wanted = written.client_auth_type;
    let (file, inline) = (written.client_ca_file.as_ref(), written.client_ca.as_ref());
    let authorities = pem("client_ca", file, inline, directory, files)?;
    let is_demanded = matches!(wanted, RequireAnyClientCert | RequireAndVerifyClientCert);
    let names = names(&written.client_allowed_sans, is_demanded)?;
    let chain = match (wanted, authorities) {
        (NoClientCert, None) => {
            return Ok(ClientAuth { verifier: Arc::new(NoClientAuth), is_demanded });
        }
        (NoClientCert, Some(pem)) => {
            let expected = "client_auth_type RequireAndVerifyClientCert with it";
            return Err(Wrong::key(&pem.key, "nobody is asked for a certificate", expected));
        }
        (VerifyClientCertIfGiven | RequireAndVerifyClientCert, None) => {
            let (key, problem) = ("tls_server_config.client_ca_file", "it is missing");
            return Err(Wrong::key(key, problem, "who may have signed a client's certificate"));
        }
        (VerifyClientCertIfGiven | RequireAndVerifyClientCert, Some(pem)) => {
            Some(chain(&pem, provider)?)
        }
        // Authorities are checked all the same: a file that is named must be right.
        (RequestClientCert | RequireAnyClientCert, authorities) => {
            authorities.map(|pem| chain(&pem, provider)).transpose()?;
            None
        }
    };
    let verifier = Arc::new(Screen { chain, names, provider: Arc::clone(provider) });
    Ok(ClientAuth { verifier, is_demanded })
}

fn chain(
    pem: &Pem<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Wrong> {
    let mut authorities = RootCertStore::empty();
    for certificate in pem.certificates()? {
        authorities.add(certificate).map_err(|error| {
            pem.wrong(&format!("can't be used: {error}"), "X.509 certificates of authorities")
        })?;
    }
    let (authorities, provider) = (Arc::new(authorities), Arc::clone(provider));
    WebPkiClientVerifier::builder_with_provider(authorities, provider)
        .build()
        .map_err(|error| pem.wrong(&format!("can't be used: {error}"), "authorities"))
}

/// A name that a client may have.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    /// A host's, or a URI.
    Text(String),
}

fn names(written: &[String], is_demanded: bool) -> Result<Vec<Name>, Wrong> {
    let key = "tls_server_config.client_allowed_sans";
    if !written.is_empty() && !is_demanded {
        let problem = "client_auth_type lets clients without a certificate in";
        let expected = "RequireAndVerifyClientCert or RequireAnyClientCert with it";
        return Err(Wrong::key(key, problem, expected));
    }
    let name = |text: &String| match text.parse() {
        Ok(address) => Ok(Name::Address(address)),
        Err(_) if text.contains('@') && !text.contains(':') => {
            let problem = format!("'{text}' is an e-mail address, which is not supported");
            Err(Wrong::key(key, problem, "names of hosts, IP addresses, URIs"))
        }
        Err(_) => Ok(Name::Text(text.clone())),
    };
    written.iter().map(name).collect()
}

/// Looks at a certificate that was shown; that none is shown, it leaves to others.
#[derive(Debug)]
struct Screen {
    /// Who must have signed it; nothing where anybody may have.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// One of which it must have, if there are any.
    names: Vec<Name>,
    provider: Arc<CryptoProvider>,
}

impl Screen {
    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        self.names.is_empty()
            || self.names.iter().any(|name| match name {
                Name::Address(address) => certificate
                    .verify_is_valid_for_subject_name(&ServerName::IpAddress((*address).into()))
                    .is_ok(),
                Name::Text(text) => {
                    let mut names =
                        certificate.valid_dns_names().chain(certificate.valid_uri_names());
                    names.any(|name| name == text)
                }
            })
    }
}

impl ClientCertVerifier for Screen {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(certificate, intermediates, now)?;
        }
        if self.is_named(certificate) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
