//! Where the kubelet is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::Uri;

/// A kubelet's URL: `https://127.0.0.1:10250`, or `http://127.0.0.1:10255` for the read-only port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeletUrl {
    /// Whether it is `https`. If it is not, nothing secret is sent there.
    tls: bool,
    /// A name or an address, an IPv6 address without its brackets.
    host: String,
    port: u16,
}

/// A text that is no kubelet's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `https://HOST:PORT` or, for the read-only port, `http://HOST:PORT`; an IPv6 address in brackets, the port from 1 to 65535"
)]
pub struct InvalidKubeletUrl;

impl KubeletUrl {
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, as the `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for KubeletUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl FromStr for KubeletUrl {
    type Err = InvalidKubeletUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usual = without_needless_brackets(text);
        let text = usual.as_deref().unwrap_or(text);
        let uri: Uri = text.parse().map_err(|_| InvalidKubeletUrl)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidKubeletUrl),
        };
        let host = uri.host().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(inside) => inside
                .strip_suffix(']')
                .filter(|address| address.parse::<Ipv6Addr>().is_ok())
                .unwrap_or_default(),
            // What a shell or a manifest left unexpanded is no host.
            None if host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) =>
            {
                host
            }
            None => "",
        };
        let bare = ["", "/"].contains(&uri.path()) && uri.query().is_none() && !text.contains('#');
        let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        match uri.port_u16() {
            Some(port) if port > 0 && bare && named && !host.is_empty() => {
                Ok(Self { tls, host: host.to_owned(), port })
            }
            _ => Err(InvalidKubeletUrl),
        }
    }
}

/// The node's address of a dual-stack cluster is of either kind, and a manifest writes the same around both: an IPv4 address
/// is taken out of its brackets.
fn without_needless_brackets(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("://[")?;
    let (address, after) = rest.split_once(']')?;
    let is_ours = address.parse::<Ipv4Addr>().is_ok() && after.starts_with(':');
    is_ours.then(|| format!("{before}://{address}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_of_kubelets() {
        for text in [
            "https://127.0.0.1:10250",
            "https://[fd00::1]:10250",
            "https://node-1.example.com:10250",
            "http://localhost:10255",
        ] {
            let url: KubeletUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), text);
            assert_eq!(format!("{text}/").parse(), Ok(url), "a slash at the end is no matter");
        }
        let url: KubeletUrl = "https://[fd00::1]:10250".parse().expect("a url");
        assert_eq!((url.host(), url.authority().as_str()), ("fd00::1", "[fd00::1]:10250"));
    }

    #[test]
    fn an_address_of_either_kind_may_be_in_brackets() {
        for (text, usual) in [
            ("https://[fd00::1]:10250", "https://[fd00::1]:10250"),
            ("https://[10.0.0.1]:10250/", "https://10.0.0.1:10250"),
        ] {
            let url: KubeletUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), usual);
        }
        for text in ["https://[node]:10250", "https://[10.0.0.1]", "https://[10.0.0.1]x:10250"] {
            assert!(text.parse::<KubeletUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_kubelets_url() {
        for text in [
            "",
            "/",
            "127.0.0.1:10250",
            "https://",
            "https://127.0.0.1",
            "https://:10250",
            "https://127.0.0.1:",
            "https://127.0.0.1:0",
            "https://127.0.0.1:99999",
            "https://fd00::1:10250",
            "https://[fd00::1]",
            "https://[nonsense]:1",
            "https://user:password@127.0.0.1:10250",
            "https://127.0.0.1:10250/pods",
            "https://127.0.0.1:10250?a",
            "https://127.0.0.1:10250/#a",
            "ftp://127.0.0.1:10250",
            "unix:///run/kubelet.sock",
            "https://a b:1",
            "https://$(NODE_IP):10250",
        ] {
            assert_eq!(text.parse::<KubeletUrl>(), Err(InvalidKubeletUrl), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", near in "https?://[\\[\\]a-z0-9.:@/?#-]{0,20}") {
            let _ = text.parse::<KubeletUrl>();
            if let Ok(url) = near.parse::<KubeletUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
