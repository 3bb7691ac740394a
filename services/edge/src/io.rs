//! The layer between hyper and a viewer's socket.
//!
//! A response's body announces each piece of itself to its connection's [`Wire`] before hyper writes it. The layer
//! recognises those pieces by their address among what hyper hands it, and gains three things: a piece that is a mapped
//! part of a file leaves by `sendfile`, without passing through user space; bytes are counted when they leave, not when
//! they are queued; and a viewer that stops reading, or never begins to speak, is cut off after a while.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::delivery::Delivery;

/// What the responses of one connection tell its socket. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Spoken>);

#[derive(Debug, Default)]
struct Spoken {
    pieces: Mutex<VecDeque<Piece>>,
    /// Whether HTTP/2 is spoken. Its frames may hold copies, which no address recognises.
    framed: AtomicBool,
}

/// A part of a file that holds the same bytes as a piece of a body.
#[derive(Clone, Debug)]
pub(crate) struct FilePart {
    /// The open file.
    pub(crate) file: Arc<File>,
    /// Where in it the piece begins.
    pub(crate) offset: u64,
}

#[derive(Debug)]
struct Piece {
    // Holding the bytes keeps their address from being used again while it stands here.
    bytes: Bytes,
    part: Option<FilePart>,
    delivery: Arc<Delivery>,
}

impl Piece {
    /// How far into this piece `address` is, if it is in it.
    fn position(&self, address: usize) -> Option<usize> {
        let position = address.checked_sub(self.bytes.as_ptr() as usize)?;
        (position < self.bytes.len()).then_some(position)
    }
}

impl Wire {
    /// Announces `bytes` as the next piece of a body. The caller hands the very same bytes to hyper.
    ///
    /// Over HTTP/2 they count as having left at once.
    pub(crate) fn announce(&self, bytes: Bytes, part: Option<FilePart>, delivery: &Arc<Delivery>) {
        if self.0.framed.load(Ordering::Relaxed) {
            delivery.add(bytes.len() as u64);
        } else if !bytes.is_empty() {
            self.pieces().push_back(Piece { bytes, part, delivery: Arc::clone(delivery) });
        }
    }

    /// The file behind what lies at `address`, and how far it reaches, if it is a large enough part of one.
    fn file_at(&self, buffer: &[u8]) -> Option<(FilePart, usize)> {
        if buffer.len() < SENDFILE_BYTES_MIN {
            return None;
        }
        let pieces = self.pieces();
        let (piece, position) = pieces.iter().find_map(|p| Some((p, p.position(buffer.as_ptr() as usize)?)))?;
        let part = piece.part.as_ref()?;
        let len = buffer.len().min(piece.bytes.len() - position);
        Some((FilePart { file: Arc::clone(&part.file), offset: part.offset + position as u64 }, len))
    }

