//! A stream whose peer must take what is sent within a time.
//!
//! Each answer that is not taken yet keeps a view's body in memory. A limit for each single write, as it is commonly had,
//! would let a client that takes a byte now and then keep it for ever, and 512 of them 512 bodies.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The stream.
#[derive(Debug)]
pub(super) struct Prompt<S> {
    stream: S,
    limit: Duration,
    /// When all must be taken that was written since the last flush; nothing while it was taken at once.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Prompt<S> {
    /// One whose peer has so long for an answer.
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, due: None }
    }

    /// The stream itself.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What came of a write, or an error where its time is over.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            return result;
        }
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(due.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// It is flushed when all was written: the next answer has its own time.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.due = None;
        }
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, shut)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    /// Sends answers of 64 bytes to a peer that takes one byte after each pause.
    async fn send(answers: usize, pause: Duration) -> io::Result<()> {
        let (stream, mut peer) = duplex(8);
        tokio::spawn(async move {
            while peer.read_u8().await.is_ok() {
                sleep(pause).await;
            }
        });
        let mut prompt = Prompt::new(stream, LIMIT);
        for _ in 0..answers {
            prompt.write_all(&[0; 64]).await?;
            prompt.flush().await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_not_enough() {
        let error = send(1, LIMIT / 10).await.expect_err("it takes too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn each_answer_has_its_own_time() {
        send(10, LIMIT / 500).await.expect("none takes too long");
    }
}
