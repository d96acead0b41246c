//! Authorities, the certificates they sign, and a client that speaks TLS and shows what it sees.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use super::http::{self, Answer};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Signs a certificate for these hosts and addresses.
    pub fn sign(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    /// The certificate's bytes.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }

    /// The key's.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}

/// A connection of a client's.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// It believes what this authority signed, and shows nothing of itself.
    pub fn new(authority: &Authority) -> Self {
        Self::with(authority, None, &[&version::TLS13, &version::TLS12])
    }

    /// The same, and it shows a certificate where it is asked for one.
    pub fn showing(authority: &Authority, identity: &Identity) -> Self {
        Self::with(authority, Some(identity), &[&version::TLS13, &version::TLS12])
    }

    /// It speaks TLS 1.2 and no other.
    pub fn of_old(authority: &Authority) -> Self {
        Self::with(authority, None, &[&version::TLS12])
    }

    fn with(
        authority: &Authority,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut authorities = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
        authorities.add(certificate).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(authorities);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(vec![identity.certificate()], identity.key())
                .expect("an identity"),
        };
        // As Prometheus offers it.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// Connects and shakes hands. That a certificate of ours is refused may show only later, with TLS 1.3.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let name = ServerName::IpAddress(address.ip().into());
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, http::connect(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Gets a page over a connection of its own, with these further header lines.
    pub fn get(&self, address: SocketAddr, path: &str, headers: &str) -> io::Result<Answer> {
        let mut stream = self.connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(Answer::of(&bytes))
    }
}
