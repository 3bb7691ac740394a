//! The bodies of responses: a part of something mapped, or a fill that is read along.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use rend_cache::{FillError, FillReader, Hit};
use thiserror::Error;

use crate::delivery::Delivery;
use crate::io::{FilePart, Wire};

/// The body ends here, before its announced length. The connection is closed with it, so that nobody takes what came
/// for the whole.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body was cut")]
pub(crate) struct Cut;

/// A body on its way to a viewer.
pub(crate) struct Sending {
    source: Source,
    wire: Option<Wire>,
    delivery: Arc<Delivery>,
}

enum Source {
    Read(Bytes),
    Stored { hit: Hit, at: usize, end: usize },
    // Boxed, so that the common case stays small.
    Filling(Box<Along>),
    // Bodies must be `Sync`, and a lock that nobody else holds is a way to be that.
    Far(Mutex<BoxStream<'static, Result<Bytes, Cut>>>),
}

/// A fill that is read along.
///
/// The piece that would complete the body is held back until the fill has ended well: only then are the bytes what the
/// origin's digest says, and a body whose end never comes is not taken for a whole one. This holds for parts as well.
struct Along {
    reader: FillReader,
    left: u64,
    held: Option<Bytes>,
}

impl Sending {
    /// Bytes `at..end` of what is stored.
    pub(crate) const fn stored(hit: Hit, at: usize, end: usize, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        Self { source: Source::Stored { hit, at, end }, wire, delivery }
    }

    /// Bytes at hand.
    pub(crate) const fn read(bytes: Bytes, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        Self { source: Source::Read(bytes), wire, delivery }
    }

    /// `len` bytes of a fill from where `reader` stands. The reader must reach to the body's end, so that it tells
    /// whether that was good.
    pub(crate) fn filling(reader: FillReader, len: u64, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        Self { source: Source::Filling(Box::new(Along { reader, left: len, held: None })), wire, delivery }
    }

    /// What the origin sends for this viewer alone.
    pub(crate) const fn far(
        chunks: BoxStream<'static, Result<Bytes, Cut>>,
        wire: Option<Wire>,
        delivery: Arc<Delivery>,
    ) -> Self {
        Self { source: Source::Far(Mutex::new(chunks)), wire, delivery }
    }
}

impl Along {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        loop {
            match ready!(self.reader.poll_chunk(cx)) {
                // Everything of this part is here; what follows is read only to learn how the fill ends.
                Some(Ok(_)) if self.left == 0 => {}
                Some(Ok(mut bytes)) => {
                    bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()));
                    self.left -= bytes.len() as u64;
                    if self.left > 0 {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    self.held = Some(bytes);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.left > 0 => return Poll::Ready(Some(Err(FillError::Short))),
                None => return Poll::Ready(self.held.take().map(Ok)),
            }
        }
    }
}

impl Stream for Sending {
    type Item = Result<Bytes, Cut>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let (bytes, part) = match &mut this.source {
            Source::Stored { hit, at, end } => {
                if at >= end {
                    return Poll::Ready(None);
                }
                if hit.is_revoked() {
                    return Poll::Ready(Some(Err(Cut)));
                }
                let next = (*at + PIECE_BYTES).min(*end);
                let bytes = hit.body().slice(*at..next);
                let part = hit.file().map(|file| FilePart { file: Arc::clone(file), offset: *at as u64 });
                *at = next;
                (bytes, part)
            }
            Source::Read(bytes) => match std::mem::take(bytes) {
                none if none.is_empty() => return Poll::Ready(None),
                bytes => (bytes, None),
            },
            Source::Filling(along) => match ready!(along.poll(cx)) {
                Some(Ok(bytes)) => (bytes, None),
                Some(Err(_)) => return Poll::Ready(Some(Err(Cut))),
                None => return Poll::Ready(None),
            },
            Source::Far(chunks) => {
                match ready!(chunks.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(cx)) {
                    Some(Ok(bytes)) => (bytes, None),
                    end => return Poll::Ready(end),
                }
            }
        };
        match &this.wire {
            Some(wire) => wire.announce(bytes.clone(), part, &this.delivery),
            // Without a layer below, what is handed over counts as having left.
            None => this.delivery.add(bytes.len() as u64),
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

/// A take-down cuts responses between pieces of this size, and hyper buffers about one of them.
const PIECE_BYTES: usize = 1 << 20;
