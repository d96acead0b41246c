//! The beginning of a connection that speaks TLS.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::prompt::Prompt;
use super::settings::Tls;

/// It must be over in this time.
const MOST: Duration = Duration::from_secs(10);

/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// To whoever speaks HTTP to a port of TLS.
const WRONG_SCHEME: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
      Content-Length: 23\r\nConnection: close\r\n\r\nthis port speaks HTTPS\n";

/// A connection whose answers must be taken in time.
pub(super) type Timed = Prompt<TcpStream>;

/// What a connection shows of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Enough.
    Welcome,
    /// No certificate, where one is demanded.
    Unidentified,
}

/// Shakes hands; nothing where that fails, which is the client's affair.
pub(super) async fn shake_hands(stream: Timed, tls: &Tls) -> Option<(TlsStream<Timed>, Client)> {
    tokio::time::timeout(MOST, agree(stream, tls)).await.ok()?
}

async fn agree(mut stream: Timed, tls: &Tls) -> Option<(TlsStream<Timed>, Client)> {
    let mut first = [0];
    if stream.get_ref().peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first != [HANDSHAKE] {
        // What was sent is read first: unread, it would make the system break off and the answer get lost.
        let _ = stream.read(&mut [0; 4096]).await.ok()?;
        stream.write_all(WRONG_SCHEME).await.ok()?;
        stream.shutdown().await.ok()?;
        return None;
    }
    let stream = TlsAcceptor::from(tls.config.clone()).accept(stream).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let client =
        if shown || !tls.demands_certificate { Client::Welcome } else { Client::Unidentified };
    Some((stream, client))
}
