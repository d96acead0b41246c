//! Whom a server's certificate names.

use std::str::FromStr;

use tokio_rustls::rustls::pki_types::ServerName;

/// A name or an address in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerName(ServerName<'static>);

/// A text that no certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name or the address in the server's certificate, such as the node's name")]
pub struct InvalidPeerName;

impl PeerName {
    /// For TLS.
    pub(super) fn as_tls(&self) -> ServerName<'static> {
        self.0.clone()
    }
}

impl FromStr for PeerName {
    type Err = InvalidPeerName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ServerName::try_from(text.to_owned()).map(Self).map_err(|_| InvalidPeerName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes() {
        for text in ["node-1", "ip-10-0-0-7.eu-west-1.compute.internal", "10.0.0.7", "fd00::1"] {
            assert!(text.parse::<PeerName>().is_ok(), "{text}");
        }
        for text in ["", "a b", "$(NODE_NAME)", "https://node-1", "node-1:10250", "[fd00::1]"] {
            assert_eq!(text.parse::<PeerName>(), Err(InvalidPeerName), "{text}");
        }
    }
}
