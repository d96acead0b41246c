//! Accepting, serving and ending connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connections::{Connections, Ticket};
use super::handshake::{Client, shake_hands};
use super::prompt::Prompt;
use super::routes;
use super::site::Site;
use crate::config::ListenAddress;

/// A request's head must be complete in this time, and a kept connection asks again in it. Longer than a
/// usual scrape interval, so that Prometheus keeps its connection; slow heads are [`Connections`]' business.
const HEAD: Duration = Duration::from_secs(75);

/// A client that has not taken its whole answer by then is gone.
const ANSWER: Duration = Duration::from_secs(10);

/// Our answers are asked for in a few hundred bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// At the end, requests under way get so long.
const GRACE: Duration = Duration::from_secs(5);

/// Out of descriptors, accepting waits a moment instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address can't be had.
    #[error("can't listen on {address}")]
    Listen {
        /// Which.
        address: ListenAddress,
        /// Why not.
        source: io::Error,
    },
}

/// Bound addresses, not yet serving.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
}

impl Server {
    /// Binds all addresses, or says which can't be had.
    pub async fn bind(addresses: &[ListenAddress]) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        for address in addresses {
            let listener = listen(*address).await;
            listeners
                .push(listener.map_err(|source| ServeError::Listen { address: *address, source })?);
        }
        Ok(Self { listeners })
    }

    /// The addresses it got.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Serves until the end begins and requests under way are answered, or have had their grace.
    pub async fn serve(self, site: Site) {
        let site = Arc::new(site);
        let graceful = GracefulShutdown::new();
        let connections = Connections::within(descriptors());
        let (newcomers, mut accepted) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, newcomers.clone()));
        }
        let mut ending = site.ending.clone();
        loop {
            tokio::select! {
                // An error means that whoever would tell us to end is gone, which is the end as well.
                _ = ending.wait_for(|ending| *ending) => break,
                Some(stream) = accepted.recv() => connect(stream, &site, &connections, graceful.watcher()),
            }
        }
        accepting.shutdown().await;
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(GRACE) => tracing::warn!("some requests were not finished in time"),
        }
    }
}

/// How many descriptors we may have; where that is not told, as many as most systems give.
fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft)
}

/// The first address that can be had. Without IPv6 the one for all of it is not available.
async fn listen(address: ListenAddress) -> io::Result<TcpListener> {
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for candidate in address.candidates() {
        result = TcpListener::bind(candidate).await;
        match &result {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    result
}

async fn accept(listener: TcpListener, newcomers: mpsc::Sender<TcpStream>) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                if newcomers.send(stream).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "can't accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts serving a connection, in another's place if there are too many.
fn connect(stream: TcpStream, site: &Arc<Site>, connections: &Connections, watcher: Watcher) {
    let ticket = Arc::new(connections.admit(Instant::now()));
    let id = ticket.id();
    let site = Arc::clone(site);
    let tls = site.settings.borrow().tls.clone();
    let mut ending = site.ending.clone();
    let stream = Prompt::new(stream, ANSWER);
    let task = tokio::spawn(async move {
        let Some(tls) = tls else {
            return converse(stream, Client::Welcome, site, ticket, watcher).await;
        };
        let shaken = tokio::select! {
            // Nothing is under way yet that would deserve a grace.
            _ = ending.wait_for(|ending| *ending) => None,
            shaken = shake_hands(stream, &tls) => shaken,
        };
        if let Some((stream, client)) = shaken {
            converse(stream, client, site, ticket, watcher).await;
        }
    });
    connections.served_by(id, task.abort_handle());
}

/// Answers a connection's requests, one after the other.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    site: Arc<Site>,
    ticket: Arc<Ticket>,
    watcher: Watcher,
) {
    let service = service_fn(move |request| {
        let (site, ticket) = (Arc::clone(&site), Arc::clone(&ticket));
        async move {
            ticket.request(Instant::now());
            routes::answer(&site, client, &request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends (reset, garbage, time-out) is its client's affair.
    let _ = watcher.watch(connection).await;
}