    /// Counts the first `written` bytes of `buffers` as having left.
    fn left(&self, buffers: &[IoSlice<'_>], mut written: usize) {
        let mut pieces = self.pieces();
        for buffer in buffers {
            if written == 0 || pieces.is_empty() {
                return;
            }
            let len = buffer.len().min(written);
            written -= len;
            let address = buffer.as_ptr() as usize;
            let Some((index, position)) =
                pieces.iter().enumerate().find_map(|(index, p)| Some((index, p.position(address)?)))
            else {
                continue;
            };
            pieces[index].delivery.add(len as u64);
            if position + len >= pieces[index].bytes.len() {
                pieces.remove(index);
            }
        }
    }

    fn clear(&self) {
        // The pieces are dropped after the lock, since a dropped delivery writes its record.
        let pieces = std::mem::take(&mut *self.pieces());
        drop(pieces);
    }

    fn pieces(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a new connection may say nothing that could be a request.
    pub(crate) greeting: Duration,
    /// How long a viewer may take none of the bytes that wait for it.
    pub(crate) stall: Duration,
}

/// One viewer's connection.
#[derive(Debug)]
pub(crate) struct ViewerIo {
    stream: TcpStream,
    /// What was read from the stream before it came here.
    read: Bytes,
    wire: Wire,
    patience: Patience,
    greeting: Option<Pin<Box<Sleep>>>,
    greeted_bytes: usize,
    stall: Option<Pin<Box<Sleep>>>,
}

impl ViewerIo {
    /// Wraps an accepted stream. Responses on it announce their pieces to `wire`.
    pub(crate) fn new(stream: TcpStream, wire: Wire, patience: Patience) -> Self {
        let greeting = Some(Box::pin(tokio::time::sleep(patience.greeting)));
        Self { stream, read: Bytes::new(), wire, patience, greeting, greeted_bytes: 0, stall: None }
    }

    /// The same for a stream of which `read` has been read already.
    pub(crate) fn after(mut self, read: Bytes) -> Self {
        self.read = read;
        self
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read.split_to(len));
        Poll::Ready(Ok(()))
    }

    /// Tries `write` whenever the socket has room, until it answers or the viewer has stalled for too long.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    let patience = self.patience.stall;
                    let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                    ready!(stall.as_mut().poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            let stream = &self.stream;
            match stream.try_io(Interest::WRITABLE, || write(stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => {
                    self.stall = None;
                    return Poll::Ready(answer);
                }
            }
        }
    }
}

impl AsyncRead for ViewerIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(answer) = this.poll_bytes(cx, buf) {
            if this.greeting.is_some() {
                // Of HTTP/1 only methods that have no body here begin so; the rest is the preface of HTTP/2.
                if this.greeted_bytes == 0 && buf.filled()[before..].starts_with(b"P") {
                    this.wire.0.framed.store(true, Ordering::Relaxed);
                }
                this.greeted_bytes += buf.filled().len() - before;
                if this.greeted_bytes >= GREETING_BYTES {
                    this.greeting = None;
                }
            }
            return Poll::Ready(answer);
        }
        // Until hyper knows which protocol is spoken it has no timer of its own running.
        if let Some(greeting) = &mut this.greeting {
            ready!(greeting.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for ViewerIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.greeting = None;
        let file = bufs.iter().enumerate().find_map(|(index, buf)| Some((index, this.wire.file_at(buf)?)));
        let written = ready!(match file {
            Some((index, (part, len))) => this.poll_send(cx, |stream| send(stream, &bufs[..index], &part, len)),
            None => this.poll_send(cx, |stream| stream.try_write_vectored(bufs)),
        })?;
        this.wire.left(bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for ViewerIo {
    fn drop(&mut self) {
        self.wire.clear();
    }
}

/// Sends `head`, then up to `len` bytes of the file, in as few packets as they fit in.
#[cfg(target_os = "linux")]
pub(crate) fn send(stream: &TcpStream, head: &[IoSlice<'_>], part: &FilePart, len: usize) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags};

    let head_len: usize = head.iter().map(|buf| buf.len()).sum();
    if head_len > 0 {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = rustix::net::sendmsg(stream, head, &mut SendAncillaryBuffer::default(), flags)?;
        if sent < head_len {
            return Ok(sent);
        }
    }
    let mut offset = part.offset;
    match rustix::fs::sendfile(stream, &*part.file, Some(&mut offset), len) {
        // The file is shorter than what was mapped: somebody cut it. Reading the mapping would be worse.
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(sent) => Ok(head_len + sent),
        // What has left has left; the rest is asked for again.
        Err(_) if head_len > 0 => Ok(head_len),
        Err(error) => Err(error.into()),
    }
}

/// Other systems read the mapping.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send(stream: &TcpStream, head: &[IoSlice<'_>], part: &FilePart, len: usize) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;

    if !head.is_empty() {
        return stream.try_write_vectored(head);
    }
    let mut buffer = vec![0; len.min(1 << 16)];
    let read = part.file.read_at(&mut buffer, part.offset)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.try_write(&buffer[..read])
}

/// Below this a copy costs less than one more system call.
pub(crate) const SENDFILE_BYTES_MIN: usize = 16 << 10;
/// What is read before hyper knows which protocol is spoken: the length of HTTP/2's preface.
const GREETING_BYTES: usize = 24;
