//! What the agent serves, as a scrape and a browser get it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

/// The metrics and the page at one moment.
#[derive(Debug)]
pub struct Served {
    /// The exposition.
    pub metrics: String,
    /// The page, as HTML.
    pub page: String,
}

impl Served {
    /// The value of the first series of that name with these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let series = self.metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let mut series = series.filter(|(series, _)| {
            let found = series.split_once('{').unwrap_or((series, ""));
            found.0 == name && labels.iter().all(|label| found.1.contains(label))
        });
        series.next()?.1.parse().ok()
    }
}

/// Gets what is served.
#[derive(Debug)]
pub struct Observer {
    addresses: Vec<SocketAddr>,
    metrics: String,
}

impl Observer {
    /// Of the agent that listens there, with its metrics at that path.
    pub fn new(address: SocketAddr, metrics: &str) -> Self {
        let ips = if address.ip().is_unspecified() {
            // A node may have no IPv6 on loopback though it can be bound.
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        } else {
            vec![address.ip()]
        };
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect();
        Self { addresses, metrics: metrics.to_owned() }
    }

    /// What is served now.
    pub async fn look(&self) -> anyhow::Result<Served> {
        Ok(Served { metrics: self.get(&self.metrics).await?, page: self.get("/").await? })
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = timeout(PATIENCE, self.ask(path)).await;
        answer.context("no answer").and_then(|answer| answer).with_context(|| format!("GET {path}"))
    }

    async fn ask(&self, path: &str) -> anyhow::Result<String> {
        let stream = TcpStream::connect(self.addresses.as_slice()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path).header(HOST, "localhost").header(CONNECTION, "close");
        let request = request.body(Empty::<Bytes>::new())?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            ensure!(status == StatusCode::OK, "{status}");
            Ok(String::from_utf8(body.to_vec())?)
        };
        let (_, answer) = tokio::join!(connection, exchange);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_name_and_labels() {
        let metrics =
            "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"2\",y=\"2\"} 4\nab{x=\"2\"} 5\nc 6\n";
        let served = Served { metrics: metrics.to_owned(), page: String::new() };
        assert_eq!(served.value("a", &[("x", "2")]), Some(4.0));
        assert_eq!(served.value("a", &[("y", "2")]), Some(3.0));
        assert_eq!(served.value("a", &[("x", "3")]), None);
        assert_eq!(served.value("c", &[]), Some(6.0));
        assert_eq!(served.value("HELP", &[]), None);
    }
}
