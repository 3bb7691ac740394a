//! A connection that must begin to speak in time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream that fails when its peer has not said enough to tell which protocol it speaks within a while.
///
/// Until then hyper runs no timer: its own starts when it knows that the peer speaks HTTP/1, and what says `PRI * HT` and
/// no more could still become HTTP/2.
#[derive(Debug)]
pub(crate) struct Greeted<I> {
    inner: I,
    patience: Option<Pin<Box<Sleep>>>,
    heard_bytes: usize,
}

/// What has to be heard: the length of HTTP/2's preface. A whole head of HTTP/1 may be shorter, but it gets an answer.
const GREETING_BYTES: usize = 24;

impl<I> Greeted<I> {
    pub(crate) fn new(inner: I, patience: Duration) -> Self {
        Self { inner, patience: Some(Box::pin(tokio::time::sleep(patience))), heard_bytes: 0 }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Greeted<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            this.heard_bytes = this.heard_bytes.saturating_add(buf.filled().len() - before);
            if this.heard_bytes >= GREETING_BYTES {
                this.patience = None;
            }
            return Poll::Ready(read);
        }
        let Some(patience) = &mut this.patience else { return Poll::Pending };
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Greeted<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Who is answered has been understood.
        this.patience = None;
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.patience = None;
        Pin::new(&mut this.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn who_says_nothing_or_too_little_is_not_waited_for() {
        for said in ["", "P", "PRI * HTTP/2.0"] {
            let (mut peer, stream) = tokio::io::duplex(64);
            let mut stream = Greeted::new(stream, PATIENCE);
            peer.write_all(said.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            let ended = stream.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((ended.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, said.as_bytes()));
        }
    }

    #[tokio::test]
    async fn who_has_spoken_or_was_answered_may_take_its_time() {
        for (said, answered) in [("GET / HTTP/1.1\r\nHost: example.com\r\n", false), ("short", true)] {
            let (mut peer, stream) = tokio::io::duplex(64);
            let mut stream = Greeted::new(stream, PATIENCE);
            peer.write_all(said.as_bytes()).await.unwrap();
            let mut heard = vec![0; said.len()];
            stream.read_exact(&mut heard).await.unwrap();
            if answered {
                stream.write_all(b"x").await.unwrap();
            }
            tokio::time::sleep(PATIENCE * 2).await;
            let more = tokio::time::timeout(PATIENCE, stream.read_u8()).await;
            assert!(more.is_err(), "{said} is waited for");
        }
    }
}
