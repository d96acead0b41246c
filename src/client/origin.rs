//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The scheme, host and port of a server's URL: `https://127.0.0.1:10250`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether it is `https`. If it is not, nothing secret is sent there.
    tls: bool,
    /// A name or an address, an IPv6 address without its brackets.
    host: String,
    port: u16,
}

/// A text that is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `https://HOST:PORT` or `http://HOST:PORT`, the port from 1 to 65535")]
pub struct InvalidOrigin;

impl Origin {
    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// A name or an address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// From 1 on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, as the `Host` header has it.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidOrigin),
        };
        // `$(NODE_IP)` puts an IPv6 address there without brackets: the port is what follows the last colon.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (hosts, port) = rest.rsplit_once(':').ok_or(InvalidOrigin)?;
        let bracketed = hosts.strip_prefix('[').and_then(|hosts| hosts.strip_suffix(']'));
        let hosts = bracketed.unwrap_or(hosts);
        // `status.hostIPs` is a list; first comes what `status.hostIP` is.
        let (host, others) = hosts.split_once(',').map_or((hosts, None), |(a, b)| (a, Some(b)));
        let is_name_allowed = bracketed.is_none() && others.is_none();
        let is_host = is_address(host) || is_name_allowed && is_name(host);
        let are_addresses = others.is_none_or(|others| others.split(',').all(is_address));
        match port_of(port) {
            Some(port) if is_host && are_addresses => Ok(Self { tls, host: host.to_owned(), port }),
            _ => Err(InvalidOrigin),
        }
    }
}

fn port_of(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// What a shell or a manifest left unexpanded is no host.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
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
            let url: Origin = text.parse().expect(text);
            assert_eq!(url.to_string(), text);
            assert_eq!(format!("{text}/").parse(), Ok(url), "a slash at the end is no matter");
        }
        let url: Origin = "https://[fd00::1]:10250".parse().expect("a url");
        assert_eq!((url.host(), url.authority().as_str()), ("fd00::1", "[fd00::1]:10250"));
    }

    /// `$(NODE_IP)` is `status.hostIP` or, of a cluster with both families, may be `status.hostIPs`.
    #[test]
    fn an_address_as_kubernetes_puts_it_there() {
        for node_ip in ["fd00::1", "fd00::1,10.0.0.7", "10.0.0.7,fd00::1", "10.0.0.7"] {
            let (first, _) = node_ip.split_once(',').unwrap_or((node_ip, ""));
            for text in [format!("https://{node_ip}:10250"), format!("https://[{node_ip}]:10250/")]
            {
                let url: Origin = text.parse().expect(&text);
                assert_eq!((url.host(), url.port()), (first, 10250), "{text}");
            }
        }
    }

    #[test]
    fn an_address_of_either_kind_may_be_in_brackets() {
        for (text, usual) in [
            ("https://[fd00::1]:10250", "https://[fd00::1]:10250"),
            ("https://[10.0.0.1]:10250/", "https://10.0.0.1:10250"),
        ] {
            let url: Origin = text.parse().expect(text);
            assert_eq!(url.to_string(), usual);
        }
        for text in ["https://[node]:10250", "https://[10.0.0.1]", "https://[10.0.0.1]x:10250"] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
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
            "https://fd00::10250",
            "https://[fd00::1]",
            "https://[node-1]:10250",
            "https://node-1,node-2:10250",
            "https://node-1,10.0.0.7:10250",
            "https://10.0.0.7,:10250",
            "https://,10.0.0.7:10250",
            "https://[fd00::1:10250",
            "https://fd00::1]:10250",
            "https://10.0.0.7:+10250",
            "https://[]:10250",
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
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", near in "https?://[\\[\\]a-z0-9.:@/?#-]{0,20}") {
            let _ = text.parse::<Origin>();
            if let Ok(url) = near.parse::<Origin>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
